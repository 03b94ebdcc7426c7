"""scipy's sparse matrices and arrays: by their elements in canonical order."""

from __future__ import annotations

from typing import Any

from cachestore.keys.arrays import encode_array
from cachestore.keys.beside import beside
from cachestore.keys.encoding import record, text
from cachestore.keys.functions import encode_class
from cachestore.keys.packages import package_of
from cachestore.keys.walk import Encoder, Walk

# What scipy found out of the entries, and keeps.
_KNOWN = ("_has_sorted_indices", "_has_canonical_format")


def find_encoder(cls: type) -> Encoder | None:
    """Return the rule for a sparse matrix or array of scipy, if the type is one."""
    sparse = package_of(cls, "scipy.sparse")
    if sparse is None:
        return None
    return _sparse if issubclass(cls, sparse.spmatrix | sparse.sparray) else None


def _sparse(walk: Walk, value: Any) -> bytes:
    import numpy

    entries = value.tocoo(copy=True)
    entries.sum_duplicates()
    coordinates = entries.coords if hasattr(entries, "coords") else (entries.row, entries.col)
    # The width of the coordinates depends on how the matrix was built. Entries that are stored zeros count.
    order = numpy.lexsort(coordinates[::-1])
    axes = [encode_array(walk, numpy.asarray(axis, dtype=numpy.int64)[order]) for axis in coordinates]
    name = text(type(value).__name__)
    return record(
        "sparse",
        name,
        walk.encode(tuple(map(int, value.shape))),
        *axes,
        encode_array(walk, entries.data[order]),
        *_subclass(walk, value),
    )


def _subclass(walk: Walk, value: Any) -> list[bytes]:
    """Encode what a class derived from one of scipy's own adds to it."""
    cls = type(value)
    if _is_scipys(cls):
        return []
    base = next(base for base in cls.__mro__ if _is_scipys(base))
    usual = {*vars(base((1, 1))), *_KNOWN}
    state = {name: part for name, part in beside(value, base).items() if name not in usual}
    return [encode_class(walk, cls), walk.pairs("state", state, attributes=True)]


def _is_scipys(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "scipy"
