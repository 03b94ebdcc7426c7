"""numpy arrays, scalars, dtypes and random generators."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from cachestore.keys.encoding import buffer, record, text
from cachestore.keys.functions import encode_class
from cachestore.keys.scalars import LEAVES
from cachestore.keys.walk import Encoder, Walk

if TYPE_CHECKING:
    import numpy

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

    plain = numpy.asarray(value)
    content = _array(walk, plain)
    if type(value) in (numpy.ndarray, numpy.memmap):
        return content
    return record(
        "arraysubclass",
        encode_class(walk, type(value)),
        content,
        walk.pairs("state", vars(value).items(), attributes=True),
    )


def _array(walk: Walk, value: numpy.ndarray[Any, Any]) -> bytes:
    # Pickling turns the bytes of a foreign order round, and the values are the same.
    dtype = value.dtype if value.dtype.kind == "T" else value.dtype.newbyteorder("<")
    if dtype != value.dtype:
        value = value.astype(dtype)
    members = [_dtype(walk, dtype), walk.encode(value.shape)]
    if dtype.hasobject or dtype.kind == "T" or _is_padded(dtype):
        if dtype.names:
            columns = [_array(walk, value[name]) for name in dtype.names]
            return record("array", *members, *columns)
        if not dtype.hasobject and dtype.kind != "T":
            return record("array", *members, b"{c 0:", _bytes(_without_padding(value)))
        return record("array", *members, walk.members("elements", value.astype(object).ravel().tolist()))
    if dtype.names:
        value = value.astype(_packed(dtype))
    if value.flags.f_contiguous and not value.flags.c_contiguous:
        return record("array", *members, b"{fortran 0:", _bytes(value.T))
    return record("array", *members, b"{c 0:", _bytes(value))


def _bytes(value: numpy.ndarray[Any, Any]) -> bytes:
    """Encode the elements in C order, copying at most a block of them at a time."""
    import numpy

    if value.nbytes == 0:
        return b"b0:"
    if value.flags.c_contiguous:
        return buffer(flat(value))
    hasher = blake3(b"b%d:" % value.nbytes, max_threads=blake3.AUTO if value.nbytes > _BLOCK else 1)
    if value.nbytes <= 64:
        return buffer(value.tobytes())
    for block in _blocks(value):
        hasher.update(flat(numpy.ascontiguousarray(block)))
    return b"#" + hasher.digest()


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


def _is_padded(dtype: Any) -> bool:
    """Say whether there are long doubles as x86 has them: 10 bytes of 16, and accidents in the others."""
    import numpy

    if dtype.names is not None:
        return any(_is_padded(dtype.fields[name][0]) for name in dtype.names)
    return dtype.base.char in "gG" and numpy.finfo(numpy.longdouble).nmant == 63


def _without_padding(value: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
    import numpy

    size = numpy.dtype(numpy.longdouble).itemsize
    numbers = numpy.array(value, order="C", ndmin=1).reshape(-1).view(numpy.uint8).reshape(-1, size)
    return numbers[:, :10].copy()


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
    if value.names is not None:
        fields = []
        for name in value.names:
            field, _, *title = value.fields[name]
            fields += [text(name), _dtype(walk, field), walk.encode(title)]
        return record("dtype", *fields)
    if value.subdtype is not None:
        base, shape = value.subdtype
        return record("dtype", _dtype(walk, base), walk.encode(shape))
    if value.kind == "T":
        return record(
            "dtype",
            b"T",
            walk.encode(getattr(value, "na_object", None)),
            walk.encode(hasattr(value, "na_object")),
            walk.encode(value.coerce),
        )
    return record("dtype", text(value.str))


def _scalar(walk: Walk, value: Any) -> bytes:
    import numpy

    if value.dtype.kind in "fc" and numpy.isnan(value):
        # As for Python's own numbers: a NaN is a NaN.
        return record("scalar", _dtype(walk, value.dtype), LEAVES[float](float("nan")))
    return record("scalar", _array(walk, numpy.asarray(value)))


def _masked(walk: Walk, value: Any) -> bytes:
    import numpy

    if value is numpy.ma.masked:
        return b"{masked 0:"
    data = numpy.array(numpy.ma.getdata(value))
    mask = numpy.ma.getmaskarray(value)
    _hide(data, mask)
    members = [_array(walk, data), _array(walk, mask), walk.encode(value.fill_value)]
    if type(value) is not numpy.ma.MaskedArray:
        members.append(encode_class(walk, type(value)))
    return record("masked", *members)


def _hide(data: numpy.ndarray[Any, Any], mask: numpy.ndarray[Any, Any]) -> None:
    """Overwrite what lies under a mask and cannot be seen."""
    import numpy

    if mask.dtype.names is None:
        data[mask] = numpy.zeros((), data.dtype)[()]
        return
    for name in mask.dtype.names:
        _hide(data[name], mask[name])


def _generator(walk: Walk, value: Any) -> bytes:
    bits = value.bit_generator
    # The seeds of the generators that it will spawn.
    seeds = getattr(bits.seed_seq, "state", None)
    return record("generator", encode_class(walk, type(value)), walk.encode(bits.state), walk.encode(seeds))


def _random_state(walk: Walk, value: Any) -> bytes:
    return record("randomstate", walk.encode(value.get_state(legacy=False)))
