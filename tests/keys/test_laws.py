"""Laws of digests: equal values have equal digests however they came about, and any change that can be seen another.

What can be seen is what `spelled` spells out: types, contents, and the order where there is one.
"""

import collections
import copy
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import pathlib
import pickle
import random
import uuid

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cachestore.keys import digest


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Point:
    x: object
    y: object = None


@dataclasses.dataclass(frozen=True, slots=True)
class Fixed:
    x: object
    y: object = None


class Plain:
    def __init__(self, **attributes):
        vars(self).update(attributes)


Pair = collections.namedtuple("Pair", "x y")
BERLIN = dt.timezone(dt.timedelta(hours=1), "Berlin")

numbers = st.booleans() | st.integers() | st.floats() | st.complex_numbers(allow_nan=False)
moments = (
    st.dates()
    | st.datetimes(timezones=st.sampled_from([None, dt.UTC, BERLIN]))
    | st.times()
    | st.timedeltas()
)
leaves = (
    st.none()
    | numbers
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | moments
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.uuids()
    | st.sampled_from([*Colour, *Level, ..., int, range(3), range(4), pathlib.PurePosixPath("a/b")])
)
# NaNs are members of sets by their identity: how many of them there are cannot be kept by any copy.
hashable = st.recursive(
    leaves.filter(lambda leaf: leaf == leaf),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3) | st.builds(Fixed, inner)
    ),
    max_leaves=5,
)
small = arrays.arrays(
    st.sampled_from(["i2", "<f8", "U2", "?", "c8", "M8[s]", "S2", [("a", "i1"), ("b", "f4")]]),
    arrays.array_shapes(min_dims=0, max_dims=3, max_side=3),
)
frames = st.builds(
    lambda rows, words, label: pd.DataFrame({label: rows, "words": [words] * len(rows)}),
    st.lists(st.integers(-9, 9), min_size=1, max_size=3),
    st.text(st.characters(codec="utf-8"), max_size=2),
    st.sampled_from(["a", "b", 1]),
)


def deeper(inner):
    members = st.lists(inner, max_size=4)
    items = st.dictionaries(hashable, inner, max_size=4)
    return (
        members
        | members.map(tuple)
        | members.map(collections.deque)
        | items
        | items.map(collections.OrderedDict)
        | items.map(lambda made: collections.defaultdict(list, made))
        | st.sets(hashable, max_size=4)
        | st.builds(Pair, inner, inner)
        | st.builds(Point, inner, inner)
        | st.builds(Plain, a=inner, b=inner)
    )


values = st.recursive(hashable | small | frames | st.binary(max_size=4).map(bytearray), deeper, max_leaves=15)


def law(examples):
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    return settings(max_examples=examples, deadline=None, suppress_health_check=checks)


def spelled(value):
    """Spell a structure out, types included: two are the same if and only if they are spelled the same."""
    name = type(value).__qualname__
    if isinstance(value, enum.Enum):
        return (name, value.name)
    if isinstance(value, collections.OrderedDict):
        return (name, *((spelled(key), spelled(member)) for key, member in value.items()))
    if isinstance(value, collections.defaultdict):
        return (name, value.default_factory, spelled(dict(value)))
    if isinstance(value, dict):
        return (name, *sorted(((spelled(key), spelled(member)) for key, member in value.items()), key=repr))
    if isinstance(value, set | frozenset):
        return (name, *sorted(map(spelled, value), key=repr))
    if isinstance(value, list | tuple | collections.deque):
        return (name, *map(spelled, value))
    if isinstance(value, np.ndarray):
        return (name, str(value.dtype), value.shape, value.tobytes())
    if isinstance(value, pd.DataFrame):
        columns = [(spelled(label), str(column.dtype), column.tolist()) for label, column in value.items()]
        return (name, repr(columns), value.index.tolist(), spelled(value.attrs))
    if isinstance(value, Fixed):
        return (name, spelled(value.x), spelled(value.y))
    if isinstance(value, Point | Plain):
        return (name, spelled(vars(value)))
    if isinstance(value, dt.datetime | dt.time):
        return (name, repr(value), value.fold)
    return (name, repr(value))


