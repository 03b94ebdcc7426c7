"""Values without members: numbers, texts, dates, paths, patterns."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

from cachestore.keys.encoding import buffer, record, short, text
from cachestore.keys.stream import LONG_BYTES, Marker

# In the format of a buffer: what refers to objects and memory, and the names of fields.
_POINTERS = frozenset("OP&X")
_NAMES = re.compile(":[^:]*:")
_NAN = b"f" + b"\xff" * 8


def _integer(value: int) -> bytes:
    # Hexadecimal, as Python refuses to write very long integers in decimal.
    return short(b"i%x;" % value)


def _float(value: float) -> bytes:
    # Every NaN is alike, whatever its payload; the zeros differ, because 1/x can tell.
    return b"f" + struct.pack("<d", value) if value == value else _NAN  # noqa: PLR0124


def _complex(value: complex) -> bytes:
    return b"c" + _float(value.real) + _float(value.imag)


def _bytearray(value: bytearray) -> bytes:
    return record("bytearray", buffer(value))


def _memoryview(value: memoryview) -> bytes:
    if not _POINTERS.isdisjoint(_NAMES.sub("", value.format)):
        raise TypeError("its bytes are places in the memory of this process")
    data = value.tobytes() if not value.c_contiguous else value.cast("B") if value.nbytes else b""
    return record("memoryview", text(value.format), *(_integer(n) for n in value.shape or ()), buffer(data))


def _none(_: None) -> bytes:
    return b"N"


def _bool(value: bool) -> bytes:
    return b"T" if value else b"F"


def _ellipsis(_: object) -> bytes:
    return b"{ellipsis 0:"


def _not_implemented(_: object) -> bytes:
    return b"{notimplemented 0:"


def _range(value: range) -> bytes:
    # range(0, 3, 2) == range(0, 4, 2): the numbers count, not how they were asked for.
    size = len(value)
    members = [size] if not size else [size, value[0]] if size == 1 else [size, value[0], value.step]
    return record("range", *map(_integer, members))


# Exact types only: a subclass may mean anything by the same content.
LEAVES: dict[type, Callable[[Any], bytes]] = {
    type(None): _none,
    bool: _bool,
    int: _integer,
    float: _float,
    complex: _complex,
    str: text,
    bytes: buffer,
    bytearray: _bytearray,
    memoryview: _memoryview,
    range: _range,
    type(...): _ellipsis,
    type(NotImplemented): _not_implemented,
}


def _marking(leaf: Callable[[Any], bytes]) -> Callable[[Any], Marker]:
    return lambda value: (leaf(value),)


# What stands in a stream for values that lead nowhere and are not worth remembering: a marker, but short bytes
# themselves; None is for larger values. Types of packages are entered when the package is met.
SMALL: dict[type, Callable[[Any], Any]] = {
    **{cls: _marking(leaf) for cls, leaf in LEAVES.items()},
    bytes: lambda value: value if len(value) <= LONG_BYTES else (buffer(value),),
}
