from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import pytest

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.storage import ObjectInfo, open_store
from cachestore.storage.deadline import remaining
from cachestore.storage.guarded_store import GuardedStore
from tests.contracts.object_store import ObjectStoreContract
from tests.faults.faulty_store import Clock

_numbers = itertools.count()


class TestGuardedMemory(ObjectStoreContract):
    shared_by_processes = False
    exclusive_across_processes = False

    @pytest.fixture
    def reopen(self):
        location = f"memory://guarded-{next(_numbers)}"
        return lambda: GuardedStore(open_store(location))


class TestGuardedDirectory(ObjectStoreContract):
    @pytest.fixture
    def reopen(self, tmp_path):
        return lambda: GuardedStore(open_store(str(tmp_path / "store")))


class FaultyStore:
    """A memory store of which the next operations fail, each taking some seconds."""

    at_once = 4
    per_delete = 1

    def __init__(self, clock: Clock) -> None:
        self.inner = open_store(f"memory://faulty-{next(_numbers)}")
        self.url = "s3://faulty"
        self.remote = True
        self.clock = clock
        self.faults: list[Exception] = []
        self.seconds = 0.0
        self.asked = 0
        self.left: list[float] = []

    def _meet(self, work: Callable):
        self.asked += 1
        self.clock.now += self.seconds
        self.left.append(remaining(1e9))
        if self.faults:
            raise self.faults.pop(0)
        return work()

    def get(self, path):
        return self._meet(lambda: self.inner.get(path))

    def get_suffix(self, path, length):
        return self._meet(lambda: self.inner.get_suffix(path, length))

    def get_range(self, path, start, stop):
        return self._meet(lambda: self.inner.get_range(path, start, stop))

    def put(self, path, parts):
        return self._meet(lambda: self.inner.put(path, parts))

    def create(self, path, data):
        return self._meet(lambda: self.inner.create(path, data))

    def delete(self, paths):
        return self._meet(lambda: self.inner.delete(paths))

    def list(self, prefix):
        yield from self._meet(lambda: self.inner.list(prefix))
        if self.faults:
            raise self.faults.pop(0)


def busy(number: int = 0) -> StorageError:
    return StorageError(f"busy {number}", transient=True)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def faulty(clock):
    return FaultyStore(clock)


@pytest.fixture
def guarded(faulty, clock):
    return GuardedStore(faulty, timeout=5.0, clock=clock, sleep=clock.sleep)


