from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from cachestore.index import Index, open_index
from cachestore.index import spool as spool_module
from cachestore.index.spool import Spool
from tests.contracts.index import entry, key, missed, touch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite.spool"


@pytest.fixture
def spool(path: Path) -> Spool:
    return Spool(path, timeout=5.0)


def take(spool: Spool) -> list[object]:
    taken: list[object] = []
    for claimed in spool.claim():
        with spool.taking(claimed) as touches:
            taken += touches or []
    return taken


def test_what_is_appended_is_taken_once(spool: Spool, path: Path) -> None:
    assert spool.is_empty()
    spool.append([touch(1), touch(2, "zoë\n☃", saved=0.1)])
    spool.append([touch(3)])
    assert not spool.is_empty()
    assert take(spool) == [touch(1), touch(2, "zoë\n☃", saved=0.1), touch(3)]
    assert spool.is_empty()
    assert list(path.parent.iterdir()) == []
    assert take(spool) == []


def test_misses_travel_with_the_uses(spool: Spool) -> None:
    misses = [missed(1), missed(2, code_parts=None, times=3, function="zoë\n☃")]
    spool.append([touch(1), *misses])
    assert take(spool) == [touch(1), *misses]


def test_the_parts_of_a_version_are_written_once(tmp_path: Path, path: Path) -> None:
    index = opened(tmp_path)
    for number in range(3):
        index.miss(missed(number))
        index.flush()
    assert path.read_bytes().count(b"team.tables:clean") == 1


def test_a_file_whose_taking_failed_waits_for_the_next(spool: Spool) -> None:
    spool.append([touch(1)])
    (claimed,) = spool.claim()
    with pytest.raises(ZeroDivisionError), spool.taking(claimed):
        raise ZeroDivisionError
    assert not spool.is_empty()
    spool.append([touch(2)])
    assert sorted(map(str, take(spool))) == sorted(map(str, [touch(1), touch(2)]))


@pytest.mark.parametrize("cut", range(2, 40, 6))
def test_a_torn_last_line_is_dropped_and_nothing_else(spool: Spool, path: Path, cut: int) -> None:
    spool.append([touch(1), touch(2)])
    os.truncate(path, path.stat().st_size - cut)
    spool.append([touch(3)])
    spool.append([touch(4)])
    os.truncate(path, path.stat().st_size - cut)
    assert take(spool) == [touch(1), touch(3)]


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe", b"1", b"{}", b"[1, 2]", b"null", b'["a", 3, 0, 1.0, 1]', b'["a", "b", "c", 1.0, 1]',
        b'["a", "b", 0, NaN, 1]', b'["a", "b", 0, 1.0, null]', b'["\\ud800", "b", 0, 1.0, 1]',
        b'["a", "b", 1e99, 1.0, 1]',
        b'["a", "b", 99999999999999999999, 1.0, 1]', b'["a", "b", 0, 1.0, 1e400]', b'["a\\u0000", "b", 0, 1.0, 1]',
        b'["miss", "a", "b"]', b'["miss", "a", "b", 0, "f", "v", "c", "absent", [], null, 1]',
        b'["miss", "a", "b", 0, "f", "v", "c", "absent", {"x": 1}, null, 1]',
        b'["miss", "a", "b", 0, "f", "v", null, "absent", {}, null, 1]',
        b'["miss", "a", "b", 0, "f", "v", "c", "absent", {}, "no", 1]',
        b'["miss", "a", "b", 0, "f\\u0000", "v", "c", "absent", {}, null, 1]',
        b'["spent", "f"]', b'["spent", "f", "1"]', b'["spent", "f", NaN]', b'["spent", "f\\u0000", 1.0]',
    ],
)  # fmt: skip
def test_a_damaged_line_does_not_keep_the_others_from_being_counted(
    spool: Spool, path: Path, line: bytes, tmp_path: Path
) -> None:
    spool.append([touch(1)])
    with path.open("ab") as file:
        file.write(line + b"\n")
    spool.append([touch(2)])
    assert opened(tmp_path).merge() == [key(1), key(2)]


def test_writers_and_takers_at_once_lose_nothing(spool: Spool) -> None:
    taken: list[object] = []

    def write(user: str) -> None:
        for number in range(200):
            spool.append([touch(number, user)])

    writers = [threading.Thread(target=write, args=(user,)) for user in "abc"]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        taken += take(spool)
    taken += take(spool)
    expected = [touch(number, user) for number in range(200) for user in "abc"]
    assert sorted(map(str, taken)) == sorted(map(str, expected))


def test_a_writer_does_not_wait_for_a_taker(spool: Spool) -> None:
    spool.append([touch(1)])
    (claimed,) = spool.claim()
    with spool.taking(claimed) as touches:
        assert touches == [touch(1)]
        spool.append([touch(2)])
    assert take(spool) == [touch(2)]


