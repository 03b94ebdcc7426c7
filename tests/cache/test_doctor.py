from __future__ import annotations

import functools
import itertools
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cachestore.cache.diagnosis import Result
from cachestore.cache.doctor import examine
from cachestore.errors import ObjectNotFound, StorageError
from cachestore.storage import PROBES, is_temporary, open_store
from cachestore.storage.s3_store import S3Store

_numbers = itertools.count()
CHECKS = [
    "write", "remove", "atomic put", "read after write", "replace", "conditional put", "range reads",
    "list after write", "list", "delete", "latency of a put", "latency of a get", "throughput of a put",
    "throughput of a get", "clock offset",
]  # fmt: skip
READING = ["range reads", "list", "latency of a get"]


@pytest.fixture
def inner():
    store = open_store(f"memory://doctor-{next(_numbers)}")
    store.put("store.json", [b'{"format": 1, "id": "an id"}'])
    return store


class Around:
    """A store that does as another does, but for what a subclass says; it notes what is changed."""

    def __init__(self, inner):
        self.inner = inner
        self.touched = set()

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def put(self, path, parts):
        self.touched.add(path)
        self.inner.put(path, parts)

    def create(self, path, data):
        self.touched.add(path)
        return self.inner.create(path, data)

    def delete(self, paths):
        every = list(paths)
        self.touched.update(every)
        self.inner.delete(every)


def ill(found):
    """What is not well: the names of the checks, without speeds, which depend on the machine."""
    return {
        each.check
        for each in found
        if each.result is not Result.OK and not each.check.startswith(("latency", "throughput"))
    }


def named(found, check):
    (one,) = [each for each in found if each.check == check]
    return one


def well(store):
    before = {info.path: store.get(info.path) for info in store.list("")}
    found = examine(store)
    assert ill(found) == set(), found
    assert [each.check for each in found] == CHECKS
    assert all(each.meaning.endswith(".") for each in found)
    assert named(found, "conditional put").measured == "creates"
    assert abs(named(found, "clock offset").measured) < 5
    assert {info.path: store.get(info.path) for info in store.list("")} == before


def test_memory(inner):
    well(inner)


def test_local(tmp_path):
    well(open_store(str(tmp_path)))


def test_servers(s3_server, s3_store_url, monkeypatch):
    aborted = []
    abort = S3Store._abort
    monkeypatch.setattr(S3Store, "_abort", lambda *args: aborted.append(args) or abort(*args))
    location, options = s3_store_url(s3_server)
    store = open_store(location, storage_options=options, timeout=20)
    store.put("store.json", [b"1"])
    well(store)
    assert len(aborted) == 1  # the put that broke off had reached the server


def test_only_what_is_its_own_is_touched(inner):
    store = Around(inner)
    examine(store)
    assert store.touched
    assert all(path.startswith(PROBES) and is_temporary(path) for path in store.touched)


# ---- stores that lie


def breaks(check, store):
    """Examine a store that is ill in one way, and find that and that it is tidied up."""
    found = examine(store)
    assert ill(found) == {check}, found
    one = named(found, check)
    assert [info.path for info in store.inner.list("")] == ["store.json"]
    return one


@pytest.mark.parametrize("gathered", [0, 16 * 2**20], ids=["at once", "as servers are sent to"])
def test_a_put_that_leaves_what_came_before_it_broke(inner, gathered):
    class Torn(Around):
        def put(self, path, parts):
            data = bytearray()
            whole = False
            try:
                for part in parts:
                    data += part
                whole = True
            finally:
                if whole or len(data) > gathered:
                    super().put(path, [bytes(data)])

    assert "left a part behind" in breaks("atomic put", Torn(inner)).meaning


def test_a_put_that_destroys_when_it_breaks(inner):
    class Destroying(Around):
        def put(self, path, parts):
            try:
                super().put(path, parts)
            except Exception:
                self.inner.delete([path])
                raise

    assert "destroyed" in breaks("atomic put", Destroying(inner)).meaning


@pytest.mark.parametrize("rest", [b"", 150_000 * b"?"], ids=["short", "mixed"])
def test_readers_who_see_half(inner, rest):
    half_was_read = threading.Event()

    class Growing(Around):
        def put(self, path, parts):
            parts = list(parts)
            if len(parts) == 2 and not half_was_read.is_set():
                super().put(path, [parts[0], rest])
                assert half_was_read.wait(10)
            super().put(path, parts)

        def get(self, path):
            data = self.inner.get(path)
            if len(data) == 150_000 or data.endswith(b"?"):
                half_was_read.set()
            return data

    assert "neither the old object nor the new one" in breaks("atomic put", Growing(inner)).meaning


class Whole(Around):
    def get_suffix(self, path, length):
        return self.inner.get(path)


