"""Values to bodies and back: which kind is chosen for which type, and what may be read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from cachestore.blob.body import Body, BodyKind
from cachestore.blob.plain_body import plain_body, plain_value
from cachestore.errors import BlobError, CorruptBlob
from cachestore.settings.settings import LoadPolicy

# Packages whose values have a kind of their own. A value of theirs can only be where they are loaded.
_FRAMES = frozenset({"pandas", "polars", "pyarrow"})


def body_of(value: object) -> Body:
    """Write a value: as plain data where its type says how, else as a pickle.

    Raises
    ------
    BlobError
        If nothing can.

    Examples
    --------
    >>> body_of([1, 2]).kind, body_of(1j).kind
    (<BodyKind.PLAIN: 3>, <BodyKind.PICKLE: 0>)
    """
    try:
        body = plain_body(value) or _body_by_type(value)
    except (BlobError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - packages of other versions, or without those that they can do without
        body = None
    if body is not None:
        return body
    from cachestore.blob.pickling import pickle_value

    raw, buffers = pickle_value(value)
    return Body(BodyKind.PICKLE, raw, buffers)


def _body_by_type(value: object) -> Body | None:
    kind = type(value)
    if "cachestore.blob.serializers" in sys.modules:
        from cachestore.blob.serializers import registered_body

        body = registered_body(value)
        if body is not None:
            return body
    package = str(kind.__module__).partition(".")[0]
    if package not in sys.modules:
        return None
    if package == "numpy":
        from cachestore.blob.array_body import array_body

        return array_body(value)
    if package in _FRAMES:
        from cachestore.blob.arrow_body import arrow_body

        return arrow_body(value)
    return None


def value_of(kind: int, raw: memoryview, buffers: Sequence[Any], *, policy: LoadPolicy = "any") -> object:
    """Return the value that `body_of` was given.

    Parameters
    ----------
    kind
        The number of the kind of body.
    raw, buffers
        Its bytes, all of which have been checked. The value may live in the memory of the buffers, and can be
        written to where they can.
    policy
        `data` never unpickles, and never imports pickle.

    Raises
    ------
    CorruptBlob
        If there is no such kind, or it did not write this.
    BlobError
        If the value cannot be read here: its package or class has gone, or the policy forbids it.
    """
    if kind == BodyKind.PLAIN:
        return plain_value(raw, buffers)
    if kind == BodyKind.ARRAY:
        from cachestore.blob.array_body import array_value

        return array_value(raw, buffers)
    if kind == BodyKind.ARROW:
        from cachestore.blob.arrow_body import arrow_value

        return arrow_value(raw, buffers)
    if kind == BodyKind.REGISTERED:
        from cachestore.blob.serializers import registered_value

        return registered_value(raw, buffers)
    if kind != BodyKind.PICKLE:
        raise CorruptBlob(f"A value is of kind {kind}, which there is not. Recompute the value.")
    check_policy(kind, policy)
    from cachestore.blob.pickling import unpickle_value

    return unpickle_value(raw, buffers)


def check_policy(kind: int, policy: LoadPolicy) -> None:
    """Refuse a kind of body that may not be read.

    Raises
    ------
    BlobError
        If it is a pickle, and the policy is to read data only.
    """
    if kind == BodyKind.PICKLE and policy != "any":
        raise BlobError(
            f"The value is a pickle, and load_policy={policy!r} reads data only. "
            "Set it to 'any' where you trust everyone who writes to the store, or return built-in values, arrays or "
            "frames."
        )
