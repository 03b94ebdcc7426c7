"""Plain values: every built-in type comes back as it was, and what cannot is left to pickle."""

from __future__ import annotations

import json
import math
import struct
import sys
from collections import OrderedDict
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachestore.blob.body import BodyKind
from cachestore.blob.plain_body import TEXT_LIMIT, plain_body, plain_value
from cachestore.errors import BlobError, CorruptBlob

RUN = 1024


def again(value: object) -> Any:
    body = plain_body(value)
    assert body is not None
    assert body.kind == BodyKind.PLAIN
    assert all(buffer.raw.nbytes for buffer in body.buffers)
    return plain_value(body.raw, [memoryview(bytearray(buffer.raw)) for buffer in body.buffers])


def same(one: Any, other: Any) -> bool:
    """Whether two plain values are one and the same, types, signs, order and all."""
    if type(one) is not type(other):
        return False
    if type(one) is float:
        return struct.pack("d", one) == struct.pack("d", other) or (math.isnan(one) and math.isnan(other))
    if type(one) in (list, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) is dict:
        return same(list(one.items()), list(other.items()))
    if type(one) in (set, frozenset):
        return one == other and sorted(map(tagged, one)) == sorted(map(tagged, other))
    return bool(one == other)


def tagged(item: Any) -> str:
    inner = sorted(map(tagged, item)) if type(item) in (tuple, frozenset) else repr(item)
    return f"{type(item).__name__} {inner}"


TEXTS = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["$tuple", "$x", "\ud800\udc00", "\udc00", "\0"]
)
KEYS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS | st.binary(),
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=5,
)
VALUES = st.recursive(
    KEYS | st.floats() | st.integers(min_value=-(10**900), max_value=10**900),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(KEYS, inner)
        | st.dictionaries(TEXTS, inner)
        | st.sets(KEYS)
    ),
    max_leaves=30,
)


@given(VALUES)
def test_what_is_plain_comes_back_as_it_was(value: object) -> None:
    body = plain_body(value)
    if body is None:  # hypothesis may hand out one list twice
        assert type(value) in (list, tuple, dict)
        return
    assert same(again(value), value)


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -(2**63), 2**64, 10**599, 10**600, -(10**5000), 1.5, -0.0, 1e-320, math.inf, -math.inf, math.nan,
        "", "é\n\"\\", "\ud800", "\ud83d\ude00", "\U0001f600", "x" * 20_000, b"", b"x" * 17_000, [], (), {}, set(),
        frozenset(), [1, True, 1.0], {1: "a", "1": "b"}, {"b": 1, "a": 2}, {"$tuple": [1]}, [{"$tuple": [1]}, ()],
        [{"$int": "0x1"}, 10**700], {True: 1, "x": (2,)}, {(1, (2.0, b"x")): {"a"}}, [(), (), frozenset(), ""],
        [0.1] * RUN, (1,) * RUN, list(range(RUN)), [2**70] * RUN, {n: n / 7 for n in range(RUN)}, [math.nan] * RUN,
        {str(n): n for n in range(RUN)}, {str(n): [n] for n in range(RUN)}, [-0.0] * RUN, ["t"] * RUN,
        [*range(RUN), 10**700], {float(n) for n in range(RUN)}, [1, 2.0] * RUN, ["\ud800"] * RUN, [True] * RUN,
        [b"x" * 17_000, {"y": b"x" * 17_000}],
    ],
    ids=lambda value: f"{type(value).__name__}-{str(value)[:20] if type(value) is not int else value.bit_length()}",
)  # fmt: skip
def test_corners_come_back_as_they_were(value: object) -> None:
    assert same(again(value), value)


def test_long_runs_of_numbers_and_long_bytes_are_buffers() -> None:
    body = plain_body({"losses": [0.5] * RUN, "steps": (3,) * RUN, "image": b"x" * 17_000})
    assert body is not None
    assert [(len(buffer.raw), buffer.item_size) for buffer in body.buffers] == [
        (8 * RUN, 8),
        (8 * RUN, 8),
        (17_000, 1),
    ]
    assert len(body.raw) < 200


