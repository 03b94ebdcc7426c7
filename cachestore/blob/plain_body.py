"""Built-in scalars and containers as JSON, with tags for what JSON does not know; no pickle."""

from __future__ import annotations

import json
import math
import re
import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from cachestore.blob.body import BODY_LIMITS, Body, BodyKind, Buffer
from cachestore.errors import BlobError, CorruptBlob

TEXT_LIMIT: Final = BODY_LIMITS[BodyKind.PLAIN]
"""The most bytes that a body has: pickle is quicker for larger values."""

# How much there may be to do: an item is 1, a container or buffer as much as it takes longer. From so many numbers on,
# a run of them is a buffer.
_WORK_LIMIT: Final = 2**18
_CONTAINER_WORK: Final = 16
_BUFFER_WORK: Final = 64
_RUN: Final = 1024
# Shorter texts are bounded well enough by their number.
_SHORT_TEXT: Final = 256
# Bytes from this length on are a buffer too.
_LONG_BYTES: Final = 16 * 2**10
# Containers in containers; in the text each of them is at most three levels.
_DEPTH_LIMIT: Final = 100
_NESTING_LIMIT: Final = 3 * _DEPTH_LIMIT + 10
# Python reads numbers of 640 digits, whatever its limit is set to.
_WIDEST: Final = 10**600
# Python's own limit stops a text that nests too deeply, unless it was set higher than the stack has room for.
_SAFE_RECURSION: Final = 5000

_UNTAGGED: Final = b"="
_TAGGED: Final = b"$"
_TAGS: Final = _UNTAGGED + _TAGGED

_SCALARS: Final = frozenset({type(None), bool, int, float, str})
PLAIN: Final = _SCALARS | {bytes, list, tuple, dict, set, frozenset}
"""The types that this kind is for, exactly: instances of subclasses go to pickle."""

_write: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
_read: Final[Any] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_QUOTED: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


class _NotPlain(Exception):
    """Says that a value is for another kind."""


def plain_body(value: object) -> Body | None:
    """Write a value of built-in types, all through; None when another kind must do it.

    These are None, bool, int, float, str and bytes, and lists, tuples, dicts, sets and frozensets of them. A list,
    dict or set that is met twice is for pickle, which keeps it one object; so are what has more than 262 144 items
    in all (a container counts as 16, long runs of numbers do not count) and texts of more than 16 MiB.

    Examples
    --------
    >>> bytes(plain_body({"x": [1, 2.5, None]}).raw)
    b'={"x":[1,2.5,null]}'
    >>> bytes(plain_body((1, {2: b"3"})).raw)
    b'${"$tuple":[1,{"$dict":[[2],[{"$bytes":"Mw=="}]]}]}'
    >>> plain_body(object()) is None
    True
    """
    kind = type(value)
    if kind not in PLAIN:
        return None
    quick = _QUICK.get(kind)
    text = quick(value) if quick is not None else None
    if text is not None:
        return Body(BodyKind.PLAIN, memoryview(_UNTAGGED + text), ())
    writing = _Writing()
    try:
        content = _write(writing.encode(value, 0, hashed=False))
    except (_NotPlain, RecursionError):
        return None
    raw = (_TAGGED if writing.tagged else _UNTAGGED) + _as_bytes(content)
    return Body(BodyKind.PLAIN, memoryview(raw), writing.buffers) if len(raw) <= TEXT_LIMIT else None


def plain_value(raw: memoryview, buffers: Sequence[Any]) -> object:
    """Return the value that `plain_body` was given.

    Raises
    ------
    CorruptBlob
        If it did not write this.
    """
    if not 0 < len(raw) <= TEXT_LIMIT or raw[0] not in _TAGS:
        raise CorruptBlob(
            f"A body of {len(raw)} bytes begins with {bytes(raw[:8])!r}, which is no plain value. "
            "Recompute the value."
        )
    read = _read if raw[0] == _UNTAGGED[0] else _decoder(_Reading(buffers))
    try:
        if sys.getrecursionlimit() > _SAFE_RECURSION:
            _check_nesting(raw)
        text = str(raw[1:], "utf-8", "surrogatepass")
        value, end = read(text, 0)
    except RecursionError:
        raise BlobError("A plain value is nested too deeply to be read here. Recompute the value.") from None
    except (ValueError, TypeError, StopIteration) as error:
        raise CorruptBlob(f"A plain value cannot be read: {error!r}. Recompute the value.") from error
    if end != len(text):
        raise CorruptBlob(f"A plain value ends after {end} of {len(text)} characters. Recompute the value.")
    return value


