"""Flat streams: what stands in them cannot be taken for anything else, whatever was shared, interned or ordered."""

import itertools
import marshal
import struct
import sys

import pytest

from cachestore.keys import digest
from cachestore.keys.stream import KINDS, encode_stream, write


def nan(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


ALIKE = [
    # What looks like markers, sizes and the inside of containers.
    *KINDS.values(),
    [(1,)], [1], [[1]], [1, 1], [(1,), 1], ((1,), 1), [[(1,)], 1],
    [b"#"], [(b"#",)], [(b"[",)], (b"b1:a",), [b"a"], ["a"], ("a",), [("a",)],
    # Empty ones, in each other.
    [], (), {}, set(), frozenset(), [[]], [()], ([],), [{}], {(): []}, {(): ()}, [[], []], [[[]]], [[], [[]]],
    # Where one ends and the other begins.
    [[1, 2], 3], [[1], 2, 3], [1, [2, 3]], [[1, 2, 3]], [1, 2, 3], [[1], [2, 3]], [[1, 2], [3]],
    [[int, 1]], [[int], 1], [[int, 1], 2], [[int, 1, 2]], [[[int], 1], 2], [[int, [1]]], [[int], [1]], [[int, ()]],
    {"a": [int], "b": 1}, {"a": [int, 1], "b": 2}, ({"a": int}, "b"), ({"a": int, "b": 1},), [{int}, 1], [{int, 1}],
    {"a": "b"}, ["a", "b"], {"a", "b"}, [("a", "b")], {"a": ["b"]}, {"a": ("b",)}, {"b": "a"},
    {"a": {"b": 1}}, {"a": 1, "b": {}}, {"a": {}, "b": 1},
    {1: 2}, {1: "2"}, {"1": 2}, {1.0: 2}, {True: 2}, {b"1": 2}, {None: 2}, {(1,): 2}, {1, 2}, frozenset({1, 2}),
    # Numbers that are equal, and those that marshal writes in other ways.
    [True], [1.0], [1 + 0j], ["1"], [b"1"], [bytearray(b"1")], [memoryview(b"1")], [None], [False], [0], [0.0], [-0.0],
    [2**31 - 1], [2**31], [-(2**31)], [-(2**31) - 1], [2**63], [2**64], [-(2**64)], [2**200], [0j], [-0j], [-1], [255],
    # Texts that are hard to write.
    ["\ud800"], ["\udc00"], ["\ud800\udc00"], ["\U00010000"], ["\0"], [""], ["\0\0"], ["é"], ["é".encode()],
    ["e\u0301"], [float("nan")], [float("inf")], [complex("nan")], [range(1)],
    [...], [NotImplemented], [int], [slice(1)],
]  # fmt: skip


def test_nothing_is_taken_for_anything_else():
    assert len(set(map(digest, ALIKE))) == len(ALIKE)


@pytest.mark.parametrize(
    "wrap", [lambda x: [x] * 40, lambda x: {"k": x}, lambda x: [[x, x]], lambda x: (x, int)]
)
def test_nothing_is_taken_for_anything_else_inside(wrap):
    assert len({digest(wrap(value)) for value in ALIKE}) == len(ALIKE)


# Sizes around those at which another rule takes over.
@pytest.mark.parametrize("size", [31, 32, 33, 64, 65, 1023, 1024, 1025, 2049])
@pytest.mark.parametrize(
    "member",
    [
        str,
        int,
        float,
        lambda i: [i],
        lambda i: {"a": i, "b": [str(i)]},
        lambda i: (i, {"x": (None, i)}),
        lambda i: {i, "a"},
        lambda i: b"%d" % i,
        lambda i: [[[[[[i]]]]]],
        lambda i: {i: i},
    ],
)
def test_members_of_long_lists_count_each(size, member):
    members = [member(i) for i in range(size)]
    expected = digest(members)
    assert digest([member(i) for i in range(size)]) == expected
    assert digest([*members, member(0)]) != expected != digest(members[:-1])
    for place in (0, size // 2, size - 1):
        other = [*members]
        other[place] = member(-1)
        assert digest(other) != expected
        other[place] = [members[place]]
        assert digest(other) != expected
    swapped = [members[1], members[0], *members[2:]]
    assert digest(swapped) != expected
    assert digest(tuple(members)) != expected


@pytest.mark.parametrize("size", [3, 32, 33, 1025])
@pytest.mark.parametrize(
    "key", [str, int, lambda i: b"%d" % i, lambda i: (i, "a"), lambda i: [i, str(i)][i % 2]]
)
def test_the_order_of_keys_does_not_count(size, key):
    items = [(key(i), [i]) for i in range(size)]
    expected = digest(dict(items))
    assert digest(dict(reversed(items))) == expected
    assert digest({**dict(items), items[0][0]: [-1]}) != expected
    assert digest(dict(items[1:])) != expected
    assert digest(dict([(items[0][0], items[1][1]), (items[1][0], items[0][1]), *items[2:]])) != expected
    assert digest(set(dict(items))) == digest(set(dict(reversed(items)))) != digest(frozenset(dict(items)))


def test_the_order_of_keys_inside_regular_members_does_not_count():
    rows = [{"a": i, "b": {"c": str(i), "d": (i,)}} for i in range(100)]
    turned = [{"b": {"d": (i,), "c": str(i)}, "a": i} for i in range(100)]
    assert digest(rows) == digest(turned)
    turned[50]["b"]["d"] = [50]
    assert digest(rows) != digest(turned)


def test_interning_and_sharing_do_not_count():
    word = "".join(["inter", "ned"])
    other = "".join(["int", "erned"])
    assert word is not other
    for size in (2, 100):
        assert digest([word] * size) == digest([sys.intern(other)] + ["".join(["int", "erned"])] * (size - 1))
        number = 10**30
        assert digest([number] * size) == digest([10**29 * 10 for _ in range(size)])
        row = {"a": [1.5]}
        assert digest([row] * size) == digest([{"a": [1.5]} for _ in range(size)])
        long = list(range(100))
        assert digest([long] * size) == digest([list(range(100)) for _ in range(size)])


NANS = [0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000001, 0xFFFFFFFFFFFFFFFF, 0x7FF0000000000001]


@pytest.mark.parametrize(
    "wrap", [lambda x: [x], lambda x: [x] * 50, lambda x: [[x, "a"]] * 50, lambda x: {"a": x}]
)
def test_every_nan_is_alike_at_any_depth(wrap):
    assert len({digest(wrap(nan(bits))) for bits in NANS}) == 1
    assert digest(wrap(nan(NANS[0]))) != digest(wrap(float("inf")))
    assert digest([1.5, nan(NANS[3])]) != digest([nan(NANS[3]), 1.5])


def test_two_nans_as_keys_are_told_apart_by_what_they_stand_for():
    one, two = float("nan"), float("nan")
    assert digest({one: 1, two: 2}) == digest({two: 2, one: 1}) == digest({one: 2, two: 1})
    assert digest({one: 1, two: 2}) != digest({one: 1, two: 1})
    assert digest({one}) != digest({one, two})


class Word(str):
    __slots__ = ()


@pytest.mark.parametrize("size", [1, 40, 2000])
def test_subclasses_among_plain_members_count(size):
    plain = ["a"] * size
    assert digest([*plain[1:], Word("a")]) != digest(plain)
    assert digest({Word("a"): 1}) != digest({"a": 1})
    rows = [{"a": 1}] * size
    assert digest([*rows[1:], {Word("a"): 1}]) != digest(rows)
    assert digest([*rows[1:], {"a": True}]) != digest(rows)


@pytest.mark.parametrize("size", [1, 40, 2000])
def test_separators_inside_long_runs_of_texts_count(size):
    texts = ["a", "b"] * size
    assert digest(["a\0b"] * size) != digest(texts)
    others = [["a", "b", ""] * size, ["a", "", "b"] * size, ["a\0", "b"] * size, ["a", "\0b"] * size, texts]
    assert len(set(map(digest, others))) == len(others)


def test_large_bytes_count():
    sizes = [4095, 4096, 4097, 1 << 20]
    values = [b"x" * size for size in sizes] + [b"x" * (size - 1) + b"y" for size in sizes]
    for wrap in (lambda value: [value], lambda value: [value] * 40, lambda value: [[value]] * 40):
        assert len({digest(wrap(value)) for value in values}) == len(values)


def test_graphs_that_share_are_walked_once():
    shared = ([], (), {}, frozenset())
    makers = [
        lambda one: [one, one],
        lambda one: (one, [one]),
        lambda one: {"a": one, "b": one},
        lambda one: {1: one, "b": [one]},
        lambda one: [one] * 40,
        lambda one: [one, *range(70), one],
    ]
    for make, start in itertools.product(makers, shared):
        value = start
        for _ in range(60):
            value = make(value)
        assert digest(value) == digest(make_again(make, start))
    frozen = frozenset()
    for _ in range(60):
        frozen = frozenset({frozen, (frozen,)})
    digest([frozen])


def make_again(make, value):
    for _ in range(60):
        value = make(value)
    return value


def test_a_cycle_through_regular_members():
    def rows():
        rows = [{"a": [i]} for i in range(50)]
        rows[20]["a"].append(rows)
        return rows

    assert digest(rows()) == digest(rows())
    other = rows()
    other[20]["a"][1] = other[20]
    assert digest(other) != digest(rows())


def test_what_marshal_writes_does_not_change():
    stream = [(3,), 2, "é", b"a", 2**70, -1, 1.5, None, True, "\ud800"]
    assert write(stream).hex() == (
        "5b0a0000002801000000690300000069020000007502000000c3a97301000000616c050000000000"
        "000000000000000469ffffffff67000000000000f83f4e547503000000eda080"
        ""
    )


def test_texts_that_are_more_than_marshal_takes(monkeypatch):
    dumps = marshal.dumps

    def refuse(stream, version):
        if any(type(member) is str and len(member) > 1 << 20 for member in stream):
            raise ValueError("unmarshallable object")
        return dumps(stream, version)

    monkeypatch.setattr("cachestore.keys.stream.marshal.dumps", refuse)
    long = "x" * (1 << 21)
    assert len({digest([long]), digest([long + "x"]), digest([long, "x"]), digest([[long]])}) == 4
    assert len(encode_stream([long])) < 100
