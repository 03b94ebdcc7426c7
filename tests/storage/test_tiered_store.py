from __future__ import annotations

import errno
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.storage import LocalStore, blob_path, open_store
from cachestore.storage.tiered_store import TieredStore
from tests.contracts.object_store import KEY, ObjectStoreContract

BLOB = blob_path(KEY)

_numbers = itertools.count()


def silent(kind: str, consequence: str, error: Exception) -> None:
    """Keep to oneself what is ill."""


class FarStore:
    """A directory that counts what is asked of it, and fails or waits where it is told to."""

    remote = True
    at_once = 4

    def __init__(self, root: Path) -> None:
        self.inner = LocalStore(root)
        self.url = self.inner.url
        self.asked: list[str] = []
        self.fault: StorageError | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Event()

    def flush(self):
        """Do nothing."""

    def distrust(self, path):
        """Do nothing."""

    def __getattr__(self, name):
        work = getattr(self.inner, name)

        def asked(*arguments):
            self.asked.append(name)
            if name == "put":
                self.arrived.set()
                assert self.gate.wait(30)
            if self.fault is not None and name not in {"directory", "close"}:
                raise self.fault
            return work(*arguments)

        return asked


@pytest.fixture
def far(tmp_path):
    return FarStore(tmp_path / "far")


@pytest.fixture
def told():
    return []


@pytest.fixture
def open_tiered(tmp_path, far, told):
    """A function that opens the near directory before the far store."""

    def tell(kind, consequence, error):
        told.append(kind)

    def open_it(*, limit=2**30, write_behind=False, to=far):
        return TieredStore(to, tmp_path / "near", limit=limit, write_behind=write_behind, tell=tell)

    return open_it


class Contract(ObjectStoreContract):
    write_behind = False
    limit = 2**30

    @pytest.fixture
    def reopen(self, tmp_path):
        return lambda: TieredStore(
            LocalStore(tmp_path / "far"),
            tmp_path / "near",
            limit=self.limit,
            write_behind=self.write_behind,
            tell=silent,
        )

    def test_a_reader_sees_the_old_blob_or_the_new_one(self, store, reopen):
        size = 300_000
        store.put(BLOB, [size * b"0"])
        with ThreadPoolExecutor(1) as pool:
            writer = reopen()
            replacing = pool.submit(
                lambda: [writer.put(BLOB, [bytes([49 + number]) * size]) for number in range(19)]
            )
            while not replacing.done():
                data = store.get(BLOB)
                assert len(data) == size
                assert set(data) == {data[0]}
        assert store.get(BLOB) == size * bytes([67])

    def test_blobs_survive_a_fork(self, store):
        store.put(BLOB, [b"1"])
        child = os.fork()
        if not child:
            code = 1
            try:
                assert store.get(BLOB) == b"1"
                store.put(blob_path(64 * "c"), [b"2"])
                store.flush()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert store.get(blob_path(64 * "c")) == b"2"
        store.flush()
        assert {info.path for info in store.list("")} == {BLOB, blob_path(64 * "c")}


class TestWriteThrough(Contract):
    pass


class TestWriteBehind(Contract):
    write_behind = True


class OverS3(ObjectStoreContract):
    """A near directory before an S3 server; what was put is asked for once more when all of it is there."""

    write_behind = False

    @pytest.fixture
    def store(self, reopen):
        store = reopen()
        yield store
        store.flush()
        store.close()

    def opener(self, tmp_path, server, s3_store_url):
        location, options = s3_store_url(server)
        far = open_store(location, storage_options=options, timeout=20)
        near = tmp_path / "near"
        return lambda: TieredStore(far, near, limit=2**30, write_behind=self.write_behind, tell=silent)


class TestOverMoto(OverS3):
    racers = 4

    @pytest.fixture
    def reopen(self, tmp_path, moto_server, s3_store_url):
        return self.opener(tmp_path, moto_server, s3_store_url)


class TestOverMotoWriteBehind(TestOverMoto):
    write_behind = True


@pytest.mark.s3
class TestOverSeaweedFS(OverS3):
    # The losers of a race wait for seconds there.
    racers = 3

    @pytest.fixture
    def reopen(self, tmp_path, seaweedfs, s3_store_url):
        return self.opener(tmp_path, seaweedfs, s3_store_url)


class TestOverMemory(ObjectStoreContract):
    shared_by_processes = False
    exclusive_across_processes = False

    @pytest.fixture
    def reopen(self, tmp_path):
        far, near = open_store(f"memory://{tmp_path.name}-{next(_numbers)}"), tmp_path / "near"
        return lambda: TieredStore(far, near, limit=2**30, write_behind=True, tell=silent)