def _decoder(reading: _Reading) -> Any:
    return json.JSONDecoder(object_hook=reading.untag).scan_once  # type: ignore[attr-defined]


def _as_bytes(text: str) -> bytes:
    # Python's texts may hold halves of surrogate pairs: they are written one by one, so that two of them that
    # stand side by side do not come back as one character.
    return text.encode("utf-8", "surrogatepass")


def _quick_int(value: Any) -> bytes | None:
    return b"%d" % value if -_WIDEST < value < _WIDEST else None


def _quick_float(value: Any) -> bytes | None:
    return repr(value).encode() if math.isfinite(value) else None


def _quick_str(value: Any) -> bytes | None:
    return _as_bytes(_write(value)) if len(value) < _LONG_BYTES else None


_QUICK: Final[dict[type, Callable[[Any], bytes | None]]] = {
    type(None): lambda _: b"null",
    bool: lambda value: b"true" if value else b"false",
    int: _quick_int,
    float: _quick_float,
    str: _quick_str,
}


class _Writing:
    """Turns one value into what JSON can say."""

    def __init__(self) -> None:
        self.tagged = False
        self.buffers: list[Buffer] = []
        self._work_left = _WORK_LIMIT
        self._text_left = TEXT_LIMIT
        # Containers by identity, and long bytes: all of them live as long as the value does.
        self._seen: set[int] = set()
        self._places: dict[int, int] = {}

    def encode(self, value: Any, depth: int, *, hashed: bool) -> Any:
        """Return `value` for JSON; `hashed` says that it is in a set or a key."""
        kind = type(value)
        if kind in _SCALARS:
            return self._scalar(value, kind, hashed)
        if depth > _DEPTH_LIMIT:
            raise _NotPlain
        if kind is list:
            self._once(value)
            return self._items(value, depth, hashed)
        if kind is dict:
            self._once(value)
            return self._dict(value, depth)
        if kind is tuple:
            if len(value) >= _RUN:
                self._once(value)
            return self._tag("$tuple", self._items(value, depth, hashed))
        if kind is bytes:
            return self._tag("$bytes", self._bytes(value))
        if kind is set:
            self._once(value)
            return self._tag("$set", self._items(list(value), depth, True))
        if kind is frozenset:
            return self._tag("$frozenset", self._items(list(value), depth, True))
        raise _NotPlain

    def _scalar(self, value: Any, kind: type, hashed: bool) -> Any:
        if kind is str:
            self._count_text(len(value))
        elif kind is int and not -_WIDEST < value < _WIDEST:
            return self._tag("$int", hex(value))
        elif kind is float and hashed and math.isnan(value):
            raise _NotPlain  # each NaN is another key, but what reads JSON may make them one
        return value

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        values = list(value.values())
        encoded = self._items(values, depth, False)
        if type(encoded) is list and all(type(key) is str and len(key) < _SHORT_TEXT for key in value):
            if encoded is not values:
                value = dict(zip(value, encoded, strict=True))
            if len(value) != 1 or next(iter(value))[:1] != "$":
                return value
        return self._tag("$dict", [self._items(list(value), depth, True), encoded])

    def _items(self, items: Sequence[Any], depth: int, hashed: bool) -> Any:
        kinds = set(map(type, items)) if len(items) >= _RUN else set()
        if kinds in ({float}, {int}):
            run = self._run(items, kinds.pop(), hashed)
            if run is not None:
                return run
        self._work_left -= len(items) + _CONTAINER_WORK
        if self._work_left < 0:
            raise _NotPlain
        if kinds == {str}:
            self._count_text(sum(map(len, items)))
            return items
        encoded: list[Any] | None = None
        for place, item in enumerate(items):
            kind = type(item)
            if (
                (kind is str and len(item) < _SHORT_TEXT)
                or (kind is float and not hashed)
                or (kind is int and -_WIDEST < item < _WIDEST)
                or kind is bool
                or item is None
            ):
                continue
            other = self.encode(item, depth + 1, hashed=hashed)
            if other is not item:
                encoded = list(items) if encoded is None else encoded
                encoded[place] = other
        return items if encoded is None else encoded

    def _run(self, items: Sequence[Any], kind: type, hashed: bool) -> Any:
        if hashed and kind is float and any(map(math.isnan, items)):
            raise _NotPlain
        try:
            numbers = array("d" if kind is float else "q", items)
        except OverflowError:
            return None
        return self._tag("$floats" if kind is float else "$ints", self._add(_little(numbers), 8))

    def _bytes(self, value: bytes) -> str | int:
        if len(value) < _LONG_BYTES:
            self._count_text(len(value))
            return b64encode(value).decode()
        place = self._places.get(id(value))
        if place is None:
            place = self._places[id(value)] = self._add(value, 1)
        return place

    def _add(self, raw: Any, item_size: int) -> int:
        self._work_left -= _BUFFER_WORK
        if self._work_left < 0:
            raise _NotPlain
        self.buffers.append(Buffer(memoryview(raw).cast("B"), item_size))
        return len(self.buffers) - 1

    def _count_text(self, length: int) -> None:
        self._text_left -= length
        if self._text_left < 0:
            raise _NotPlain

    def _once(self, container: object) -> None:
        # What is met again is one object in two places, or contains itself.
        if id(container) in self._seen:
            raise _NotPlain
        self._seen.add(id(container))

    def _tag(self, tag: str, content: Any) -> dict[str, Any]:
        self.tagged = True
        return {tag: content}


