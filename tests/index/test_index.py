from __future__ import annotations

import gc
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import textwrap
import time
import weakref
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from cachestore.errors import IndexUnavailable, StorageError
from cachestore.index import Index, Selection, open_index
from tests.contracts.index import IndexContract, entry, key, touch


def open_at(address: str | None, directory: Path | None = None, *, timeout: float = 5.0) -> Index:
    return open_index(address, directory=directory, store_id=lambda: None, remote=False, timeout=timeout)


class TestOnFile(IndexContract):
    @pytest.fixture
    def again(self, tmp_path: Path) -> Iterator[Callable[[], Index]]:
        opened: list[Index] = []

        def again() -> Index:
            opened.append(open_at(None, tmp_path / "store"))
            return opened[-1]

        yield again
        for index in opened:
            index.close()

    @pytest.fixture
    def index(self, again: Callable[[], Index]) -> Index:
        return again()


class TestInMemory(IndexContract):
    @pytest.fixture
    def index(self) -> Index:
        return open_at(None)

    @pytest.fixture
    def again(self, index: Index) -> Callable[[], Index]:
        return lambda: index


@pytest.mark.postgres
class TestOnPostgres(IndexContract):
    @pytest.fixture
    def again(self, empty_postgres: str) -> Iterator[Callable[[], Index]]:
        opened: list[Index] = []

        def again() -> Index:
            opened.append(open_at(empty_postgres))
            return opened[-1]

        yield again
        for index in opened:
            index.close()

    @pytest.fixture
    def index(self, again: Callable[[], Index]) -> Index:
        return again()


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.postgres)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An index that processes can share."""
    if request.param == "postgres":
        url: str = request.getfixturevalue("empty_postgres")
        return url
    return str(tmp_path / "team" / "index.sqlite")


def run(address: str, script: str, *arguments: str, wait: bool = True) -> subprocess.Popen[str]:
    """Run a script in a process of its own, with `index` on an address."""
    head = """
    import os, sys
    from tests.index.test_index import *
    index = open_at(sys.argv[1])
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(script), address, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if wait:
        finish(process)
    return process


def reused(index: Index) -> dict[str, int]:
    return {user.user: user.reused for user in index.statistics().by_user}


def finish(*processes: subprocess.Popen[str], said: str = "") -> None:
    for process in processes:
        _, errors = process.communicate(said, timeout=100)
        assert process.returncode == 0, errors


def test_reading_makes_no_file(tmp_path: Path) -> None:
    index = open_at(None, tmp_path / "store")
    assert index.select(Selection()) == []
    assert index.merge() == []
    assert not (tmp_path / "store").exists()


def test_processes_create_and_write_at_once(address: str) -> None:
    script = """
    me = int(sys.argv[2])
    for number in range(20):
        index.record([entry(number), entry(100 * me + number)])
        for _ in range(3):
            index.touch(touch(number, f"user{me}", saved=1.0))
        index.touch(touch(500 + number, saved=1.0))
        if number % 5 == me:
            index.merge()
    """
    processes = [run(address, script, str(me), wait=False) for me in (1, 2, 3, 4)]
    finish(*processes)
    index = open_at(address)
    assert index.merge() == [key(500 + number) for number in range(20)]
    assert [index.get(key(number)) for number in range(20)] == [
        entry(number, hits=12, seconds_saved=12.0, last_used_at=touch(0).last_used_at) for number in range(20)
    ]
    index.record(entry(500 + number) for number in range(20))
    found = index.statistics()
    assert (found.entries, found.hits) == (120, 20 * 3 * 4 + 20 * 4)
    users = {f"user{me}": 60 for me in (1, 2, 3, 4)}
    assert reused(index) == {"ana": 0, "ben": 80, **users}
    index.close()