def test_a_store_that_remembers_what_was_absent(inner):
    class Remembering(Around):
        absent: set[str] = set()  # noqa: RUF012

        def get(self, path):
            if path in self.absent:
                raise ObjectNotFound("still absent")
            try:
                return self.inner.get(path)
            except ObjectNotFound:
                self.absent.add(path)
                raise

    found = examine(Remembering(inner))
    assert named(found, "read after write").result is Result.FAILURE
    assert "mirror" in named(found, "read after write").meaning


def test_a_store_that_remembers_what_it_read(inner):
    store = Around(inner)
    store.get = functools.cache(inner.get)
    found = examine(store)
    assert named(found, "replace").result is Result.FAILURE
    assert named(found, "read after write").result is Result.OK


def test_a_store_that_overwrites_on_create(inner):
    class Overwriting(Around):
        def create(self, path, data):
            self.put(path, [data])
            return True

    one = breaks("conditional put", Overwriting(inner))
    assert (one.result, one.measured) == (Result.FAILURE, "lies")


def test_a_store_that_refuses_conditions(inner):
    class Refusing(Around):
        def create(self, path, data):
            raise StorageError("not implemented")

    one = breaks("conditional put", Refusing(inner))
    assert (one.result, one.measured) == (Result.WARNING, "refused")


def test_a_store_without_suffix_ranges(inner):
    assert "The last 1 bytes" in breaks("range reads", Whole(inner)).meaning


def test_a_store_that_fails_beyond_the_end(inner):
    class Strict(Around):
        def get_range(self, path, start, stop):
            if stop > len(self.inner.get(path)):
                raise StorageError("416")
            return self.inner.get_range(path, start, stop)

    assert "This could not be checked. 416" in breaks("range reads", Strict(inner)).meaning


def test_a_store_that_counts_the_last_byte_in(inner):
    class Inclusive(Around):
        def get_range(self, path, start, stop):
            return self.inner.get_range(path, start, stop + 1)

    assert "The bytes from 0 to 1" in breaks("range reads", Inclusive(inner)).meaning


def test_a_store_that_reads_what_is_absent(inner):
    class Inventing(Around):
        def get_suffix(self, path, length):
            try:
                return self.inner.get_suffix(path, length)
            except ObjectNotFound:
                return b""

    assert "absent object" in breaks("range reads", Inventing(inner)).meaning


def test_a_listing_with_wrong_sizes(inner):
    class Rounding(Around):
        def list(self, prefix):
            return (replace(info, size=4096) for info in self.inner.list(prefix))

    assert "listed with 4096" in breaks("list after write", Rounding(inner)).meaning


def test_a_store_whose_empty_objects_have_bytes(inner):
    class Padding(Around):
        def get_suffix(self, path, length):
            return self.inner.get_suffix(path, length) or b"\n"

    assert "empty object" in breaks("range reads", Padding(inner)).meaning


def test_a_listing_that_is_remembered(inner):
    store = Around(inner)
    store.list = functools.cache(lambda prefix: [*inner.list(prefix)])
    found = examine(store)
    # The age comes from a listing, and that one is of a name never listed before.
    assert ill(found) == {"list after write"}
    assert "not listed at once" in named(found, "list after write").meaning


def test_a_listing_that_keeps_what_was_deleted(inner):
    class Late(Around):
        def __init__(self, inner):
            super().__init__(inner)
            self.ever = {}

        def list(self, prefix):
            self.ever |= {info.path: info for info in self.inner.list(prefix)}
            return iter([info for path, info in self.ever.items() if path.startswith(prefix)])

    assert "still listed" in breaks("list after write", Late(inner)).meaning


def test_a_delete_that_does_not(inner):
    class Keeping(Around):
        def delete(self, paths):
            pass

    found = examine(Keeping(inner))
    assert ill(found) == {"list after write", "delete"}


def test_a_delete_that_minds_what_is_absent(inner):
    class Minding(Around):
        def delete(self, paths):
            for path in paths:
                self.inner.get(path)
                self.inner.delete([path])

    found = examine(Minding(inner))
    assert named(found, "delete").result is Result.FAILURE


@pytest.mark.parametrize(
    ("ahead", "result"),
    [(10, Result.OK), (300, Result.WARNING), (-300, Result.WARNING), (-2 * 86400, Result.FAILURE)],
)
def test_a_clock_that_differs(inner, ahead, result):
    found = examine(inner, now=lambda: datetime.now(UTC) - timedelta(seconds=ahead))
    one = named(found, "clock offset")
    assert one.result is result
    assert one.measured == pytest.approx(ahead, abs=5)