class _Reading:
    """Turns what JSON says back into one value; wrong types become a TypeError, wrong contents a ValueError."""

    def __init__(self, buffers: Sequence[Any]) -> None:
        self._buffers = buffers
        self._bytes: dict[int, bytes] = {}
        # Were a run to be had twice, a short text could ask for more memory than the blob has.
        self._runs: set[int] = set()

    def untag(self, content: dict[str, Any]) -> Any:
        """Return what a JSON object stands for; those inside of it have had their turn."""
        if len(content) != 1:
            return content
        ((tag, inner),) = content.items()
        if tag[:1] != "$":
            return content
        if tag == "$tuple":
            return tuple(_list(inner))
        if tag == "$dict":
            keys, values = map(_list, _list(inner))
            return _distinct(dict(zip(keys, values, strict=True)), keys)
        if tag == "$set":
            return _distinct(set(_list(inner)), inner)
        if tag == "$frozenset":
            return _distinct(frozenset(_list(inner)), inner)
        if tag == "$bytes":
            return b64decode(inner, validate=True) if type(inner) is str else self._long_bytes(inner)
        if tag in ("$floats", "$ints"):
            return self._run(inner, "d" if tag == "$floats" else "q")
        if tag == "$int" and type(inner) is str:
            return int(inner, 16)
        raise ValueError(f"there is no {tag!r} of {type(inner).__name__}")

    def _long_bytes(self, place: Any) -> bytes:
        raw = self._buffer(place)
        if place not in self._bytes:
            self._bytes[place] = bytes(raw)
        return self._bytes[place]

    def _run(self, place: Any, code: str) -> list[Any]:
        raw = self._buffer(place)
        if place in self._runs:
            raise ValueError(f"buffer {place} is two runs of numbers")
        self._runs.add(place)
        numbers = array(code)
        numbers.frombytes(raw)
        return _little(numbers).tolist()

    def _buffer(self, place: object) -> Any:
        if type(place) is not int or not 0 <= place < len(self._buffers):
            raise ValueError(f"there is no buffer {place!r}")
        return self._buffers[place]


def _list(content: object) -> list[Any]:
    if type(content) is not list:
        raise TypeError(f"{type(content).__name__} where a list should be")
    return content


def _distinct(container: Any, items: Collection[Any]) -> Any:
    if len(container) != len(items):
        raise ValueError(f"of {len(items)} keys or members only {len(container)} differ")
    return container


def _little(numbers: array[Any]) -> array[Any]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _check_nesting(raw: memoryview) -> None:
    text = bytes(raw)
    if text.count(b"[") + text.count(b"{") <= _NESTING_LIMIT:
        return
    brackets = _QUOTED.sub(b"", text).translate(None, _NO_BRACKETS)
    for _ in range(_NESTING_LIMIT):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    raise ValueError(f"it nests more than {_NESTING_LIMIT} levels")