def rebuilt(value, known=None):
    """Build a value anew from its leaves, dicts and sets in another order; share equal members if `known`."""
    if known is not None:
        spelling = repr(spelled(value))
        if spelling not in known:
            known[spelling] = _rebuilt(value, known)
        return known[spelling]
    return _rebuilt(value, known)


def _rebuilt(value, known):
    cls = type(value)
    if cls is str:
        return "".join(list(value))  # not interned
    if cls is bytes:
        return bytes(bytearray(value))
    if cls is int:
        return int(str(value)) if abs(value) < 10**20 else value + 1 - 1
    if cls in (list, tuple, collections.deque):
        return cls([rebuilt(member, known) for member in value])
    if cls is Pair:
        return Pair(*(rebuilt(member, known) for member in value))
    if cls in (set, frozenset):
        return cls([rebuilt(member, known) for member in reversed(list(value))])
    if cls in (dict, collections.OrderedDict, collections.defaultdict):
        items = [(rebuilt(key, known), rebuilt(member, known)) for key, member in value.items()]
        if cls is dict:
            return dict(reversed(items))
        return cls(items) if cls is collections.OrderedDict else cls(value.default_factory, reversed(items))
    if cls in (Point, Fixed):
        return cls(rebuilt(value.x, known), rebuilt(value.y, known))
    if cls is Plain:
        return Plain(**{name: rebuilt(member, known) for name, member in reversed(vars(value).items())})
    if cls is pd.DataFrame:
        made = pd.DataFrame(index=list(value.index))
        for label in value.columns:
            made[label] = value[label].to_list()
        return made.astype(dict(value.dtypes))
    return copy.deepcopy(value)


@law(100)
@given(values)
def test_equal_values_have_equal_digests(value):
    expected = digest(value)
    assert digest(copy.deepcopy(value)) == expected
    assert digest(rebuilt(value)) == expected
    assert digest(rebuilt(value, known={})) == expected


@law(40)
@given(values, st.integers(4, pickle.HIGHEST_PROTOCOL))
# Older protocols forget the `fold` of a time.
def test_unpickled_values_have_equal_digests(value, protocol):
    assert digest(pickle.loads(pickle.dumps(value, protocol))) == digest(value)


@law(40)
@given(values, st.lists(st.booleans(), min_size=1, max_size=5))
def test_sharing_does_not_count(value, shares):
    assert digest([value if share else rebuilt(value) for share in shares]) == digest([value] * len(shares))


def changed(value, draw):
    """Change one thing that can be seen, at some depth: a member, a key, a type or an order."""
    for _ in range(5):
        other = draw(st.sampled_from(list(_changes(value))))(draw)
        if spelled(other) != spelled(value):
            return other
    return [value]


def _changes(value):
    """Give the ways to change a value."""
    cls = type(value)
    yield lambda draw: [value]
    if isinstance(value, enum.Enum):
        yield lambda draw: draw(st.sampled_from(list(cls)))
        yield lambda draw: value.value
    elif cls in (list, tuple, collections.deque):
        yield lambda draw: cls([*value, None])
        yield lambda draw: (tuple if cls is list else list)(value)
        if value:
            yield lambda draw: cls(_with_one_changed(list(value), draw))
            yield lambda draw: cls(list(value)[:-1])
            yield lambda draw: cls(list(value)[::-1])
            yield lambda draw: cls([cls(list(value)[:1]), *list(value)[1:]])
    elif cls in (dict, collections.OrderedDict, collections.defaultdict):
        yield lambda draw: _like(value, [*value.items(), ("one more", None)])
        yield lambda draw: dict(value) if cls is not dict else collections.OrderedDict(value)
        if value:
            yield lambda draw: _with_one_value_changed(value, draw)
            yield lambda draw: _like(value, list(value.items())[:-1])
            yield lambda draw: _with_one_key_changed(value, draw)
        if cls is collections.OrderedDict:
            yield lambda draw: cls(reversed(value.items()))
        if cls is collections.defaultdict:
            yield lambda draw: cls(dict, value)
    elif cls in (set, frozenset):
        yield lambda draw: value | {"one more"}
        yield lambda draw: (set if cls is frozenset else frozenset)(value)
        if value:
            yield lambda draw: cls(list(value)[1:])
    elif cls in (Point, Fixed):
        yield lambda draw: dataclasses.replace(value, x=changed(value.x, draw))
        yield lambda draw: cls(value.y, value.x)
        yield lambda draw: Point(value.x, value.y) if cls is Fixed else Plain(x=value.x, y=value.y)
    elif cls is Pair:
        yield lambda draw: value._replace(y=changed(value.y, draw))
        yield lambda draw: tuple(value)
    elif cls is Plain:
        yield lambda draw: Plain(**{**vars(value), "a": changed(value.a, draw)})
        yield lambda draw: Plain(**vars(value), c=None)
    elif cls is np.ndarray:
        yield from _array_changes(value)
    elif cls is pd.DataFrame:
        yield from _frame_changes(value)
    else:
        yield from _leaf_changes(value)


