"""numpy arrays, scalars, dtypes and random generators."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from cachestore.keys.encoding import ONE_THREAD, record, text
from cachestore.keys.functions import encode_class
from cachestore.keys.scalars import LEAVES
from cachestore.keys.walk import Encoder, Walk

if TYPE_CHECKING:
    import numpy

_SMALL = 4096
_BLOCK = 1 << 24


def find_encoder(cls: type) -> Encoder | None:
    """Return the rule for a type of numpy, if it is one."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    rules: tuple[tuple[type, Encoder], ...] = (
        (numpy.ma.MaskedArray, _masked),
        (numpy.ndarray, encode_array),
        (numpy.generic, _scalar),
        (numpy.dtype, _dtype),
        (numpy.random.Generator, _generator),
        (numpy.random.RandomState, _random_state),
    )
    return next((encoder for base, encoder in rules if issubclass(cls, base)), None)


def encode_array(walk: Walk, value: Any) -> bytes:
    """Encode an array by its dtype, shape and elements; of subclasses also the class and its attributes.

    The elements are taken in C order, unless they lie in Fortran order: the two may differ for equal arrays.
    """
    import numpy

    if type(value) is numpy.ndarray:
        return _array(walk, value)
    content = _array(walk, numpy.asarray(value))
    if type(value) is numpy.memmap:
        return content
    return record(
        "arraysubclass",
        encode_class(walk, type(value)),
        content,
        walk.pairs("state", vars(value).items(), attributes=True),
    )


def _array(walk: Walk, value: numpy.ndarray[Any, Any]) -> bytes:
    layout = _layout(value.dtype)
    if layout is None:
        return _objects(walk, value)
    shape, flags = value.shape, value.flags
    dtype, stored, cut = layout
    if cut and flags.c_contiguous and value.size:
        return _hashed(_head(dtype, b"C", shape), _without_tail(value, cut))
    if stored is not None:
        value = value.astype(stored)
        flags = value.flags
    if flags.f_contiguous and not flags.c_contiguous:
        return _hashed(_head(dtype, b"F", shape), value.T)
    return _hashed(_head(dtype, b"C", shape), value)


def _head(dtype: bytes, order: bytes, shape: tuple[int, ...]) -> bytes:
    return b"array %b%b%b" % (dtype, order, str(shape).encode())


def _hashed(head: bytes, value: numpy.ndarray[Any, Any]) -> bytes:
    """Digest the elements in C order, copying few of them at a time."""
    size = value.nbytes
    if size <= _SMALL:
        return b"#" + blake3(head + value.tobytes()).digest()
    hasher = blake3(head, max_threads=1 if size <= ONE_THREAD else blake3.AUTO)
    if value.flags.c_contiguous:
        hasher.update(flat(value))
    else:
        for block in _blocks(value):
            hasher.update(flat(block.copy()))
    return b"#" + hasher.digest()


@functools.lru_cache(maxsize=1000)
def _layout(dtype: Any) -> tuple[bytes, Any, int] | None:
    """Return the encoding of a dtype, what is stored in its place, and how much of an element that is.

    Pickling turns the bytes of a foreign order round, and the values are the same. The bytes between and behind the
    fields of a structured dtype are accidents: where they are behind only, the rest need not be rearranged. None is
    for what is not made of bytes alone.
    """
    if dtype.hasobject or dtype.kind == "T" or _titles(dtype):
        return None
    stored = _packed(dtype.newbyteorder("<"))
    if stored == dtype:
        return _spelled(stored), None, 0
    behind = dtype.names is not None and all(
        stored.fields[name] == dtype.fields[name] for name in dtype.names
    )
    return _spelled(stored), stored, stored.itemsize if behind else 0


def _without_tail(value: numpy.ndarray[Any, Any], size: int) -> numpy.ndarray[Any, Any]:
    import numpy

    return value.reshape(-1).view(numpy.uint8).reshape(-1, value.itemsize)[:, :size]


def _objects(walk: Walk, value: numpy.ndarray[Any, Any]) -> bytes:
    dtype = value.dtype
    shape = text(str(value.shape))
    if dtype.names:
        spelled = _dtype(walk, _packed(dtype.newbyteorder("<")))
        return record("array", spelled, shape, *(_array(walk, value[name]) for name in dtype.names))
    elements = value.astype(object).ravel().tolist()
    return record("array", _dtype(walk, dtype), shape, walk.members("elements", elements))


def flat(value: Any) -> memoryview:
    """Return the bytes of a C-contiguous array, without copying them."""
    import numpy

    return memoryview(value.reshape(-1).view(numpy.uint8))


def _blocks(value: numpy.ndarray[Any, Any]) -> Any:
    """Cut an array along its first axes into pieces of at most a block, in C order."""
    if value.nbytes <= _BLOCK or value.ndim == 0:
        yield value
        return
    row = value.nbytes // value.shape[0]
    if row > _BLOCK:
        for part in value:
            yield from _blocks(part)
        return
    step = max(1, _BLOCK // row)
    for start in range(0, value.shape[0], step):
        yield value[start : start + step]


def _packed(dtype: Any) -> Any:
    """Return a structured dtype without the padding between its fields, whose bytes are accidents."""
    import numpy

    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return numpy.dtype((_packed(base), shape))
    if dtype.names is None:
        return dtype
    return numpy.dtype([(name, _packed(dtype.fields[name][0])) for name in dtype.names])


def _dtype(walk: Walk, value: Any) -> bytes:
    if value.kind == "T":
        missing = (hasattr(value, "na_object"), getattr(value, "na_object", None))
        return record("dtype", b"T", walk.encode(missing))
    return record("dtype", _spelled(value), walk.encode(_titles(value)))


def _spelled(dtype: Any) -> bytes:
    """Encode a dtype without the titles of its fields."""
    if dtype.names is not None:
        fields = []
        for name in dtype.names:
            field, offset, *_ = dtype.fields[name]
            fields += [text(name), _spelled(field), text(str(offset))]
        return record("fields", text(str(dtype.itemsize)), *fields)
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return record("block", _spelled(base), text(str(shape)))
    return text(dtype.str)


def _titles(dtype: Any) -> list[Any]:
    """Collect the titles of fields, which can be anything, with the way to them."""
    if dtype.subdtype is not None:
        return _titles(dtype.subdtype[0])
    titles = []
    for name in dtype.names or ():
        field, _, *title = dtype.fields[name]
        if title or _titles(field):
            titles.append((name, title, _titles(field)))
    return titles


def _scalar(walk: Walk, value: Any) -> bytes:
    import numpy

    if value.dtype.kind in "fc" and value != value:  # noqa: PLR0124
        # As for Python's own numbers: a NaN is a NaN.
        return record("scalar", _dtype(walk, value.dtype), LEAVES[float](float("nan")))
    return record("scalar", _array(walk, numpy.asarray(value)))


def _masked(walk: Walk, value: Any) -> bytes:
    import numpy

    data = numpy.array(numpy.ma.getdata(value))
    mask = numpy.ma.getmaskarray(value)
    # What lies under the mask cannot be seen.
    if mask.dtype.names is None:
        data[mask] = numpy.zeros((), data.dtype)[()]
    return record("masked", _array(walk, data), _array(walk, mask), walk.encode(value.fill_value))


def _generator(walk: Walk, value: Any) -> bytes:
    return record("generator", encode_class(walk, type(value)), walk.encode(value.bit_generator.state))


def _random_state(walk: Walk, value: Any) -> bytes:
    return record("randomstate", walk.encode(value.get_state(legacy=False)))