class TestFullNearDirectory(Contract):
    write_behind = True
    limit = 4000


class TestBrokenNearDirectory(Contract):
    write_behind = True

    @pytest.fixture(autouse=True)
    def broken(self, tmp_path):
        (tmp_path / "near").write_text("a file where the directory should be")


def near_files(tmp_path):
    blobs = tmp_path / "near/blobs"
    return {file.name: file for file in blobs.glob("*/*")} if blobs.exists() else {}


def blob(number: int) -> str:
    return blob_path(f"{number:064x}")


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.get(BLOB),
        lambda store: store.get_suffix(BLOB, 11),
        lambda store: store.get_range(BLOB, 0, 9),
    ],
)
def test_what_came_whole_is_kept(open_tiered, far, read):
    far.inner.put(BLOB, [b"0123456789"])
    store = open_tiered()
    first = read(store)
    assert len(far.asked) == 1
    assert read(store) == first
    assert store.get(BLOB) == b"0123456789"
    assert store.get_suffix(BLOB, 3) == b"789"
    assert store.get_range(BLOB, 3, 7) == b"3456"
    assert len(far.asked) == 1


def test_a_blob_of_two_mib_is_near_after_its_reader_had_it(open_tiered, far):
    data = random.randbytes(2 * 2**20 + 5)
    far.inner.put(BLOB, [data])
    store = open_tiered()
    tail = store.get_suffix(BLOB, 2**20)
    assert store.get_range(BLOB, 0, len(data) - 2**20) + tail == data
    assert far.asked == ["get_suffix", "get_range"]
    assert store.get(BLOB) == data
    assert len(far.asked) == 2


def test_a_piece_of_a_large_blob_is_passed_on(open_tiered, far, tmp_path):
    data = random.randbytes(4 * 2**20)
    far.inner.put(BLOB, [data])
    store = open_tiered()
    assert store.get_suffix(BLOB, 2**20) == data[-(2**20) :]
    assert store.get_range(BLOB, 0, 1000) == data[:1000]
    assert store.get_range(BLOB, 2**20, 2**20 + 1000) == data[2**20 : 2**20 + 1000]
    assert near_files(tmp_path) == {}


@pytest.mark.parametrize("size", [0, 1, 8 * 2**20, 20 * 2**20 + 17])
def test_what_is_fetched_is_near_whole(open_tiered, far, tmp_path, size):
    data = random.randbytes(size)
    far.inner.put(BLOB, [data])
    store = open_tiered()
    store.fetch(BLOB, size)
    assert near_files(tmp_path)[KEY].read_bytes() == data
    asked = len(far.asked)
    store.fetch(BLOB, size)
    assert store.get_range(BLOB, 5, 1000) == data[5:1000]
    assert len(far.asked) == asked


@pytest.mark.parametrize("write_behind", [True, False])
def test_another_form_stays_near_and_the_far_store_gets_what_was_put(open_tiered, far, write_behind):
    store = open_tiered(write_behind=write_behind)
    store.put(BLOB, [b"as it was put"])
    assert store.keep_near(BLOB, [b"another ", b"form"], 12)
    store.flush()
    assert far.inner.get(BLOB) == b"as it was put"
    assert open_tiered().get(BLOB) == b"another form"


def test_another_form_that_fails_or_is_too_large_leaves_the_copy_alone(open_tiered, tmp_path):
    store = open_tiered(limit=4000)
    store.put(BLOB, [b"as it was put"])

    def failing():
        yield b"some"
        raise StorageError("The far store is ill.")

    with pytest.raises(StorageError, match="ill"):
        store.keep_near(BLOB, failing(), 12)
    assert not store.keep_near(BLOB, failing(), 1001)  # not even begun
    assert not store.keep_near(BLOB, [bytes(1001)], 12)
    assert not store.keep_near("marks/a", failing(), 12)
    assert near_files(tmp_path)[KEY].read_bytes() == b"as it was put"


def test_what_is_absent_cannot_be_fetched(open_tiered, tmp_path):
    with pytest.raises(ObjectNotFound):
        open_tiered().fetch(BLOB, 5)
    assert near_files(tmp_path) == {}


def test_what_is_too_large_and_what_is_no_blob_is_not_even_asked_for(open_tiered, far, tmp_path):
    store = open_tiered(limit=4000)
    store.fetch(BLOB, 1001)
    store.fetch("store.json", 5)
    assert near_files(tmp_path) == {}
    assert far.asked == []