class Level(IntEnum):
    LOW = 1


class Text(str):
    __slots__ = ()


SHARED: list[Any] = []
CYCLE: list[Any] = []
CYCLE.append(CYCLE)
LONG_TUPLE = (1,) * RUN


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def doubled(depth: int) -> tuple[Any, ...]:
    value: tuple[Any, ...] = (1,)
    for _ in range(depth):
        value = (value, value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        Level.LOW, [Level.LOW], [1, Level.LOW] * RUN, Text("x"), {Text("x"): 1}, [Text("x")] * RUN, OrderedDict(a=1),
        1j, bytearray(b"x"), [object()], {"x": object()}, [SHARED, SHARED], {"a": SHARED, "b": (SHARED,)}, CYCLE,
        [LONG_TUPLE, LONG_TUPLE], nested(200), nested(100_000), doubled(60), ["x" * 10**6] * 10**6, {math.nan: 1},
        {math.nan}, {(math.nan,): 1}, {frozenset([math.nan])}, {*map(float, range(RUN)), math.nan},
        [(n,) for n in range(50_000)], ["x"] * 300_000, "x" * (TEXT_LIMIT + 1),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_the_rest_is_for_pickle(value: object) -> None:
    assert plain_body(value) is None


def test_a_hundred_levels_are_read_again() -> None:
    assert again(nested(99)) == nested(99)


def test_numbers_of_any_length_are_read_under_the_strictest_limit() -> None:
    limit = sys.get_int_max_str_digits()
    value = [10**n for n in range(580, 660)]
    try:
        sys.set_int_max_str_digits(640)
        assert again(value) == value
    finally:
        sys.set_int_max_str_digits(limit)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"1", b"=", b"$", b"=1 2", b"=[1", b"=nul", b"=\xff", b'="\\', b'${"$tuple":1}', b'${"$what":[1]}',
        b'${"$set":[[]]}', b'${"$set":[1,1]}', b'${"$dict":[[1],[]]}', b'${"$dict":[[1,1],[2,3]]}', b'${"$dict":[]}',
        b'${"$int":5}', b'${"$int":"z"}', b'${"$bytes":"*"}', b'${"$bytes":2}', b'${"$bytes":-1}', b'${"$bytes":true}',
        b'${"$floats":1}', b'[{"$floats":0}]', b'${"$floats":0.0}', b'$[{"$floats":0},{"$floats":0}]', b'${"$ints":[]}',
        b'${"$ints":2}', b"=" + b"1" * 10_000,
    ],
)  # fmt: skip
def test_what_it_did_not_write_is_corrupt(raw: bytes) -> None:
    with pytest.raises(CorruptBlob):
        plain_value(memoryview(raw), [memoryview(bytes(8)), memoryview(bytes(7))])


@pytest.mark.parametrize("limit", [1000, 100_000_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"$tuple":['])
def test_a_text_that_nests_without_end_does_not_crash(limit: int, opening: bytes) -> None:
    usual = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(limit)
        for text in (opening * 100_000, b'["[[[",' * 10_000):
            for tag in (b"=", b"$"):
                with pytest.raises(BlobError):
                    plain_value(memoryview(tag + text), [])
    finally:
        sys.setrecursionlimit(usual)


def test_brackets_in_texts_are_no_nesting() -> None:
    usual = sys.getrecursionlimit()
    value = ['[{"' * 100, "\\[[" * 300] * 10
    try:
        sys.setrecursionlimit(100_000)
        assert again(value) == value
    finally:
        sys.setrecursionlimit(usual)


def test_a_body_is_json_that_others_can_read() -> None:
    body = plain_body({"x": [1, 2.5, None, "é"]})
    assert body is not None
    assert bytes(body.raw[:1]) == b"="
    assert json.loads(bytes(body.raw[1:])) == {"x": [1, 2.5, None, "é"]}
