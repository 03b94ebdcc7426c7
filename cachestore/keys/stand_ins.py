"""Objects that stand for an array that lies elsewhere: in a key they are that array."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

from cachestore.keys import registered
from cachestore.keys.arrays import SMALL_ARRAY, encode_array, plain_array
from cachestore.keys.scalars import SMALL
from cachestore.keys.stream import Marker, encode_marker
from cachestore.keys.walk import Encoder, Walk

_stand_ins: set[type] = set()

T = TypeVar("T", bound=type)


def stands_for_array(cls: T) -> T:
    """Have the instances of a class digest as the arrays that they stand for; a decorator.

    An instance has `nbytes`, `numpy.asarray` loads its array, and its `array_encoding()` returns what
    `array_encoding` returned for the array, or None where that is not known: then the array is loaded. Small
    arrays are always loaded: they stand in a key by their bytes.
    """
    _stand_ins.add(cls)
    SMALL[cls] = _plain
    return cls


def find_encoder(cls: type) -> Encoder | None:
    """Return the rule for a class whose instances stand for arrays, if it is one."""
    return _encode if cls in _stand_ins else None


def array_encoding(value: object) -> bytes | None:
    """Return the encoding of an array that is made of bytes alone, which is short; None for anything else.

    The digest of a value is that of its encoding.

    Examples
    --------
    >>> import numpy
    >>> from cachestore.keys import digest, digest_of
    >>> array = numpy.arange(100_000)
    >>> digest_of(array_encoding(array)) == digest(array)
    True
    """
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or type(value) not in (numpy.ndarray, numpy.memmap):
        return None
    if registered.find_encoder(type(value)) is not None:
        return None  # somebody said what stands for arrays
    marker = plain_array(value, sys.maxsize)
    return None if marker is None else encode_marker(marker)


def _plain(value: Any) -> Marker | None:
    import numpy

    if value.nbytes > SMALL_ARRAY or registered.find_encoder(numpy.ndarray) is not None:
        return None
    return plain_array(numpy.asarray(value))


def _encode(walk: Walk, value: Any) -> bytes:
    import numpy

    said = registered.find_encoder(numpy.ndarray)
    if said is not None:
        return said(walk, numpy.asarray(value))
    encoding: bytes | None = value.array_encoding()
    return encode_array(walk, numpy.asarray(value)) if encoding is None else encoding
