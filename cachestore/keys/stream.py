"""Flat streams of leaves and markers, which marshal writes in one go.

Only leaves whose exact type was checked stand in a stream as they are: marshal takes anything with a buffer for
bytes. Its version 2 writes equal leaves alike, whatever is shared or interned, and in every Python. A marker is a
tuple, which is no leaf: the kind of a container, which is followed by its size and its members, what a small array
is made of, or the encoding of anything else. So a stream can be read in one way only.
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import Sequence
from itertools import chain
from operator import ne
from typing import Any

from cachestore.keys.encoding import short, text

# What stands in a stream as it is. So do short bytes; long ones are digested where they lie, with all cores.
PLAIN = frozenset({type(None), bool, int, float, str})
LONG_BYTES = 4096
TEXTS = frozenset({str})
Marker = tuple[Any, ...]
# What marks each kind of container.
KINDS: dict[type, tuple[int]] = {list: (1,), tuple: (2,), dict: (3,), set: (4,), frozenset: (5,)}

_NAN: float = struct.unpack("<d", b"\0\0\0\0\0\0\xf8\x7f")[0]
_SHORT = PLAIN | {bytes}
_NESTED = (list, tuple, dict)
_REGULAR = _SHORT.union(_NESTED)
_MOST_LEVELS = 5
_MOST_INSIDE = 64
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


def encode_marker(marker: Marker) -> bytes:
    """Encode what a marker stands for by itself."""
    # No number stands in it by itself, so no NaN.
    encoding: bytes = marker[0] if len(marker) == 1 else short(marshal.dumps(marker, _VERSION))
    return encoding


def write(stream: list[Any]) -> bytes:
    """Write a stream."""
    try:
        written = marshal.dumps(stream, _VERSION)
    except ValueError:
        # A text of 2 GiB or more is more than marshal takes.
        return write([_shortened(member) for member in stream])
    # Every NaN is alike, whatever its payload. All end in one of these bytes, and nothing else in a stream differs
    # from itself.
    if (0x7F in written or 0xFF in written) and any(map(ne, stream, stream)):
        return marshal.dumps([member if member == member else _NAN for member in stream], _VERSION)  # noqa: PLR0124
    return written


def write_piece(members: Sequence[Any]) -> bytes | None:
    """Write many members at once; None if among them is something that has to be walked.

    Which of the three ways is taken depends on the members only, and shows in the first byte.
    """
    kinds = list(map(type, members))
    if kinds.count(str) == len(kinds):
        joined = "\0".join(members)
        if joined.count("\0") == len(kinds) - 1:
            # A third of the time that marshal takes.
            data = joined.encode("utf-8", "surrogatepass")
            return b"t%d,%d:%b" % (len(kinds), len(data), data)
    if PLAIN.issuperset(kinds):
        return write(list(members))
    levels = _levels(members)
    return None if levels is None else b"l" + write(levels)


def _levels(members: Sequence[Any]) -> list[Any] | None:
    """Lay out members level by level, if they are leaves and lists, tuples and dicts of such, not too many.

    A level is what its members are, the sizes of the containers, the keys of the dicts, and then the level of all
    that is inside the containers: few steps in Python for each. What leads back to itself has too many levels.
    """
    stream: list[Any] = []
    room = _MOST_INSIDE * len(members)
    for _ in range(_MOST_LEVELS):
        kinds = set(map(type, members))
        if bytes in kinds and any(type(member) is bytes and len(member) > LONG_BYTES for member in members):
            return None
        if kinds <= _SHORT:
            return stream + list(members)
        if not kinds <= _REGULAR:
            return None
        stream += [member if type(member) in _SHORT else KINDS[type(member)] for member in members]
        inside: list[Any] = []
        for kind in _NESTED:
            if kind not in kinds:
                continue
            containers = [member for member in members if type(member) is kind]
            sizes = list(map(len, containers))
            room -= sum(sizes)
            if room < 0:
                return None
            stream += sizes
            if kind is dict:
                if not TEXTS.issuperset(map(type, chain.from_iterable(containers))):
                    return None
                orders = list(map(sorted, containers))
                stream += chain.from_iterable(orders)
                inside += [
                    content[key] for content, order in zip(containers, orders, strict=True) for key in order
                ]
            else:
                inside += chain.from_iterable(containers)
        members = inside
    return None


def _shortened(member: Any) -> Any:
    return (text(member),) if type(member) is str and len(member) > _LONG_TEXT else member
