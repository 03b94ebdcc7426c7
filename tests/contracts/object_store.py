"""What every object store promises, as a suite to inherit from."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.storage import ObjectStore, blob_path, is_temporary

KEY = "ab" + 62 * "0"
ODD_PATH = "marks/ana müller/50 % + 1 = ?#&'~日本語.json"


class ObjectStoreContract:
    """Inherit, and give a fixture `reopen`: a function that opens the same, at first empty place again."""

    shared_by_processes = True
    exclusive_across_processes = True
    racers = 8

    @pytest.fixture
    def store(self, reopen: Callable[[], ObjectStore]) -> Iterator[ObjectStore]:
        store = reopen()
        yield store
        store.close()

    @pytest.mark.parametrize("size", [0, 1, 1000, 2**20, 5 * 2**20 + 17])
    def test_what_was_put_is_read(self, store, size):
        data = os.urandom(size)
        store.put(blob_path(KEY), [data[: size // 3], memoryview(data)[size // 3 :]])
        assert store.get(blob_path(KEY)) == data
        assert store.get_suffix(blob_path(KEY), 2**20) == data[-(2**20) :]

    def test_a_file_is_opened_once_more_where_it_is_one(self, store):
        store.put(blob_path(KEY), [b"old bytes"])
        opened = store.open(blob_path(KEY))
        store.put(blob_path(KEY), [b"others"])
        stream = opened.stream()
        if stream is not None:
            with stream:
                assert stream.read() == b"old bytes"
            assert opened.suffix(5) == b"bytes"

    def test_another_form_is_kept_near_or_not_at_all(self, store):
        store.put(blob_path(KEY), [b"the object"])
        taken = []
        form = (taken.append(part) or part for part in (b"another ", memoryview(b"form")))
        if store.keep_near(blob_path(KEY), form, 12):
            assert store.get(blob_path(KEY)) == b"another form"
            assert store.open(blob_path(KEY)).stream() is not None
        else:
            assert not taken
            assert store.get(blob_path(KEY)) == b"the object"

    def test_a_put_without_parts_is_an_empty_object(self, store):
        store.put("marks/empty", [])
        assert store.get("marks/empty") == b""
        assert store.get_suffix("marks/empty", 100) == b""
        assert store.get_range("marks/empty", 0, 100) == b""

    def test_a_put_takes_parts_of_any_shape(self, store):
        parts = [b"ab", memoryview(bytearray(b"cd")), memoryview(b"efgh").cast("I"), b""]
        store.put("marks/a", iter(parts))
        assert store.get("marks/a") == b"abcdefgh"

    def test_who_makes_a_part_may_use_its_memory_again(self, store):
        memory = bytearray(2)

        def parts() -> Iterator[memoryview]:
            for number in range(5):
                memory[:] = bytes([number, number])
                yield memoryview(memory)

        for path in ("marks/a", blob_path(KEY)):
            store.put(path, parts())
            assert store.get(path) == bytes([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])

    def test_reading_what_is_absent(self, store):
        for read in (
            lambda: store.get("store.json"),
            lambda: store.get_suffix(blob_path(KEY), 2**20),
            lambda: store.get_range("marks/a", 0, 10),
        ):
            with pytest.raises(ObjectNotFound) as caught:
                read()
            assert not caught.value.transient

    def test_a_folder_is_no_object(self, store):
        store.put("marks/pins/a", [b"1"])
        for read in (lambda: store.get("marks/pins"), lambda: store.get_suffix("marks/pins", 5)):
            with pytest.raises(ObjectNotFound):
                read()

    def test_what_is_at_hand_is_a_whole_object_or_nothing(self, store):
        store.put("marks/a", [b"some ", b"bytes"])
        assert store.at_hand("marks/a") in (b"some bytes", None)
        assert store.at_hand("marks/b") is None

    def test_suffixes_are_slices(self, store):
        store.put("marks/a", [b"0123456789"])
        assert store.get_suffix("marks/a", 3) == b"789"
        assert store.get_suffix("marks/a", 10) == b"0123456789"
        assert store.get_suffix("marks/a", 11) == b"0123456789"
        assert store.get_suffix("marks/a", 0) == b""

    @pytest.mark.parametrize(
        ("start", "stop"), [(0, 1), (0, 10), (3, 7), (9, 10), (5, 50), (10, 20), (100, 200), (4, 4)]
    )
    def test_ranges_are_slices(self, store, start, stop):
        data = b"0123456789"
        store.put("marks/a", [data])
        assert store.get_range("marks/a", start, stop) == data[start:stop]

    def test_a_put_replaces(self, store):
        store.put("marks/a", [b"a long first object"])
        store.put("marks/a", [b"second"])
        assert store.get("marks/a") == b"second"

    def test_a_version_is_that_of_the_bytes(self, store):
        with pytest.raises(ObjectNotFound):
            store.version("marks/a")
        store.put("marks/a", [b"1"])
        version = store.version("marks/a")
        assert store.get("marks/a") == b"1"
        assert store.version("marks/a") == version
        store.put("marks/a", [b"2"])
        assert store.version("marks/a") != version

    def test_a_put_that_is_interrupted_leaves_nothing(self, store):
        def parts() -> Iterator[bytes]:
            yield 100_000 * b"x"
            raise RuntimeError("the value cannot be encoded after all")

        with pytest.raises(RuntimeError, match="after all"):
            store.put("marks/a", parts())
        with pytest.raises(ObjectNotFound):
            store.get("marks/a")
        assert list(store.list("marks/")) == []

    def test_a_put_that_is_interrupted_leaves_what_was_there(self, store):
        def parts() -> Iterator[bytes]:
            yield 100_000 * b"x"
            raise KeyboardInterrupt

        store.put("marks/a", [b"first"])
        with pytest.raises(KeyboardInterrupt):
            store.put("marks/a", parts())
        assert store.get("marks/a") == b"first"
        assert [info.path for info in store.list("")] == ["marks/a"]

    def test_a_reader_sees_the_old_object_or_the_new_one(self, store, reopen):
        size = 300_000
        store.put("marks/a", [size * b"0"])
        done = threading.Event()

        def replace() -> None:
            writer = reopen()
            for number in range(1, 20):
                writer.put("marks/a", [bytes([48 + number]) * (size // 2)] * 2)
            done.set()

        with ThreadPoolExecutor(1) as pool:
            replacing = pool.submit(replace)
            seen = set()
            while not done.is_set() and not replacing.done():
                data = store.get("marks/a")
                assert len(data) == size
                assert set(data) == {data[0]}
                seen.add(data[0])
            replacing.result()
        assert store.get("marks/a") == size * bytes([67])

    def test_create_makes_what_is_absent(self, store):
        assert store.create("store.json", b'{"id": 1}') is True
        assert store.get("store.json") == b'{"id": 1}'

    def test_create_leaves_what_is_there(self, store):
        store.put("store.json", [b"first"])
        assert store.create("store.json", b"second") is False
        assert store.get("store.json") == b"first"
        assert [info.path for info in store.list("")] == ["store.json"]

    def test_create_again_after_a_delete(self, store):
        assert store.create("marks/lease", b"ana")
        store.delete(["marks/lease"])
        assert store.create("marks/lease", b"ben")
        assert store.get("marks/lease") == b"ben"

    def test_one_thread_wins_a_create(self, store, reopen):
        for number in range(3):
            path = f"marks/lease-{number}"
            gate = threading.Barrier(self.racers)

            def race(name: int, path: str = path, gate: threading.Barrier = gate) -> bool:
                mine = reopen()
                gate.wait()
                return mine.create(path, b"racer %d" % name)

            with ThreadPoolExecutor(self.racers) as pool:
                won = list(pool.map(race, range(self.racers)))
            assert won.count(True) == 1
            assert store.get(path) == b"racer %d" % won.index(True)

    def test_one_process_wins_a_create(self, store, reopen):
        if not self.exclusive_across_processes:
            pytest.skip("this kind of store cannot promise that")
        go, start = os.pipe()
        racers = [
            _forked(lambda name=name: _wait_and_create(go, reopen(), name)) for name in range(self.racers)
        ]
        os.write(start, self.racers * b"!")
        won = [os.waitstatus_to_exitcode(os.waitpid(racer, 0)[1]) for racer in racers]
        os.close(go)
        os.close(start)
        assert sorted(won) == [*(self.racers - 1) * [0], 1]
        assert store.get("marks/lease") == b"racer %d" % won.index(1)

    def test_a_store_survives_a_fork(self, store):
        store.put("marks/parent", [b"1"])
        assert store.get("marks/parent") == b"1"

        def work() -> int:
            assert store.get("marks/parent") == b"1"
            store.put("marks/child", [b"2"])
            return 0

        assert os.waitstatus_to_exitcode(os.waitpid(_forked(work), 0)[1]) == 0
        # The parent's connections have not suffered.
        assert store.get("marks/parent") == b"1"
        if self.shared_by_processes:
            assert store.get("marks/child") == b"2"

    def test_many_threads_share_a_store(self, store):
        def work(number: int) -> bool:
            data = b"%d" % number * 1000
            store.put(f"marks/{number}", [data])
            return store.get(f"marks/{number}") == data

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(24)))

    def test_delete(self, store):
        for name in "abc":
            store.put(f"marks/{name}", [b"1"])
        store.delete(path for path in ["marks/a", "marks/absent", "nowhere/at/all", "marks/b"])
        assert [info.path for info in store.list("")] == ["marks/c"]

    def test_delete_nothing(self, store):
        store.delete([])

    def test_list(self, store):
        before = datetime.now(UTC) - timedelta(seconds=5)
        sizes = {blob_path(KEY): 3, blob_path("cd" + KEY[2:]): 5, "marks/pins/a": 0, "store.json": 7}
        for path, size in sizes.items():
            store.put(path, [size * b"x"])
        assert {info.path: info.size for info in store.list("")} == sizes
        for info in store.list(""):
            assert info.modified.utcoffset() == timedelta(0)
            assert before < info.modified < datetime.now(UTC) + timedelta(seconds=5)

    @pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b/", "a/b/c", "a/bc", "b", "x/", "a/b/c/d"])
    def test_a_listing_is_of_all_paths_with_the_prefix(self, store, prefix):
        paths = ["a/b/c", "a/b/d", "a/bc/d", "ab/c", "a.json", "b"]
        for path in paths:
            store.put(path, [b"1"])
        assert sorted(info.path for info in store.list(prefix)) == sorted(
            path for path in paths if path.startswith(prefix)
        )

    def test_an_empty_store_lists_nothing(self, store):
        assert list(store.list("")) == []
        assert list(store.list("blobs/")) == []

    def test_nothing_temporary_stays(self, store):
        store.put(blob_path(KEY), [b"1"])
        store.put(blob_path(KEY), [b"2"])
        store.create("store.json", b"1")
        store.create("store.json", b"2")
        assert not any(is_temporary(info.path) for info in store.list(""))

    def test_paths_may_hold_any_character(self, store):
        store.put(ODD_PATH, [b"1"])
        assert store.get(ODD_PATH) == b"1"
        assert [info.path for info in store.list("marks/ana mü")] == [ODD_PATH]
        store.delete([ODD_PATH])
        assert store.create(ODD_PATH, b"2") is True
        store.delete([ODD_PATH])
        assert list(store.list("")) == []

    @pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a\0b"])
    def test_no_path_leads_out_of_the_store(self, store, path):
        for work in (
            lambda: store.get(path),
            lambda: store.get_suffix(path, 1),
            lambda: store.put(path, [b"1"]),
            lambda: store.create(path, b"1"),
            lambda: store.delete([path]),
        ):
            with pytest.raises(ValueError, match="names no object"):
                work()

    def test_what_a_store_may_learn_changes_nothing(self, store):
        """`fetch` and `distrust` are about copies, of which a store need not have any."""
        data = os.urandom(3 * 2**20)
        for path in (blob_path(KEY), "marks/a"):
            store.put(path, [data])
            for learn in (
                lambda path=path: store.fetch(path, len(data)),
                lambda path=path: store.distrust(path),
            ):
                store.flush()
                learn()
                assert store.get(path) == data
                assert store.get_range(path, 5, 2**21) == data[5 : 2**21]
        store.distrust(blob_path("cd" + KEY[2:]))
        assert len(list(store.list(""))) == 2

    def test_two_openings_are_one_store(self, store, reopen):
        store.put("marks/a", [b"1"])
        other = reopen()
        assert other.get("marks/a") == b"1"
        other.put("marks/a", [b"2"])
        assert store.get("marks/a") == b"2"
        other.put("marks/b", [b"3"])
        assert sorted(info.path for info in store.list("")) == ["marks/a", "marks/b"]

    def test_a_closed_store_opens_again(self, store):
        store.put("marks/a", [b"1"])
        store.close()
        assert store.get("marks/a") == b"1"

    def test_it_says_where_it_is(self, store):
        assert store.url
        assert "testtest" not in store.url
        with pytest.raises(StorageError) as caught:
            store.get("store.json")
        assert store.url in str(caught.value)


def _forked(work: Callable[[], int]) -> int:
    """Do `work` in a forked child, whose exit code is what it returns; 99 stands for an exception."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        code = work()
    finally:
        # Without pytest's own clean-up, which belongs to the parent.
        os._exit(code)


def _wait_and_create(gate: int, store: ObjectStore, name: int) -> int:
    os.read(gate, 1)
    return int(store.create("marks/lease", b"racer %d" % name))