def test_a_fetch_that_breaks_leaves_nothing(open_tiered, far, tmp_path):
    far.inner.put(BLOB, [bytes(9 * 2**20)])
    store = open_tiered()
    real, calls = far.inner.get_range, itertools.count()

    def get_range(*arguments):
        if next(calls):
            raise StorageError("gone", transient=True)
        return real(*arguments)

    far.inner.get_range = get_range
    with pytest.raises(StorageError, match="gone"):
        store.fetch(BLOB, 9 * 2**20)
    assert near_files(tmp_path) == {}
    assert not list(tmp_path.rglob("near/**/.tmp-*"))


def test_marks_are_far_only(open_tiered, far, tmp_path):
    store = open_tiered(write_behind=True)
    store.put("marks/a", [b"1"])
    assert far.inner.get("marks/a") == b"1"
    far.inner.put("marks/a", [b"2"])
    assert store.get("marks/a") == store.get_suffix("marks/a", 9) == store.get_range("marks/a", 0, 9) == b"2"
    assert not (tmp_path / "near").exists()


def test_a_put_is_near_and_far(open_tiered, far):
    store = open_tiered()
    store.put(BLOB, iter([b"1", memoryview(b"2")]))
    assert far.inner.get(BLOB) == b"12"
    assert store.get(BLOB) == b"12"
    assert "get" not in far.asked


def test_a_put_that_the_far_store_refuses_is_not_near(open_tiered, far, tmp_path):
    store = open_tiered()
    far.fault = StorageError("refused")
    with pytest.raises(StorageError, match="refused"):
        store.put(BLOB, [b"1"])
    assert near_files(tmp_path) == {}


def test_a_put_too_large_for_the_near_directory_takes_the_old_copy_away(open_tiered, far):
    store = open_tiered(limit=4000)
    store.put(BLOB, [b"old"])
    store.put(BLOB, [600 * b"n", 600 * b"n"])
    assert store.get(BLOB) == 1200 * b"n"


def test_a_copy_read_before_a_put_does_not_replace_it(open_tiered, far):
    store = open_tiered()
    far.inner.put(BLOB, [b"old"])
    real = far.inner.get

    def get(path):
        data = real(path)
        store.put(path, [b"new"])
        return data

    far.inner.get = get
    assert store.get(BLOB) == b"old"
    assert store.get(BLOB) == b"new"


def test_delete_deletes_both(open_tiered, far, tmp_path):
    store = open_tiered()
    store.put(BLOB, [b"1"])
    store.delete([BLOB])
    assert near_files(tmp_path) == {}
    with pytest.raises(ObjectNotFound):
        store.get(BLOB)


def test_what_is_distrusted_is_asked_for_again(open_tiered, far, tmp_path):
    store = open_tiered()
    store.put(BLOB, [b"right"])
    near_files(tmp_path)[KEY].write_bytes(b"wrong")
    assert store.get(BLOB) == b"wrong"
    store.distrust(BLOB)
    assert store.get(BLOB) == b"right"
    store.distrust("store.json")


def test_what_is_distrusted_before_it_was_sent_is_not_sent(open_tiered, far, tmp_path):
    far.inner.put(BLOB, [b"sound"])
    store = open_tiered(write_behind=True)
    far.fault = StorageError("busy", transient=True)
    store.put(BLOB, [b"damaged near, and still waiting"])
    store.distrust(BLOB)
    far.fault = None
    store.flush()
    assert far.inner.get(BLOB) == store.get(BLOB) == b"sound"
    assert list(tmp_path.glob("near/waiting/*/*")) == []


def test_what_was_not_used_for_longest_goes_first(open_tiered, tmp_path):
    store = open_tiered(limit=64_000)
    modified = {}
    # Recent enough that the filesystem does not note a use itself.
    before = time.time_ns() - 10**12
    for number in range(50):
        store.put(blob(number), [1000 * b"x"])
        file = near_files(tmp_path)[f"{number:064x}"]
        os.utime(file, ns=(before + number * 10**9, number))
        modified[file.name] = file.stat().st_mtime_ns
    used = range(0, 50, 10)
    for number in used:
        store.get_suffix(blob(number), 10)
    store.put(blob(50), [16_000 * b"x"])
    left = {int(name, 16) for name in near_files(tmp_path)}
    # 66 kB are 10 kB more than seven eighths of the limit.
    assert left == set(range(51)) - {*range(1, 10), 11}
    for number in used:
        name = f"{number:064x}"
        assert near_files(tmp_path)[name].stat().st_mtime_ns == modified[name]