def _with_one_changed(members, draw):
    place = draw(st.integers(0, len(members) - 1))
    members[place] = changed(members[place], draw)
    return members


def _like(value, items):
    return (
        collections.defaultdict(value.default_factory, items)
        if type(value) is collections.defaultdict
        else type(value)(items)
    )


def _with_one_value_changed(value, draw):
    place = draw(st.sampled_from(range(len(value))))
    items = list(value.items())
    items[place] = (items[place][0], changed(items[place][1], draw))
    return _like(value, items)


def _with_one_key_changed(value, draw):
    place = draw(st.sampled_from(range(len(value))))
    items = list(value.items())
    items[place] = (("changed", items[place][0]), items[place][1])
    return _like(value, items)


def _array_changes(value):
    yield lambda draw: value.tolist()
    yield lambda draw: value.tobytes()
    yield lambda draw: value.reshape((1, *value.shape))
    yield lambda draw: np.stack([value, value])
    yield lambda draw: value.reshape(-1)[::-1].reshape(value.shape)
    if value.dtype.kind in "if":
        yield lambda draw: value.astype("f4")
        yield lambda draw: value.view(f"u{value.itemsize}")
    if value.size and value.dtype.names is None:

        def one_element(draw):
            other = value.copy()
            place = draw(st.integers(0, value.size - 1))
            other.reshape(-1).view("u1")[place * value.itemsize] ^= 1
            return other

        if value.dtype.kind not in "U?":
            yield one_element


def _frame_changes(value):
    yield lambda draw: value.set_axis(["x", *value.columns[1:]], axis=1)
    yield lambda draw: value[value.columns[::-1]]
    yield lambda draw: value.set_axis(range(1, len(value) + 1))
    yield lambda draw: value.iloc[::-1]
    yield lambda draw: value.iloc[1:]
    yield lambda draw: value.astype({value.columns[0]: "int32"})
    yield lambda draw: value.assign(words=value["words"] + "x")
    yield lambda draw: value.astype({"words": "category"})

    def noted(draw):
        other = value.copy()
        other.attrs["note"] = 1
        return other

    yield noted


def _leaf_changes(value):
    yield lambda draw: (value,)
    yield lambda draw: repr(value)
    if isinstance(value, bool):
        yield lambda draw: not value
    if isinstance(value, int | float | complex | fractions.Fraction | decimal.Decimal):
        yield lambda draw: -value
        yield lambda draw: value + 1
        # Of complex numbers the absolute value may be too large for a number.
        yield lambda draw: value if isinstance(value, complex) or abs(value) >= 1e300 else complex(value)
        if isinstance(value, int) and abs(value) < 2**53:
            yield lambda draw: float(value)
            yield lambda draw: int(value)
            yield lambda draw: np.int64(value)
            yield lambda draw: decimal.Decimal(int(value))
    if isinstance(value, float):
        yield lambda draw: float(np.nextafter(value, np.inf))
        yield lambda draw: np.float64(value)
    if isinstance(value, str):
        yield lambda draw: value + "\0"
        yield lambda draw: value[:-1]
        yield lambda draw: value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes | bytearray):
        yield lambda draw: value + b"\0"
        yield lambda draw: value[:-1]
        yield lambda draw: bytearray(value) if isinstance(value, bytes) else bytes(value)
        yield lambda draw: np.frombuffer(value, np.uint8)
    if isinstance(value, dt.datetime):
        yield lambda draw: value.replace(microsecond=(value.microsecond + 1) % 10**6)
        yield lambda draw: value.replace(tzinfo=None if value.tzinfo else dt.UTC)
        yield lambda draw: value.replace(fold=1 - value.fold)
        yield lambda draw: value.date()
    if isinstance(value, uuid.UUID):
        yield lambda draw: value.int
        yield lambda draw: value.bytes


