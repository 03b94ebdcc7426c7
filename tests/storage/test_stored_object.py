"""Objects read in pieces: by ranges of a store, or from what is in memory already."""

from __future__ import annotations

from typing import Any

import pytest

from cachestore.errors import ObjectNotFound
from cachestore.storage import open_store
from cachestore.storage.stored_object import HeldObject, RangedObject, scatter

DATA = bytes(range(256)) * 8


@pytest.fixture(params=["held", "ranged"])
def stored(request: pytest.FixtureRequest) -> Any:
    if request.param == "held":
        return HeldObject(DATA)
    store = open_store("memory://stored-object")
    store.put("a/b", [DATA])
    return RangedObject(store, "a/b")


def outs(*sizes: int) -> list[memoryview]:
    return [memoryview(bytearray(b"\xee" * size)) for size in sizes]


@pytest.mark.parametrize("length", [1, 10, len(DATA) - 1, len(DATA), len(DATA) + 1, 10**6])
def test_a_suffix_is_the_end_or_everything(stored: Any, length: int) -> None:
    assert bytes(stored.suffix(length)) == DATA[-length:]


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 10), (5, 5), (100, 2048), (2000, 9000), (0, 2048), (2048, 2050)]
)
def test_a_range_ends_where_the_object_does(stored: Any, start: int, stop: int) -> None:
    assert bytes(stored.range(start, stop)) == DATA[start:stop]


@pytest.mark.parametrize("sizes", [(), (0,), (10,), (10, 0, 20), (1,) * 50, (2048,), (1000, 1000, 48)])
def test_bytes_are_read_into_one_memory_after_the_other(stored: Any, sizes: tuple[int, ...]) -> None:
    views = outs(*sizes)
    assert stored.read_into(0, views) == sum(sizes)
    assert b"".join(views) == DATA[: sum(sizes)]


def test_what_is_not_there_is_not_filled(stored: Any) -> None:
    views = outs(10, 10, 10)
    assert stored.read_into(len(DATA) - 15, views) == 15
    assert b"".join(views) == DATA[-15:] + b"\xee" * 15
    assert stored.read_into(len(DATA), outs(10)) == 0


def test_scattering_takes_no_more_than_there_is_room_for() -> None:
    views = outs(3, 0, 2)
    assert scatter(b"abcdefgh", views) == 5
    assert [bytes(view) for view in views] == [b"abc", b"", b"de"]
    assert scatter(b"", views) == 0
    assert scatter(b"x", views) == 1


def test_an_object_in_memory_comes_whole_with_the_first_request() -> None:
    held = HeldObject(DATA)
    assert held.suffix_length > len(DATA)
    assert held.suffix(held.suffix_length) == DATA
    assert held.at_once == 1
    assert HeldObject(b"").suffix(1) == b""


def test_an_object_of_a_store_asks_the_store_alone() -> None:
    asked: list[Any] = []

    class Store:
        def get_suffix(self, *given: Any) -> bytes:
            asked.append(given)
            return b"end"

        def get_range(self, *given: Any) -> bytes:
            asked.append(given)
            return b"abc"

    stored = RangedObject(Store(), "p")  # type: ignore[arg-type]
    assert stored.suffix(7) == b"end"
    assert stored.range(3, 9) == b"abc"
    assert stored.read_into(5, outs(2, 4)) == 3
    assert asked == [("p", 7), ("p", 3, 9), ("p", 5, 11)]
    assert stored.suffix_length == 2**20
    assert stored.at_once == 5


def test_an_object_that_is_not_there_is_found_missing_when_it_is_read() -> None:
    stored = open_store("memory://stored-object").open("not/here")
    for read in (
        lambda: stored.suffix(10),
        lambda: stored.range(0, 10),
        lambda: stored.read_into(0, outs(3)),
    ):
        with pytest.raises(ObjectNotFound):
            read()