def test_what_died_half_written_is_removed_once_it_is_old(open_tiered, tmp_path):
    store = open_tiered(limit=4000)
    store.put(BLOB, [b"1"])
    old, new = (tmp_path / f"near/blobs/ab/.tmp-{16 * digit}" for digit in "01")
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.put(BLOB, [1000 * b"1"])
    assert not old.exists()
    assert new.exists()


_WORK = """
import random, sys
from cachestore.storage import LocalStore, blob_path
from cachestore.storage.tiered_store import TieredStore
far, near, seed = sys.argv[1:]
store = TieredStore(LocalStore(far), near, limit=100_000, write_behind=seed == "1", tell=print)
chance = random.Random(int(seed))
for _ in range(400):
    number = chance.randrange(60)
    path = blob_path(f"{number:064x}")
    if chance.random() < 0.3:
        store.put(path, [5000 * bytes([number])])
    reads = [store.get, lambda path: store.get_suffix(path, 9999), lambda path: store.get_range(path, 0, 9999)]
    assert chance.choice(reads)(path) == 5000 * bytes([number])
    store.fetch(path, 5000)
    store.at_hand(path)
"""


def test_processes_share_a_near_directory_that_is_too_small(tmp_path):
    far = LocalStore(tmp_path / "far")
    for number in range(60):
        far.put(blob(number), [5000 * bytes([number])])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _WORK, str(tmp_path / "far"), str(tmp_path / "near"), str(seed)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for seed in range(4)
    ]
    for process in processes:
        assert process.communicate(timeout=120)[0] == ""
        assert process.returncode == 0
    assert 20_000 < sum(file.stat().st_size for file in near_files(tmp_path).values()) <= 110_000


@pytest.mark.parametrize("write_behind", [False, True])
def test_a_full_disk_is_no_failure(open_tiered, far, told, monkeypatch, write_behind):
    store = open_tiered(write_behind=write_behind)
    store.put(BLOB, [b"old"])
    store.flush()
    real = os.open

    def full(path, flags, *mode, **options):
        if flags & os.O_CREAT and "near" in Path(path).parts:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, flags, *mode, **options)

    monkeypatch.setattr(os, "open", full)
    store.put(BLOB, [b"new"])
    assert store.get(BLOB) == b"new"
    assert far.inner.get(BLOB) == b"new"
    assert set(told) == {"near"}


@pytest.fixture
def small_disk(tmp_path):
    """A filesystem of 1 MiB at the near directory."""
    near = tmp_path / "near"
    near.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", near], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a filesystem")
    yield near
    subprocess.run(["umount", "--lazy", near], check=True)


@pytest.mark.parametrize("write_behind", [False, True])
def test_a_disk_that_fills_up_is_no_failure(open_tiered, far, told, tmp_path, small_disk, write_behind):
    store = open_tiered(write_behind=write_behind)
    for number in range(8):
        store.put(blob(number), [300_000 * bytes([48 + number])])
    for number in range(8):
        far.inner.put(blob(number + 8), [2_000_000 * b"x"])
        assert store.get(blob(number)) == 300_000 * bytes([48 + number])
        assert store.get_suffix(blob(number + 8), 3_000_000) == 2_000_000 * b"x"
        store.fetch(blob(number + 8), 2_000_000)
        assert f"{number + 8:064x}" not in near_files(tmp_path)
    store.flush()
    assert [far.inner.get(blob(number))[:1] for number in range(8)] == [b"%d" % each for each in range(8)]
    assert set(told) == {"near"}
    assert not list(small_disk.rglob(".tmp-*"))


def test_a_directory_that_is_read_only_is_no_failure(open_tiered, far, told, small_disk):
    store = open_tiered()
    store.put(BLOB, [b"near"])
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    far.inner.put(blob(1), [b"far"])
    store = open_tiered(write_behind=True)
    assert store.get(BLOB) == b"near"
    assert store.get(blob(1)) == b"far"
    store.put(blob(2), [b"put"])
    assert far.inner.get(blob(2)) == b"put"
    store.flush()
    assert set(told) == {"near"}
    store.distrust(BLOB)
    far.inner.put(BLOB, [b"new"])
    assert store.get(BLOB) == b"new"


def test_what_waits_is_on_the_disk_and_copies_need_not_be(open_tiered, far, tmp_path, monkeypatch):
    synced = []
    real = os.fsync

    def fsync(file):
        path = Path(f"/proc/self/fd/{file}").readlink()
        synced.append(path.name if path == tmp_path else path.relative_to(tmp_path).parts[0])
        return real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    far.inner.put(BLOB, [b"1"])
    synced.clear()
    store = open_tiered(limit=2**40)
    store.get(BLOB)
    store.fetch(BLOB, 1)
    assert synced == []
    store.put(blob(1), [b"1"])
    assert set(synced) == {"far"}
    behind = open_tiered(write_behind=True)
    behind.put(blob(2), [b"1"])
    assert "near" in synced
    behind.flush()


