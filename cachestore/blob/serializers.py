"""Types of a team's own, written and read by functions that it registers."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from cachestore.blob.body import Body, BodyKind, Buffer
from cachestore.blob.plain_body import PLAIN
from cachestore.errors import BlobError, CorruptBlob

_NAME_LIMIT: Final = 200
_HEAD: Final = struct.Struct("<I")

Dump = Callable[[Any], tuple[Any, Iterable[Any]]]
Load = Callable[[memoryview, list[memoryview]], Any]


class _Serializer(NamedTuple):
    kind: type
    name: str
    dump: Dump
    load: Load


_by_type: dict[type, _Serializer] = {}
_by_name: dict[str, _Serializer] = {}


def register_serializer(kind: type, *, name: str, dump: Dump, load: Load) -> None:
    """Register how values of a type are stored and read, in place of pickle.

    It holds for values of exactly this type, as what a function returns: inside of a list or an object pickle decides.
    Register where the class is defined, so that every process that has the class can read its values. Stored values
    are found by `name` for ever: keep it, and what `load` understands.

    Parameters
    ----------
    kind
        Any class but a built-in scalar or container.
    name
        What blobs call the serializer: `"acme.Mesh/1"`. At most 200 bytes.
    dump
        Takes a value and returns some bytes, and the large buffers beside them: whatever has contiguous memory.
    load
        Takes the bytes as a memoryview, and the buffers as a list of others, and returns the value. Buffers can be
        written to, but those that are mapped from a file to be read only.

    Raises
    ------
    TypeError
        If `kind` is no class or a built-in one, or a function is none.
    ValueError
        If the name is empty, too long, or that of another class.

    Examples
    --------
    >>> from fractions import Fraction
    >>> register_serializer(
    ...     Fraction,
    ...     name="fraction",
    ...     dump=lambda value: (str(value).encode(), []),
    ...     load=lambda raw, buffers: Fraction(bytes(raw).decode()),
    ... )
    """
    if not isinstance(kind, type):
        raise TypeError(
            f"register_serializer takes a class, not {kind!r}. Write register_serializer(MyClass, ...)."
        )
    if kind in PLAIN or kind is object or issubclass(kind, type):
        raise TypeError(
            f"How {kind.__name__!r} is stored is fixed, so that everyone can read it. Register a class of your own."
        )
    if not isinstance(name, str):
        raise TypeError(f"The name of a serializer is a text, not {name!r}. Write name='acme.Mesh'.")
    if not name or len(name.encode("utf-8", "replace")) > _NAME_LIMIT or not name.isprintable():
        raise ValueError(
            f"{name!r} is no name of a serializer. Give one of 1 to {_NAME_LIMIT} printable characters."
        )
    for role, function in (("dump", dump), ("load", load)):
        if not callable(function):
            raise TypeError(f"{role} is {function!r}. Give a function.")
    other = _by_name.get(name)
    if other is not None and _full_name(other.kind) != _full_name(
        kind
    ):  # a class that is defined again may replace
        raise ValueError(
            f"The name {name!r} is that of {_full_name(other.kind)}. Give {_full_name(kind)} another one."
        )
    serializer = _Serializer(kind, name, dump, load)
    _by_name[name] = serializer
    _by_type[kind] = serializer


def registered_body(value: object) -> Body | None:
    """Write a value of a registered type; None when its type is not.

    Raises
    ------
    BlobError
        If its `dump` fails, or does not return bytes and buffers.
    """
    serializer = _by_type.get(type(value))
    if serializer is None:
        return None
    try:
        raw, parts = serializer.dump(value)
        content = memoryview(raw).cast("B")
        views = [memoryview(part) for part in parts]
        sizes = [view.nbytes for view in views]
        # An empty buffer is named by its size only.
        buffers = [Buffer(view.cast("B"), max(view.itemsize, 1)) for view in views if view.nbytes]
    except Exception as error:
        raise BlobError(
            f"The serializer {serializer.name!r} cannot store a {_full_name(serializer.kind)}: "
            f"{type(error).__name__}: {error}. Its dump returns bytes, and a list of contiguous buffers."
        ) from error
    head = json.dumps({"name": serializer.name, "sizes": sizes}).encode()
    return Body(BodyKind.REGISTERED, memoryview(b"".join((_HEAD.pack(len(head)), head, content))), buffers)


def registered_value(raw: memoryview, buffers: Sequence[Any]) -> object:
    """Return the value that `registered_body` was given.

    Raises
    ------
    CorruptBlob
        If it did not write this.
    BlobError
        If no serializer of this name is registered, or its `load` fails.
    """
    name, sizes, content = _parse(raw)
    found = [memoryview(buffer).nbytes for buffer in buffers]
    if found != [size for size in sizes if size]:
        raise CorruptBlob(f"A value has buffers of {found} bytes and names {sizes}. Recompute the value.")
    serializer = _by_name.get(name)
    if serializer is None:
        raise BlobError(
            f"The value was stored by a serializer {name!r}, which is not registered here. Import the module that "
            f"calls cachestore.register_serializer(..., name={name!r}), or recompute the value."
        )
    rest = iter(buffers)
    given = [memoryview(next(rest)).cast("B") if size else memoryview(bytearray()) for size in sizes]
    try:
        return serializer.load(content, given)
    except Exception as error:
        raise BlobError(
            f"The serializer {name!r} cannot read the value: {type(error).__name__}: {error}. "
            "Its code may have changed; recompute the value."
        ) from error


def _parse(raw: memoryview) -> tuple[str, list[int], memoryview]:
    try:
        (length,) = _HEAD.unpack_from(raw)
        end = _HEAD.size + length
        if end > len(raw):
            raise ValueError(f"its head has {length} bytes")
        head = json.loads(str(raw[_HEAD.size : end], "utf-8"))
        name, sizes = head["name"], head["sizes"]
        if type(name) is not str or not all(type(size) is int and size >= 0 for size in sizes):
            raise ValueError("its head has other types")
    except (struct.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptBlob(
            f"A value does not name the serializer that stored it: {error}. Recompute the value."
        ) from error
    return name, list(sizes), raw[end:]


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
