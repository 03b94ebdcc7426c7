"""Values of the standard library."""

import collections
import copy
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import logging
import math
import operator
import pathlib
import random
import re
import string
import struct
import types
import urllib.parse
import uuid
import zoneinfo

import pytest
import regex

from cachestore.errors import KeyingError
from cachestore.keys import digest, encode


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Shape(enum.Enum):
    RED = 1


class Flags(enum.Flag):
    A = 1
    B = 2


class Level(enum.IntEnum):
    LOW = 1


class Name(enum.StrEnum):
    A = "a"


class Bits(enum.IntFlag):
    A = 1
    B = 2


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
MOMENT = dt.datetime(2020, 10, 25, 2, 30)

DIFFERENT = [
    Colour.RED, Colour.BLUE, Shape.RED, 1, Flags.A, Flags.B, Flags.A | Flags.B, Colour, Shape,
    MOMENT, MOMENT.replace(tzinfo=BERLIN),
    MOMENT.replace(tzinfo=BERLIN, fold=1), MOMENT.replace(tzinfo=dt.UTC),
    MOMENT.replace(microsecond=1), MOMENT.date(), MOMENT.time(), dt.timedelta(1), dt.timedelta(0, 1),
    decimal.Decimal(1), decimal.Decimal("1.0"), decimal.Decimal("NaN"), decimal.Decimal("sNaN"),
    fractions.Fraction(1, 2), uuid.UUID(int=1),
    pathlib.PurePosixPath("a"), pathlib.PurePosixPath("a/b"), "a",
    re.compile("a"), re.compile("a", re.I), re.compile(b"a"),
    slice(1), slice(1, None), range(1), range(2),
    random.Random(1), random.Random(2), BERLIN, zoneinfo.ZoneInfo("UTC"),
    Flags(0), Level.LOW, Name.A, Bits.A, Bits.A | Bits.B, Bits(9), re.compile("a", re.I | re.M), re.I, math.pi,
    pathlib.PurePosixPath("/a"), types.SimpleNamespace(a=1), types.SimpleNamespace(a=2), ValueError("a"), KeyError("a"),
    collections.deque([1]), collections.deque([1], 2), collections.ChainMap({1: 2}), collections.ChainMap({}, {1: 2}),
    collections.UserDict({1: 2}), collections.UserList([1]), ipaddress.ip_address("::1"), ipaddress.ip_network("::/8"),
    operator.itemgetter(1), operator.itemgetter(2), operator.attrgetter("a.b"), operator.methodcaller("f", 1, k=2),
    string.Template("$a"), urllib.parse.urlparse("http://a/b"), logging.getLogger("a"), logging.getLogger("b"),
    dt.UTC, dt.timezone(dt.timedelta(hours=1)), type(None), None, list[int], list[str],
    struct.Struct("<i"), struct.Struct(">i"), random.SystemRandom(),
]  # fmt: skip


def test_all_differ():
    assert len(set(map(digest, DIFFERENT))) == len(DIFFERENT)


def test_patterns_of_regex():
    patterns = [
        re.compile("a"), regex.compile("a"), regex.compile("b"), regex.compile("a", regex.V1), regex.compile(b"a"),
        regex.compile(r"\L<words>", words=["a"]), regex.compile(r"\L<words>", words=["b"]),
    ]  # fmt: skip
    assert len(set(map(digest, patterns))) == len(patterns)
    assert digest(patterns[1]) == digest(copy.deepcopy(patterns[1]))
    assert list(encode(patterns[1])[1]) == ["package:regex"]


COPIED = [value for value in DIFFERENT if not isinstance(value, struct.Struct | random.SystemRandom)]


@pytest.mark.parametrize("value", COPIED, ids=lambda value: type(value).__name__)
def test_copies_are_equal(value):
    assert digest(copy.deepcopy(value)) == digest(value)


def test_paths_count_by_their_posix_text():
    assert (
        digest(pathlib.PureWindowsPath("a\\b"))
        == digest(pathlib.PurePosixPath("a/b"))
        == digest(pathlib.Path("a/b"))
    )


def test_ranges_count_by_their_numbers():
    assert digest(range(0, 3, 2)) == digest(range(0, 4, 2))
    assert digest(range(0)) == digest(range(5, 5))


def test_views_of_mappings():
    view = types.MappingProxyType({"a": 1, "b": 2})
    assert digest(view) == digest(types.MappingProxyType({"b": 2, "a": 1})) != digest({"a": 1, "b": 2})


def test_zones():
    assert digest(BERLIN) == digest(zoneinfo.ZoneInfo.no_cache("Europe/Berlin"))
    file = next(pathlib.Path(folder, "Europe/Berlin") for folder in (*zoneinfo.TZPATH, "") if folder)
    if not file.is_file():
        pytest.skip("this system has no files of time zones")
    with file.open("rb") as data, pytest.raises(KeyingError, match="read from a file and has no name"):
        digest(MOMENT.replace(tzinfo=zoneinfo.ZoneInfo.from_file(data)))


def test_subclasses_count():
    class Day(dt.date):
        pass

    assert digest(Day(2020, 1, 1)) != digest(dt.date(2020, 1, 1))


class Money(decimal.Decimal):
    __slots__ = ("currency",)


class Bounded(collections.deque):
    __slots__ = ("name",)


def named(made, **attributes):
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def test_slots_of_subclasses_count():
    assert digest(named(Money(1), currency="EUR")) == digest(named(Money(1), currency="EUR"))
    assert digest(named(Money(1), currency="EUR")) != digest(named(Money(1), currency="USD"))
    assert digest(named(Money(1), currency="EUR")) != digest(Money(1))
    assert digest(named(Bounded([1]), name="a")) != digest(named(Bounded([1]), name="b"))
