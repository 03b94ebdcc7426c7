"""Values of the standard library: dates, paths, enums; every Python would take them apart differently."""

from __future__ import annotations

import sys
from typing import Any

from cachestore.keys.beside import beside
from cachestore.keys.code_origin import origin_of
from cachestore.keys.encoding import buffer, record, text
from cachestore.keys.functions import encode_class
from cachestore.keys.walk import Encoder, Refusal, Walk


def _enum(walk: Walk, value: Any) -> bytes:
    members = (walk.encode(value._name_), walk.named(".value", value._value_))
    return record("enum", encode_class(walk, type(value)), *members)


def _path(walk: Walk, value: Any) -> bytes:
    # One path on every system that spells it with forward slashes.
    return record("path", text(value.as_posix()))


def _inside(walk: Walk, value: Any) -> bytes:
    return record("inside", text(value.kind), walk.encode(value.above), text(value.rest))


def _pattern(walk: Walk, value: Any) -> bytes:
    return record("pattern", walk.encode(value.pattern), walk.encode(value.flags))


def _regex(walk: Walk, value: Any) -> bytes:
    walk.origin_of("regex")
    members = (value.pattern, value.flags, value.named_lists)
    return record("regex", *map(walk.encode, members))


def _slice(walk: Walk, value: slice) -> bytes:
    return record("slice", *map(walk.encode, (value.start, value.stop, value.step)))


def _decimal(walk: Walk, value: Any) -> bytes:
    # 1.0 and 1.00 are equal, but print and divide differently. A signalling NaN raises where others do not.
    return record("decimal", text("NaN" if value.is_qnan() else "sNaN" if value.is_snan() else str(value)))


def _fraction(walk: Walk, value: Any) -> bytes:
    return record("fraction", walk.encode(value.numerator), walk.encode(value.denominator))


def _uuid(walk: Walk, value: Any) -> bytes:
    return record("uuid", walk.encode(value.int))


def _duration(walk: Walk, value: Any) -> bytes:
    parts = (value.days, value.seconds, value.microseconds)
    return record("timedelta", *map(walk.encode, parts), *_finer(walk, value))


def _finer(walk: Walk, value: Any) -> list[bytes]:
    """Encode what the times of pandas have besides: nanoseconds, and the unit that they are counted in."""
    found = (getattr(value, name, None) for name in ("nanoseconds", "unit"))
    return [walk.encode(part) for part in found if part is not None]


def _date(walk: Walk, value: Any) -> bytes:
    return record("date", text(value.isoformat()))


def _time(walk: Walk, value: Any) -> bytes:
    """Encode a time or a date with a time by its text and its zone: the same moment in two zones differs."""
    tag = "datetime" if hasattr(value, "date") else "time"
    zone, fold = value.tzinfo, value.fold
    if zone is None:
        return record(tag, text(value.isoformat()), walk.encode(fold), *_finer(walk, value))
    naive = text(value.replace(tzinfo=None).isoformat())
    return record(tag, naive, walk.encode(fold), walk.named(".tzinfo", zone), *_finer(walk, value))


def _timezone(walk: Walk, value: Any) -> bytes:
    return record("timezone", walk.encode(value.utcoffset(None)), text(value.tzname(None)))


def _zone(walk: Walk, value: Any) -> bytes:
    if value.key is None:
        raise Refusal("<ZoneInfo>", "it was read from a file and has no name (give ZoneInfo(name))")
    return record("zone", walk.encode(value.key))


def _deque(walk: Walk, value: Any) -> bytes:
    return record("deque", walk.encode(value.maxlen), walk.members("elements", value))


def _packed(walk: Walk, value: Any) -> bytes:
    if sys.byteorder != "little":
        value = value[:]
        value.byteswap()
    # One type code may be of another size on another system.
    return record(
        "packed", text(value.typecode), walk.encode(value.itemsize), buffer(memoryview(value).cast("B"))
    )


def _mapping_view(walk: Walk, value: Any) -> bytes:
    return walk.pairs("mappingproxy", value.items())


def _namespace(walk: Walk, value: Any) -> bytes:
    return walk.pairs("namespace", vars(value).items(), attributes=True)


def _random(walk: Walk, value: Any) -> bytes:
    if isinstance(value, sys.modules["random"].SystemRandom):
        # Its numbers come from the system, and it holds nothing.
        return record("systemrandom", encode_class(walk, type(value)))
    if value is sys.modules["random"]._inst:
        # That of the module itself, behind `random.shuffle`: what a function draws from it does not count either.
        return b"{random 0:"
    if walk.constants:
        raise Refusal("<Random>", "each number that is drawn changes its state")
    return record("random", walk.encode(value.getstate()))


def _struct(walk: Walk, value: Any) -> bytes:
    return record("struct", text(value.format))


# By names, so that no module is imported for a value that is none of its own.
_ENCODERS: dict[tuple[str, str], Encoder] = {
    ("builtins", "slice"): _slice,
    ("builtins", "mappingproxy"): _mapping_view,
    ("array", "array"): _packed,
    ("cachestore.keys.checkout", "Inside"): _inside,
    ("collections", "deque"): _deque,
    ("datetime", "date"): _date,
    ("datetime", "datetime"): _time,
    ("datetime", "time"): _time,
    ("datetime", "timedelta"): _duration,
    ("datetime", "timezone"): _timezone,
    ("decimal", "Decimal"): _decimal,
    ("enum", "Enum"): _enum,
    ("fractions", "Fraction"): _fraction,
    ("pathlib", "PurePath"): _path,
    ("pathlib._local", "PurePath"): _path,
    ("random", "Random"): _random,
    ("re", "Pattern"): _pattern,
    ("_regex", "Pattern"): _regex,
    ("_struct", "Struct"): _struct,
    ("types", "SimpleNamespace"): _namespace,
    ("uuid", "UUID"): _uuid,
    ("zoneinfo", "ZoneInfo"): _zone,
}


def find_encoder(cls: type) -> Encoder | None:
    """Return the rule for a type of the standard library, if it or what it is derived from is one."""
    for base in cls.__mro__:
        encoder = _ENCODERS.get((base.__module__, base.__qualname__))
        if encoder is None:
            continue
        if base is cls or encoder is _enum or origin_of(cls.__module__).kind == "standard":
            return encoder
        return derived(encoder, base)
    return None


def derived(content: Encoder, base: type) -> Encoder:
    """Return the rule for a class that adds something to one of these."""

    def encode(walk: Walk, value: Any) -> bytes:
        cls = type(value)
        # The times of pandas keep there what they were asked for.
        own = {} if cls.__module__.partition(".")[0] == "pandas" else beside(value, base)
        state = walk.pairs("state", own.items(), attributes=True)
        return record("derived", encode_class(walk, cls), content(walk, value), state)

    return encode