def test_a_copy_that_cannot_be_removed_answers_no_more(open_tiered, far, told, monkeypatch):
    store = open_tiered()
    store.put(BLOB, [b"1"])
    real = Path.unlink

    def unlink(file, **options):
        if "near" in file.parts:
            raise OSError(errno.EROFS, "Read-only file system")
        real(file, **options)

    monkeypatch.setattr(Path, "unlink", unlink)
    store.delete([BLOB])
    with pytest.raises(ObjectNotFound):
        store.get(BLOB)
    assert set(told) == {"near"}


def test_write_behind_returns_before_the_far_store_has_it(open_tiered, far):
    store = open_tiered(write_behind=True)
    far.gate.clear()
    store.put(BLOB, [b"1"])
    assert far.arrived.wait(10)
    assert store.get(BLOB) == store.get_suffix(BLOB, 10) == b"1"
    with pytest.raises(ObjectNotFound):
        far.inner.get(BLOB)
    far.gate.set()
    store.flush()
    assert far.inner.get(BLOB) == b"1"


def test_puts_arrive_in_their_order(open_tiered, far):
    store = open_tiered(write_behind=True)
    far.gate.clear()
    for number in range(9):
        store.put(BLOB, [b"%d" % number])
    far.gate.set()
    store.flush()
    assert far.inner.get(BLOB) == store.get(BLOB) == b"8"


def test_where_nothing_can_wait_it_is_sent_at_once(open_tiered, far, told, monkeypatch, tmp_path):
    def refuse(*arguments, **options):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store = open_tiered(write_behind=True)
    for number in range(3):
        store.put(blob(number), [b"1"])
        assert far.inner.get(blob(number)) == b"1"
    assert told == ["write-behind"]
    assert len(near_files(tmp_path)) == 3
    far.inner.put(BLOB, [b"2"])
    assert store.get(BLOB) == b"2"
    assert KEY in near_files(tmp_path)


def test_what_waits_is_not_given_up(open_tiered, far, tmp_path):
    store = open_tiered(limit=4000, write_behind=True)
    far.gate.clear()
    store.put(BLOB, [900 * b"w"])
    os.utime(near_files(tmp_path)[KEY], (0, 0))
    reader = open_tiered(limit=4000)
    for number in range(9):
        far.inner.put(blob(number), [900 * b"x"])
        reader.get(blob(number))
    assert KEY in near_files(tmp_path)
    assert len(near_files(tmp_path)) < 5
    far.gate.set()
    store.flush()


def test_only_so_much_waits(open_tiered, far, tmp_path):
    store = open_tiered(limit=4000, write_behind=True)
    far.fault = StorageError("busy", transient=True)
    store.put(blob(1), [900 * b"x"])
    with pytest.raises(StorageError, match="busy"):
        store.put(blob(2), [900 * b"x"])
    far.fault = None
    store.put(blob(2), [900 * b"x"])
    assert far.inner.get(blob(2)) == 900 * b"x"


def test_only_so_much_waits_of_all_processes_together(open_tiered, far, tmp_path):
    first, second = (open_tiered(limit=4000, write_behind=True) for _ in range(2))
    far.fault = StorageError("busy", transient=True)
    first.put(blob(1), [900 * b"x"])
    with pytest.raises(StorageError, match="busy"):
        second.put(blob(2), [900 * b"x"])
    second.put(blob(3), [50 * b"x"])
    far.fault = None
    first.flush()
    far.fault = StorageError("busy", transient=True)
    second.put(blob(2), [900 * b"x"])
    far.fault = None
    second.flush()


def test_what_the_far_store_does_not_take_keeps_its_place(open_tiered, far, told):
    store = open_tiered(write_behind=True)
    far.fault = StorageError("busy", transient=True)
    for number in range(3):
        store.put(blob(number), [b"1"])
    with pytest.raises(StorageError, match="busy"):
        store.flush()
    assert set(told) <= {"write-behind"}
    far.fault = None
    store.flush()
    assert {info.path for info in far.inner.list("")} == {blob(number) for number in range(3)}