@pytest.mark.parametrize("round_", range(5))
def test_processes_make_one_index_at_the_same_moment(tmp_path: Path, round_: int) -> None:
    forking = multiprocessing.get_context("fork")
    barrier = forking.Barrier(6)
    children = [
        forking.Process(target=_record_at_once, args=(tmp_path / "store", barrier, n)) for n in range(6)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 6
    index = open_at(None, tmp_path / "store")
    assert index.find("") == [entry(number) for number in range(6)]
    index.close()


def _record_at_once(folder: Path, barrier: Barrier, number: int) -> None:
    index = open_at(None, folder)
    barrier.wait()
    index.record([entry(number)])


def test_touches_leave_at_exit(address: str) -> None:
    run(address, "index.record([entry(1)]); index.touch(touch(1))")
    run(address, "index.touch(touch(1)); raise SystemExit(0)")
    index = open_at(address)
    index.merge()
    assert index.statistics().hits == 2
    index.close()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_touches_leave_when_a_child_of_multiprocessing_ends(address: str, method: str) -> None:
    index = open_at(address)
    index.record([entry(1)])
    index.touch(touch(1, "parent"))
    child = multiprocessing.get_context(method).Process(target=_touch_in_child, args=(address,))
    child.start()
    child.join()
    index.merge()
    assert {user.user: user.reused for user in index.statistics().by_user} == {
        "ana": 0,
        "child": 1,
        "parent": 1,
    }
    index.close()


def test_touches_of_an_inherited_index_leave_when_a_child_of_multiprocessing_ends(address: str) -> None:
    index = open_at(address)
    index.record([entry(1)])
    index.touch(touch(1, "parent"))
    child = multiprocessing.get_context("fork").Process(target=index.touch, args=(touch(1, "child"),))
    child.start()
    child.join()
    index.merge()
    assert reused(index) == {"ana": 0, "child": 1, "parent": 1}
    index.close()


def _touch_in_child(address: str) -> None:
    index = open_at(address)
    index.touch(touch(1, "child"))
    globals()["kept"] = index


def test_a_forked_process_goes_on_with_the_index(address: str) -> None:
    script = """
    index.record([entry(1)])
    index.touch(touch(1, "parent"))
    child = os.fork()
    if child == 0:
        index.record([entry(2)])
        index.touch(touch(1, "child"))
        index.merge()
        os._exit(0 if index.get(key(1)).hits == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    index.record([entry(3)])
    index.merge()
    assert [found.hits for found in index.find("")] == [2, 0, 0]
    assert reused(index) == {"ana": 0, "child": 1, "parent": 1}
    """
    run(address, script)


def test_an_index_nobody_holds_is_collected_and_its_touches_leave(address: str) -> None:
    index = open_at(address)
    index.record([entry(1)])
    index.touch(touch(1))
    index.close()
    index.touch(touch(1))
    known = weakref.ref(index)
    del index
    gc.collect()
    assert known() is None
    other = open_at(address)
    other.merge()
    assert other.statistics().hits == 2
    other.close()


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_deleted_index_is_made_again(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "store"
    ours, theirs = open_at(None, folder), open_at(None, folder)
    for index in (ours, theirs):
        index.record([entry(1)])
    for file in folder.iterdir() if what == "directory" else [folder / "index.sqlite"]:
        file.unlink()
    if what == "directory":
        folder.rmdir()
    assert ours.get(key(1)) is None
    assert theirs.select(Selection()) == []
    ours.touch(touch(1))
    ours.flush()
    ours.record([entry(2)])
    theirs.record([entry(3)])
    assert theirs.merge() == [key(1)]
    assert [found.key for found in ours.find("")] == [key(2), key(3)]
    ours.close()
    assert [found.key for found in theirs.find("")] == [key(2), key(3)]
    theirs.close()
    assert [found.key for found in open_at(None, folder).find("")] == [key(2), key(3)]


def test_a_process_that_has_a_deleted_index_open_does_not_damage_the_new_one(tmp_path: Path) -> None:
    script = """
    index.record(entry(number) for number in range(50))
    print("ready", flush=True)
    sys.stdin.readline()
    index.record(entry(number) for number in range(100, 150))
    assert len(index.find("")) == 100
    """
    file = tmp_path / "index.sqlite"
    process = run(str(file), script, wait=False)
    assert process.stdout is not None
    process.stdout.readline()
    file.unlink()
    index = open_at(str(file))
    index.record(entry(number) for number in range(200, 250))
    assert len(index.find("")) == 50
    finish(process, said="go\n")
    assert len(index.find("")) == 100
    index.close()
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_index_replaced_by_another_is_noticed(tmp_path: Path) -> None:
    index, other = open_at(str(tmp_path / "a.sqlite")), open_at(str(tmp_path / "b.sqlite"))
    index.record([entry(1)])
    other.record([entry(2)])
    other.close()
    for file in tmp_path.glob("a.sqlite*"):
        file.unlink()
    (tmp_path / "b.sqlite").replace(tmp_path / "a.sqlite")
    assert index.get(key(1)) is None
    assert index.get(key(2)) == entry(2)
    index.close()


def test_touch_never_raises_and_goes_on_when_the_index_is_well_again(tmp_path: Path) -> None:
    place = tmp_path / "store"
    place.write_text("in the way")
    index = open_at(None, place)
    for _ in range(600):
        index.touch(touch(1))
    with pytest.raises(IndexUnavailable, match="store"):
        index.flush()
    with pytest.raises(IndexUnavailable, match="cannot be opened or written"):
        index.record([entry(1)])
    with pytest.raises(IndexUnavailable, match="store"):
        index.merge()
    place.unlink()
    index.record([entry(1)])
    index.merge()
    assert index.statistics().hits == 600
    index.close()


def test_a_private_index_is_named_by_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ids: list[str | None] = [None]
    index = open_index(None, directory=None, store_id=lambda: ids[0], remote=True, timeout=5.0)
    assert index.private
    assert index.select(Selection()) == []
    assert index.merge() == []
    assert index.forget([key(1)]) == 0
    with pytest.raises(IndexUnavailable, match="no name yet"):
        index.record([entry(1)])
    ids[0] = "5e1f"
    index.record([entry(1)])
    assert index.url == f"sqlite:///{tmp_path}/cachestore/5e1f.sqlite"
    assert (tmp_path / "cachestore" / "5e1f.sqlite").is_file()
    index.close()


def test_an_ill_store_makes_its_private_index_unavailable() -> None:
    def store_id() -> str:
        raise StorageError("no answer", transient=True)

    index = open_index(None, directory=None, store_id=store_id, remote=True, timeout=5.0)
    index.touch(touch(1))
    with pytest.raises(IndexUnavailable, match="no answer"):
        index.select(Selection())


def test_noting_uses_imports_no_sql(tmp_path: Path) -> None:
    script = f"""
    import sys
    import pathlib
    from datetime import UTC, datetime
    import cachestore.index
    index = cachestore.index.open_index(
        None, directory=pathlib.Path({str(tmp_path)!r}), store_id=lambda: None, remote=False, timeout=5.0
    )
    for _ in range(300):
        index.touch(cachestore.index.Touch("4be1", "ana", 1.7e9, 1.0))
    index.flush()
    index.close()
    print([name for name in ("sqlalchemy", "alembic", "platformdirs", "sqlite3", "multiprocessing", "psycopg",
           "importlib.metadata") if name in sys.modules])
    """
    out = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    ).stdout
    assert out == "[]\n"
    assert (tmp_path / "index.sqlite.spool").stat().st_size


def test_opening_an_index_that_is_up_to_date_imports_no_alembic(address: str) -> None:
    open_at(address).record([entry(1)])
    run(address, "index.record([entry(2)]); assert index.merge() == []; assert 'alembic' not in sys.modules")


def test_recording_is_quick(tmp_path: Path) -> None:
    index = open_at(None, tmp_path)
    index.record([entry(0)])
    took = []
    for number in range(100):
        start = time.perf_counter()
        index.record([entry(number)])
        took.append(time.perf_counter() - start)
    # About a millisecond; the bound is for machines that do much else at the same time.
    assert sorted(took)[50] < 0.02
    index.close()


def test_a_new_index_is_open_to_the_group_of_its_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    before = os.umask(0o077)
    try:
        index = open_at(None, tmp_path / "store")
        index.record([entry(1)])
        index.touch(touch(1))
        index.flush()
    finally:
        os.umask(before)
    for path in [tmp_path / "store", *(tmp_path / "store").iterdir()]:
        wanted = 0o070 if path.is_dir() else 0o060
        assert path.stat().st_mode & wanted == wanted, path
    assert {path.name for path in (tmp_path / "store").iterdir()} >= {"index.sqlite", "index.sqlite.spool"}
    index.close()