def test_two_takers_of_one_file_count_it_once(path: Path) -> None:
    first, second = Spool(path, timeout=5.0), Spool(path, timeout=0.05)
    first.append([touch(1)])
    (claimed,) = first.claim()
    with first.taking(claimed) as touches, second.taking(claimed) as others:
        assert (touches, others) == ([touch(1)], None)
    with second.taking(claimed) as others:
        assert others is None


def test_a_taker_that_waited_finds_the_file_gone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Spool(path, timeout=5.0), Spool(path, timeout=5.0)
    first.append([touch(1)])
    (claimed,) = first.claim()
    opened_too, others = threading.Event(), list[object]()

    def wait() -> None:
        with second.taking(claimed) as touches:
            others.append(touches)

    with first.taking(claimed):
        lock = spool_module.locked

        def noticed(*arguments: Any, **options: Any) -> Any:
            opened_too.set()
            return lock(*arguments, **options)

        monkeypatch.setattr(spool_module, "locked", noticed)
        thread = threading.Thread(target=wait)
        thread.start()
        assert opened_too.wait(10)
    thread.join()
    assert others == [None]


def test_a_lock_that_is_never_released_ends_in_an_error(path: Path) -> None:
    spool = Spool(path, timeout=0.05)
    spool.append([touch(1)])
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError, match="locked"):
            spool.append([touch(2)])
    assert take(spool) == [touch(1)]


def test_a_full_disk_leaves_no_half_batch(spool: Spool, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.append([touch(1)])
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: len(data) // 2 + 20]))
    with pytest.raises(OSError, match="disk is full"):
        spool.append([touch(2), touch(3)])
    monkeypatch.undo()
    spool.append([touch(4)])
    assert take(spool) == [touch(1), touch(4)]


def opened(folder: Path) -> Index:
    return open_index(None, directory=folder, store_id=lambda: None, remote=False, timeout=5.0)


# Where a merging process is killed: a function it calls on its way, and whether before or after.
MOMENTS = [
    ("pathlib.Path.rename", "before"), ("pathlib.Path.rename", "after"),
    ("cachestore.index.uses.apply", "before"), ("cachestore.index.uses.apply", "after"),
    ("cachestore.index.spooled._drop_notes", "after"),
    ("pathlib.Path.unlink", "before"), ("pathlib.Path.unlink", "after"),
    ("cachestore.index.uses.settle", "before"), ("cachestore.index.uses.waiting", "after"),
]  # fmt: skip

MERGE_AND_DIE = """
import os, signal, sys, pkgutil
from pathlib import Path
import cachestore.index.spooled, cachestore.index.uses
from tests.index.test_spool import opened

owner, _, name = sys.argv[2].rpartition(".")
owner = pkgutil.resolve_name(owner)
original = getattr(owner, name)

def dying(*arguments, **options):
    if sys.argv[3] == "after":
        original(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, dying)
opened(Path(sys.argv[1])).merge()
"""


@pytest.mark.parametrize(("function", "when"), MOMENTS)
def test_a_merge_killed_at_any_point_counts_each_use_once(tmp_path: Path, function: str, when: str) -> None:
    index = opened(tmp_path)
    index.record([entry(1)])
    expected = 0
    for _ in range(2):
        index.touch(touch(1))
        index.touch(touch(1, "cleo"))
        index.flush()
        expected += 2
        killed = subprocess.run(
            [sys.executable, "-c", MERGE_AND_DIE, str(tmp_path), function, when], check=False
        )
        assert killed.returncode == -signal.SIGKILL
    assert index.merge() == []
    assert index.statistics().hits == expected
    assert index.merge() == []
    found = index.get(key(1))
    assert found is not None
    assert found.hits == expected
    # Another round deletes what was noted of the files.
    index.touch(touch(1))
    index.merge()
    assert sorted(file.name for file in tmp_path.iterdir() if "spool" in file.name) == []
    index.close()


def test_merges_killed_at_random_moments_count_each_use_once(tmp_path: Path) -> None:
    index = opened(tmp_path)
    index.record(entry(number) for number in range(300))
    script = """
    import sys
    from pathlib import Path
    from tests.index.test_spool import *
    index = opened(Path(sys.argv[1]))
    index.merge()
    print("ready", flush=True)
    while True:
        index.merge()
    """
    expected = 0
    for round_ in range(6):
        merging = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], stdout=subprocess.PIPE
        )
        assert merging.stdout is not None
        merging.stdout.readline()
        for number in range(100 + 37 * round_):
            index.touch(touch(number % 300, saved=1.0))
            index.flush()
            expected += 1
        merging.kill()
        merging.wait()
        merging.stdout.close()
    assert index.merge() == []
    found = index.statistics()
    assert (found.hits, found.seconds_saved) == (expected, expected)
    assert [user.reused for user in found.by_user if user.user == "ben"] == [expected]
    index.close()