OPERATIONS = {
    "get": lambda store: store.get("marks/a"),
    "get_suffix": lambda store: store.get_suffix("marks/a", 10),
    "get_range": lambda store: store.get_range("marks/a", 0, 10),
    "put": lambda store: store.put("marks/a", iter([b"1", b"2"])),
    "create": lambda store: store.create("marks/b", b"1"),
    "delete": lambda store: store.delete(iter(["marks/a"])),
    "list": lambda store: list(store.list("")),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_two_transient_failures_are_survived(guarded, faulty, operation):
    faulty.inner.put("marks/a", [b"0"])
    faulty.faults = [busy(1), busy(2)]
    OPERATIONS[operation](guarded)
    assert faulty.asked == 3


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_third_failure_is_the_answer(guarded, faulty, operation):
    faulty.faults = [busy(1), busy(2), busy(3), busy(4)]
    with pytest.raises(StorageError, match="busy 3"):
        OPERATIONS[operation](guarded)
    assert faulty.asked == 3


def test_a_second_try_puts_all_of_a_stream(guarded, faulty):
    faulty.faults = [busy()]
    guarded.put("marks/a", iter([b"1", memoryview(b"2")]))
    assert faulty.inner.get("marks/a") == b"12"


def test_the_pauses_grow(guarded, faulty, clock):
    faulty.faults = [busy(), busy()]
    with pytest.raises(ObjectNotFound):
        guarded.get("marks/a")
    first, second = clock.slept
    assert 0.05 <= first <= 0.15 < second <= 0.45


@pytest.mark.parametrize("error", [ObjectNotFound("none"), StorageError("refused"), RuntimeError("a bug")])
def test_what_is_not_transient_is_not_tried_again(guarded, faulty, error):
    faulty.faults = [error]
    with pytest.raises(type(error)):
        guarded.get("marks/a")
    assert faulty.asked == 1


def test_no_try_begins_after_the_timeout(guarded, faulty, clock):
    faulty.seconds = 4.0
    faulty.faults = [busy(), busy(), busy()]
    with pytest.raises(StorageError):
        guarded.get("marks/a")
    assert faulty.asked == 2
    faulty.seconds = 5.0
    faulty.faults = [busy(), busy(), busy()]
    with pytest.raises(StorageError):
        guarded.put("marks/a", [2**20 * b"x"])
    assert faulty.asked == 3


def test_the_inner_store_sees_the_deadline(guarded, faulty):
    faulty.inner.put("marks/a", [b"1"])
    guarded.get_suffix("marks/a", 2**20)
    guarded.put("marks/a", [8 * 2**20 * b"x"])
    guarded.get_range("marks/a", 2**20, 3 * 2**20)
    assert all(4.5 < left <= 5.0 for left in faulty.left)
    assert remaining(1e9) == 1e9


def test_a_large_put_has_no_deadline_of_its_own_and_one_try(guarded, faulty):
    guarded.put("marks/a", [5 * 2**20 * b"x", 5 * 2**20 * b"y"])
    assert faulty.left == [1e9]
    assert faulty.inner.get("marks/a") == 5 * 2**20 * b"x" + 5 * 2**20 * b"y"
    faulty.faults = [busy()]
    with pytest.raises(StorageError, match="busy"):
        guarded.put("marks/a", iter([9 * 2**20 * b"x"]))
    assert faulty.asked == 2


def test_a_large_put_is_not_held_in_memory(guarded, faulty):
    made, taken = [], []
    faulty.put = lambda path, parts: taken.extend((len(made), len(part)) for part in parts)
    faulty.inner = faulty

    def parts():
        for number in range(8):
            made.append(number)
            yield bytes(4 * 2**20)

    guarded.put("marks/a", parts())
    assert taken == [(4, 8 * 2**20), (4, 8 * 2**20), (6, 8 * 2**20), (8, 8 * 2**20)]


def test_large_puts_that_fail_open_the_breaker(guarded, faulty):
    faulty.faults = [busy(), busy(), busy()]
    for _ in range(3):
        with pytest.raises(StorageError, match="busy"):
            guarded.put("marks/a", [9 * 2**20 * b"x"])
    with pytest.raises(StorageError, match="left alone"):
        guarded.get("marks/a")


def fail_operation(guarded, faulty):
    faulty.faults = [busy(), busy(), busy()]
    with pytest.raises(StorageError, match="busy"):
        guarded.get("marks/a")


def test_a_store_that_keeps_failing_is_left_alone(guarded, faulty, clock):
    for _ in range(3):
        fail_operation(guarded, faulty)
    asked = faulty.asked
    faulty.faults = []
    for operation in OPERATIONS.values():
        with pytest.raises(StorageError, match=r"left alone for 10 s more\. The last time: busy 0") as caught:
            operation(guarded)
        assert caught.value.transient is True
    assert faulty.asked == asked


def test_one_probe_finds_out_whether_it_is_well_again(guarded, faulty, clock):
    faulty.inner.put("marks/a", [b"1"])
    for _ in range(3):
        fail_operation(guarded, faulty)
    clock.now += 9.9
    with pytest.raises(StorageError, match="left alone"):
        guarded.get("marks/a")
    clock.now += 0.2
    fail_operation(guarded, faulty)  # the probe; it opens the breaker again at once
    asked = faulty.asked
    with pytest.raises(StorageError, match="left alone"):
        guarded.get("marks/a")
    assert faulty.asked == asked
    clock.now += 10.1
    assert guarded.get("marks/a") == b"1"
    assert guarded.get("marks/a") == b"1"


def test_while_the_probe_is_out_others_fail_at_once(guarded, faulty, clock):
    for _ in range(3):
        fail_operation(guarded, faulty)
    clock.now += 10.1
    faulty.inner.put("marks/a", [b"1"])
    real = faulty.inner.get

    def get(path):
        asked = faulty.asked
        with pytest.raises(StorageError, match="left alone"):
            guarded.get("marks/a")
        assert faulty.asked == asked
        return real(path)

    faulty.inner.get = get
    assert guarded.get("marks/a") == b"1"


@pytest.mark.parametrize("answer", [ObjectNotFound("none"), StorageError("refused"), None])
def test_any_answer_resets_the_breaker(guarded, faulty, answer):
    faulty.inner.put("marks/a", [b"1"])
    for _ in range(2):
        fail_operation(guarded, faulty)
    faulty.faults = [] if answer is None else [answer]
    try:
        guarded.get("marks/a")
    except StorageError as error:
        assert error is answer  # noqa: PT017
    fail_operation(guarded, faulty)
    assert guarded.get("marks/a") == b"1"


def test_many_deletes_are_one_operation_each(guarded, faulty):
    paths = [f"marks/{number}" for number in range(20)]
    for path in paths:
        faulty.inner.put(path, [b"1"])
    faulty.at_once, faulty.seconds = 1, 4.0
    faulty.faults = [busy()]
    guarded.delete(iter(paths))
    assert list(faulty.inner.list("")) == []
    assert faulty.asked == 21
    assert all(4.5 < left <= 5.0 for left in faulty.left)


def test_several_deletes_are_under_way_at_once(guarded, faulty):
    together = threading.Barrier(faulty.at_once, timeout=10)
    faulty.delete = lambda paths: together.wait()
    guarded.delete(f"marks/{number}" for number in range(2 * faulty.at_once))


def test_what_one_request_deletes_is_one_operation(guarded, faulty):
    deleted = []
    faulty.per_delete, faulty.delete = 10, deleted.append
    guarded.delete(f"marks/{number}" for number in range(25))
    assert [len(paths) for paths in deleted] == [10, 10, 5]


def test_a_listing_that_breaks_later_does_not_begin_again(guarded, faulty):
    faulty.inner.put("marks/a", [b"1"])
    faulty.inner.put("marks/b", [b"1"])
    listing = guarded.list("")
    assert isinstance(next(listing), ObjectInfo)
    faulty.faults = [busy()]
    with pytest.raises(StorageError, match="busy"):
        list(listing)
    assert faulty.asked == 1


def test_no_part_is_lost_to_a_failing_iterator(guarded, faulty):
    def parts():
        yield b"1"
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        guarded.put("marks/a", parts())
    assert faulty.asked == 0