def test_what_the_far_store_refuses_waits_on(open_tiered, far, tmp_path):
    store = open_tiered(write_behind=True)
    far.fault = StorageError("refused")
    for number in range(9):
        store.put(blob(number), [b"1"])
    store.close()
    with pytest.raises(StorageError, match="refused"):
        store.flush()
    assert len(list(tmp_path.glob("near/waiting/*/*"))) == 9
    far.fault = None
    store.flush()
    assert {info.path for info in far.inner.list("")} == {blob(number) for number in range(9)}
    assert list(tmp_path.glob("near/waiting/*/*")) == []


def test_after_a_refusal_puts_do_not_ask_again_at_once(open_tiered, far):
    store = open_tiered(write_behind=True)
    far.fault = StorageError("refused")
    store.put(blob(0), [b"1"])
    with pytest.raises(StorageError, match="refused"):
        store.flush()
    asked = far.asked.count("put")
    for number in range(1, 9):
        store.put(blob(number), [b"1"])
        time.sleep(0.01)
    # At most the round that had begun by then.
    assert far.asked.count("put") <= asked + 3


def test_what_alone_is_refused_holds_up_nothing(open_tiered, far):
    real = far.inner.put

    def put(path, parts):
        if path in {blob(0), blob(1), blob(2)}:
            raise StorageError("too large")
        real(path, parts)

    far.inner.put = put
    store = open_tiered(write_behind=True)
    for number in range(5):
        store.put(blob(number), [b"1"])
    for _ in range(2):
        with pytest.raises(StorageError, match="too large"):
            store.flush()
    assert {info.path for info in far.inner.list("")} == {blob(3), blob(4)}


def test_a_near_file_that_cannot_be_read_for_now_waits_on(open_tiered, far, monkeypatch):
    store = open_tiered(write_behind=True)
    far.fault = StorageError("busy", transient=True)
    store.put(BLOB, [b"1"])
    with pytest.raises(StorageError, match="busy"):
        store.flush()
    far.fault = None

    def fail(file, *arguments):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", fail)
        with pytest.raises(StorageError, match="Too many open files") as caught:
            store.flush()
    assert caught.value.transient
    store.flush()
    assert far.inner.get(BLOB) == b"1"


def test_what_waits_can_be_deleted(open_tiered, far):
    store = open_tiered(write_behind=True)
    far.gate.clear()
    for number in range(3):
        store.put(blob(number), [b"1"])
    assert far.arrived.wait(10)
    with ThreadPoolExecutor(1) as pool:
        # The first is under way, the second waits; a process that does not write behind deletes the third.
        deleting = pool.submit(store.delete, [blob(0), blob(1)])
        open_tiered().delete([blob(2)])
        far.gate.set()
        deleting.result(30)
    store.flush()
    assert list(far.inner.list("")) == []
    with pytest.raises(ObjectNotFound):
        store.get(blob(0))


@pytest.mark.parametrize("change", ["delete", "distrust", "put"])
def test_a_change_waits_for_no_other_object(open_tiered, far, change):
    real, gate = far.inner.put, threading.Event()

    def put(path, parts):
        if path == blob(0):
            assert gate.wait(30)
        real(path, parts)

    far.inner.put = put
    store = open_tiered(limit=4000, write_behind=True)
    for number in range(3):
        store.put(blob(number), [b"1"])
    assert far.arrived.wait(10)
    changes = {
        "delete": lambda: store.delete([blob(1)]),
        "distrust": lambda: store.distrust(blob(1)),
        "put": lambda: store.put(blob(1), [1200 * b"2"]),
    }
    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(changes[change]).result(10)
        finally:
            gate.set()
    store.flush()
    assert far.inner.get(blob(2)) == b"1"
    if change == "put":
        assert far.inner.get(blob(1)) == 1200 * b"2"
    else:
        with pytest.raises(ObjectNotFound):
            far.inner.get(blob(1))


def test_nothing_is_sent_while_it_is_replaced(open_tiered, far):
    real = far.inner.put

    with ThreadPoolExecutor(1) as pool:

        def put(path, parts):
            data = b"".join(parts)
            if data == b"1":
                raise StorageError("busy", transient=True)
            sending = pool.submit(store.flush)
            with pytest.raises(TimeoutError):
                sending.result(0.2)
            real(path, [data])

        far.inner.put = put
        store = open_tiered(limit=4000, write_behind=True)
        store.put(BLOB, [b"1"])
        with pytest.raises(StorageError, match="busy"):
            store.flush()
        store.put(BLOB, [1200 * b"2"])
    # Nor afterwards: it would fail.
    store.flush()
    assert far.inner.get(BLOB) == 1200 * b"2"