members = (
    st.builds(Plain, a=values, b=values)
    | st.builds(Point, values, values)
    | st.builds(Fixed, hashable)
    | values
)


@law(15)
@given(members, st.sampled_from([32, 33, 34]), st.booleans(), st.data())
def test_each_of_many_members_counts(value, size, nested, data):
    place = data.draw(st.integers(0, size - 1))
    other = changed(value, data.draw)
    many = [value] * size
    mixed = [*many[:place], other, *many[place + 1 :]]
    if nested:
        many, mixed = ([Plain(a=[1, made], b=place) for place in range(size)] for made in (many, mixed))
    assert (digest(mixed) == digest(many)) == (spelled(other) == spelled(value))
    assert digest([rebuilt(member) for member in mixed]) == digest(mixed) == digest(copy.deepcopy(mixed))


@law(100)
@given(small | frames | leaves | values | values, st.data())
def test_any_single_change_that_can_be_seen_differs(value, data):
    spelling, expected = spelled(value), digest(value)
    for change in _changes(value):
        other = change(data.draw)
        assert (digest(other) == expected) == (spelled(other) == spelling), other


def random_structure(source, depth=0):
    """Make a small structure of few kinds of members, so that many differ in one thing only."""
    containers = ["list", "tuple", "dict", "set", "point", "array"] if depth < 4 else []
    kind = source.choice(["int", "float", "str", "bytes", "bool", "enum", "day", *containers, *containers])
    count = source.randrange(4)
    if kind in {"list", "tuple"}:
        members = [random_structure(source, depth + 1) for _ in range(count)]
        return members if kind == "list" else tuple(members)
    if kind == "dict":
        keys = source.sample(["a", 1, 1.5, b"a", None, Level.LOW], min(count, 3))
        return {key: random_structure(source, depth + 1) for key in keys}
    if kind == "point":
        return source.choice([Point, Fixed])(random_structure(source, depth + 1), source.randrange(2))
    return {
        "int": lambda: source.randrange(-3, 3),
        "float": lambda: float(source.randrange(-3, 3)),
        "str": lambda: "".join(source.choices("ab1:", k=count)),
        "bytes": lambda: bytes(source.choices(b"ab1:", k=count)),
        "bool": lambda: source.random() < 0.5,
        "enum": lambda: source.choice([*Colour, *Level]),
        "day": lambda: dt.date(2020, 1, 1 + source.randrange(3)),
        "set": lambda: set(source.sample([1, 2.5, "a", b"a", None], count)),
        "array": lambda: np.array(
            source.choices([0, 1], k=count), dtype=source.choice(["i1", "u1", "?", "f4"])
        ),
    }[kind]()


def test_ten_thousand_random_structures_do_not_collide():
    source = random.Random(4)
    by_digest, spellings = {}, set()
    while len(spellings) < 10_000:
        value = random_structure(source)
        spelling = repr(spelled(value))
        spellings.add(spelling)
        assert by_digest.setdefault(digest(value), spelling) == spelling
    assert len(by_digest) == len(spellings)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 40, 200])
def test_lengths_at_which_encodings_change_their_form(count):
    texts = [
        "x" * count,
        "x" * (count + 1),
        b"x" * count,
        bytearray(b"x" * count),
        ["x"] * count,
        [b"x"] * count,
    ]
    texts += [
        [1] * count,
        (1,) * count,
        dict.fromkeys(range(count), 1),
        set(range(count)),
        list(range(count)),
    ]
    texts += [np.zeros(count, "u1"), np.zeros(count, "?")]
    spellings = {repr(spelled(value)) for value in texts}
    assert len(set(map(digest, texts))) == len(spellings)
