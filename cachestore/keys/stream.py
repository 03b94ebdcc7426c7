"""Flat streams of leaves and markers, which marshal writes in one go.

Only leaves whose exact type was checked stand in a stream as they are: marshal takes anything with a buffer for
bytes. Its version 2 writes equal leaves alike, whatever is shared or interned, and in every Python. A marker is a
tuple, which is no leaf: the kind of a container, which is followed by its size and its members, or the encoding of
anything else. So a stream can be read in one way only.
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import Sequence
from operator import ne
from typing import Any

from cachestore.keys.encoding import short, text

# What stands in a stream as it is. So do short bytes; long ones are digested where they lie, with all cores.
PLAIN = frozenset({type(None), bool, int, float, str})
LONG_BYTES = 4096

_NAN: float = struct.unpack("<d", b"\0\0\0\0\0\0\xf8\x7f")[0]
_LONG_TEXT = 1 << 20
_VERSION = 2


def encode_stream(stream: list[Any]) -> bytes:
    """Encode a stream: the encoding says where it ends, as that of every value does.

    Examples
    --------
    >>> encode_stream([(1,), 2, "a", None])
    b'[\\x04\\x00\\x00\\x00(\\x01\\x00\\x00\\x00i\\x01\\x00\\x00\\x00i\\x02\\x00\\x00\\x00u\\x01\\x00\\x00\\x00aN'
    """
    return short(write(stream))


def write(stream: list[Any]) -> bytes:
    """Write a stream."""
    if any(map(ne, stream, stream)):
        # Every NaN is alike, whatever its payload. Nothing else in a stream differs from itself.
        stream = [member if member == member else _NAN for member in stream]  # noqa: PLR0124
    try:
        return marshal.dumps(stream, _VERSION)
    except ValueError:
        # A text of 2 GiB or more is more than marshal takes.
        return marshal.dumps([_shortened(member) for member in stream], _VERSION)


def write_alike(members: Sequence[Any]) -> bytes | None:
    """Write members that are all texts, or all plain; None if something else is among them."""
    kinds = list(map(type, members))
    if kinds.count(str) == len(kinds):
        joined = "\0".join(members)
        if joined.count("\0") == len(kinds) - 1:
            # A third of the time that marshal takes.
            data = joined.encode("utf-8", "surrogatepass")
            return b"t%d,%d:%b" % (len(kinds), len(data), data)
    return write(list(members)) if PLAIN.issuperset(kinds) else None


def _shortened(member: Any) -> Any:
    return (text(member),) if type(member) is str and len(member) > _LONG_TEXT else member