def test_what_is_put_through_is_not_replaced_by_what_waited(open_tiered, far):
    store = open_tiered(limit=4000, write_behind=True)
    far.gate.clear()
    store.put(BLOB, [900 * b"1"])
    assert far.arrived.wait(10)
    far.fault = StorageError("busy", transient=True)
    far.gate.set()
    with pytest.raises(StorageError, match="busy"):
        store.flush()
    far.fault = None
    store.put(BLOB, [1200 * b"2"])
    store.flush()
    assert far.inner.get(BLOB) == store.get(BLOB) == 1200 * b"2"


def test_what_waits_is_sent_when_a_later_put_failed(open_tiered, far):
    store = open_tiered(limit=4000, write_behind=True)
    far.fault = StorageError("busy", transient=True)
    store.put(BLOB, [b"1"])
    with pytest.raises(StorageError, match="busy"):
        store.put(BLOB, [1200 * b"2"])
    far.fault = None
    store.flush()
    assert far.inner.get(BLOB) == store.get(BLOB) == b"1"


def test_of_two_processes_puts_the_older_is_not_sent_last(open_tiered, far, tmp_path):
    far.fault = StorageError("busy", transient=True)
    older, newer = (open_tiered(write_behind=True) for _ in range(2))
    for number, store in enumerate([older, newer]):
        store.put(BLOB, [b"%d" % number])
        with pytest.raises(StorageError, match="busy"):
            store.flush()
    far.fault = None
    newer.flush()
    older.flush()
    assert far.inner.get(BLOB) == newer.get(BLOB) == b"1"


def test_a_forked_child_leaves_to_its_parent_what_waits(open_tiered, far):
    store = open_tiered(write_behind=True)
    far.gate.clear()
    store.put(BLOB, [b"1"])
    assert far.arrived.wait(10)
    asked = far.asked.count("put")
    child = os.fork()
    if not child:
        # The parent's thread holds its lock, and does not exist here.
        signal.alarm(10)
        code = 1
        try:
            store.flush()
            code = far.asked.count("put") - asked
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    open_tiered(to=FarStore(far.inner.directory())).flush()
    with pytest.raises(ObjectNotFound):
        far.inner.get(BLOB)
    far.gate.set()
    store.flush()
    assert far.inner.get(BLOB) == b"1"


@pytest.mark.parametrize("write_behind", [False, True])
@pytest.mark.parametrize("reply_lost", [False, True])
@pytest.mark.parametrize("faulty", range(14))
def test_whichever_operation_fails_no_answer_is_wrong(open_tiered, far, faulty, reply_lost, write_behind):
    countdown = itertools.count()

    class Failing:
        url, remote = far.url, True

        def __getattr__(self, name):
            def work(*arguments):
                fails = next(countdown) == faulty
                answer = getattr(far, name)(*arguments) if reply_lost or not fails else None
                if fails:
                    raise StorageError("no answer", transient=True)
                return answer

            return work

    store = open_tiered(limit=4000, write_behind=write_behind, to=Failing())
    steps = [
        *(lambda number=number: store.put(blob(number % 4), [b"%d" % number * 300]) for number in range(8)),
        *(lambda number=number: store.get(blob(number)) for number in range(4)),
        lambda: store.get_suffix(blob(0), 5000),
        lambda: store.get_range(blob(1), 0, 5000),
        store.flush,
    ]
    for step in steps:
        try:
            answer = step()
        except StorageError:
            continue
        if answer is not None:
            assert len(answer) == 300
            assert len(set(answer)) == 1
    for _ in range(2):
        with suppress(StorageError):
            store.flush()
    for number in range(4):
        # The last put, or the one before where the last failed: never a piece, never another's.
        values = {b"%d" % number * 300, b"%d" % (number + 4) * 300}
        assert {store.get(blob(number)), far.inner.get(blob(number))} <= values