class Clock:
    """A clock that only a slow store moves."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


def test_a_slow_store(inner):
    clock = Clock()

    class Slow(Around):
        def get(self, path):
            clock.seconds += 0.5
            return self.inner.get(path)

        def put(self, path, parts):
            data = b"".join(parts)
            clock.seconds += 2**-10 + len(data) / 1e6
            super().put(path, [data])

    found = examine(Slow(inner), clock=clock)
    slow = {each.check: each.measured for each in found if each.result is not Result.OK}
    assert slow == {
        "latency of a get": pytest.approx(0.5),
        "throughput of a put": pytest.approx(1e6, rel=0.01),
    }
    assert named(found, "latency of a put").measured == pytest.approx(2**-10 + 0.001)
    assert named(found, "throughput of a get").measured == pytest.approx(2 * 8 * 2**20)


def test_one_slow_operation_is_no_slow_store(inner):
    clock = Clock()

    class Hiccup(Around):
        calls = 0

        def get(self, path):
            self.calls += 1
            clock.seconds += 3.0 if self.calls % 9 == 0 else 0.001
            return self.inner.get(path)

    found = examine(Hiccup(inner), clock=clock)
    assert named(found, "latency of a get").measured == pytest.approx(0.001)


# ---- who may not do everything, and what ends too early


class ReadOnly(Around):
    def put(self, path, parts):
        raise StorageError("You may not write.")

    def delete(self, paths):
        raise StorageError("You may not delete.")

    def create(self, path, data):
        raise StorageError("You may not write.")


def test_where_nobody_may_write_reading_is_checked(inner):
    found = examine(ReadOnly(inner))
    assert [each.check for each in found] == ["write", *READING]
    assert ill(found) == {"write"}
    assert "You may not write." in found[0].meaning


def test_wrong_ranges_are_found_where_nobody_may_write(inner):
    assert ill(examine(ReadOnly(Whole(inner)))) == {"write", "range reads"}


def test_a_refused_listing_is_found_where_nobody_may_write(inner):
    class Unlisted(ReadOnly):
        def list(self, prefix):
            raise StorageError("You may not list.")

    found = examine(Unlisted(inner))
    assert ill(found) == {"write", "list"}
    assert "You may not list." in named(found, "list").meaning


def test_an_empty_store_where_nobody_may_write(inner):
    inner.delete(["store.json"])
    assert ill(examine(ReadOnly(inner))) == {"write"}


def test_a_writer_who_may_not_delete_leaves_one_small_object(inner):
    class Writer(Around):
        def delete(self, paths):
            raise StorageError("You may not delete.")

    found = examine(Writer(inner))
    assert [each.check for each in found] == ["write", "remove", *READING]
    assert (ill(found), found[1].result) == ({"remove"}, Result.WARNING)
    (left,) = inner.list(PROBES)
    assert is_temporary(left.path)
    assert left.size == 1000


def test_a_store_that_does_not_answer(inner):
    class Silent(Around):
        def get(self, path):
            raise StorageError("no answer in time", transient=True)

    with pytest.raises(StorageError, match="no answer"):
        examine(Silent(inner))


class Breaking(Around):
    """Raises at the Nth change."""

    def __init__(self, inner, number, error):
        super().__init__(inner)
        self.left, self.error = number, error

    def put(self, path, parts):
        super().put(path, parts)
        self.left -= 1
        if self.left == 0:
            raise self.error


@pytest.mark.parametrize("number", range(1, 40, 3))
@pytest.mark.parametrize("error", [KeyboardInterrupt(), StorageError("broken"), RuntimeError("a bug")])
def test_nothing_stays_whatever_happens(inner, number, error):
    store = Breaking(inner, number, error)
    with suppress(type(error)):
        examine(store)
    assert [info.path for info in inner.list("")] == ["store.json"]


def test_an_interrupted_clean_up_is_done_again(inner):
    class Interrupted(Around):
        interrupted = False

        def delete(self, paths):
            every = list(paths)
            if len(every) > 10 and not self.interrupted:
                self.interrupted = True
                raise KeyboardInterrupt
            super().delete(every)

    store = Interrupted(inner)
    with pytest.raises(KeyboardInterrupt):
        examine(store)
    assert store.interrupted
    assert [info.path for info in inner.list("")] == ["store.json"]


def test_what_could_not_be_removed_in_the_end_is_told(inner):
    class Tired(Around):
        def delete(self, paths):
            every = list(paths)
            if len(every) > 10:
                raise StorageError("no more deletes today")
            super().delete(every)

    found = examine(Tired(inner))
    assert ill(found) == {"clean-up"}
    assert "no more deletes" in named(found, "clean-up").meaning


def test_it_tells_how_far_it_is(inner):
    told = []
    examine(inner, progress=lambda done, total: told.append((done, total)))
    assert told == [(number, len(told)) for number in range(len(told))]
    assert len(told) > 10