def test_at_exit_all_is_sent_to_s3(tmp_path, moto_server, s3_store_url):
    location, options = s3_store_url(moto_server)
    code = (
        "from cachestore.storage import blob_path, open_store\n"
        "from cachestore.storage.tiered_store import TieredStore\n"
        f"far = open_store({location!r}, storage_options={options!r}, timeout=20)\n"
        f"store = TieredStore(far, {str(tmp_path)!r}, limit=2**30, write_behind=True, tell=print)\n"
        "for number in range(5):\n"
        "    store.put(blob_path(f'{number:064x}'), [b'%d' % number])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    far = open_store(location, storage_options=options, timeout=20)
    assert [far.get(blob(number)) for number in range(5)] == [b"%d" % number for number in range(5)]


_KILLED = """
import os, signal, sys, threading
from cachestore.storage import LocalStore, blob_path
from cachestore.storage.tiered_store import TieredStore
far, near, end = sys.argv[1:]
class Far(LocalStore):
    def put(self, path, parts):
        if end == "kill":
            threading.Event().wait()
        super().put(path, parts)
store = TieredStore(Far(far), near, limit=2**30, write_behind=True, tell=print)
for number in range(5):
    store.put(blob_path(f"{number:064x}"), [b"%d" % number])
if end == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if end == "gone":
    del store
"""


def run_to_its_end(tmp_path, end):
    command = [sys.executable, "-c", _KILLED, str(tmp_path / "far"), str(tmp_path / "near"), end]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stderr == ran.stdout == ""
    return ran.returncode


@pytest.mark.parametrize("end", ["normal", "gone"])
def test_at_exit_all_is_sent(tmp_path, end):
    assert run_to_its_end(tmp_path, end) == 0
    far = LocalStore(tmp_path / "far")
    assert [far.get(blob(number)) for number in range(5)] == [b"%d" % number for number in range(5)]


@pytest.mark.parametrize("write_behind", [False, True])
def test_what_a_killed_process_left_the_next_one_sends(open_tiered, far, tmp_path, write_behind):
    assert run_to_its_end(tmp_path, "kill") == -signal.SIGKILL
    assert list(far.inner.list("")) == []
    store = open_tiered(write_behind=write_behind)
    assert {info.path for info in store.list("")} == {blob(number) for number in range(5)}
    assert far.inner.get(blob(3)) == b"3"
    assert list(tmp_path.glob("near/waiting/*")) == []


_READING = """
import sys
from cachestore.storage import LocalStore, blob_path
from cachestore.storage.tiered_store import TieredStore
far, near = sys.argv[1:]
store = TieredStore(LocalStore(far), near, limit=2**30, write_behind=True, tell=print)
assert store.get(blob_path(f"{3:064x}")) == b"3"
"""


def test_what_a_killed_process_left_is_sent_by_one_that_only_reads_near(far, tmp_path):
    assert run_to_its_end(tmp_path, "kill") == -signal.SIGKILL
    command = [sys.executable, "-c", _READING, str(tmp_path / "far"), str(tmp_path / "near")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert {info.path for info in far.inner.list("")} == {blob(number) for number in range(5)}
    assert list(tmp_path.glob("near/waiting/*")) == []


def test_where_nothing_was_left_opening_starts_no_thread(open_tiered, tmp_path):
    before = threading.active_count()
    store = open_tiered(write_behind=True)
    assert (threading.active_count(), store.remote) == (before, True)
    assert not (tmp_path / "near").exists()


def test_who_may_not_write_leaves_to_others_what_a_killed_process_left(open_tiered, far, tmp_path):
    assert run_to_its_end(tmp_path, "kill") == -signal.SIGKILL
    far.fault = StorageError("refused")
    reader = open_tiered()
    with suppress(StorageError):
        list(reader.list(""))
    reader.close()
    assert len(list(tmp_path.glob("near/waiting/*/*"))) == 5
    assert far.asked.count("put") == 6
    far.fault = None
    # While the reader lives.
    open_tiered(write_behind=True).flush()
    assert {info.path for info in far.inner.list("")} == {blob(number) for number in range(5)}


def test_what_dead_processes_left_counts_as_waiting(open_tiered, far, tmp_path):
    assert run_to_its_end(tmp_path, "kill") == -signal.SIGKILL
    far.fault = StorageError("refused")
    store = open_tiered(limit=40, write_behind=True)
    with pytest.raises(StorageError, match="refused"):
        store.put(BLOB, [6 * b"x"])
    assert len(list(tmp_path.glob("near/waiting/*/*"))) == 5


def test_what_a_living_process_sends_is_left_to_it(open_tiered, far, tmp_path):
    store = open_tiered(write_behind=True)
    far.gate.clear()
    store.put(BLOB, [b"1"])
    other = FarStore(tmp_path / "far")
    open_tiered(to=other).flush()
    assert other.asked == []
    far.gate.set()
    store.flush()
    assert far.inner.get(BLOB) == b"1"


def test_each_use_is_noted_whether_or_not_the_filesystem_does(open_tiered, tmp_path):
    store = open_tiered()
    store.put(BLOB, [b"1"])
    file = near_files(tmp_path)[KEY]
    # No filesystem sets back what lies ahead.
    ahead = time.time_ns() + 10**15
    for use in (store.get, lambda path: store.get_range(path, 0, 1), store.open):
        os.utime(file, ns=(ahead, 5))
        use(BLOB)
        assert file.stat().st_atime_ns < ahead
        assert file.stat().st_mtime_ns == 5
