"""numpy arrays, scalars, dtypes and random generators."""

from __future__ import annotations

import functools
import math
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from blake3 import blake3

from cachestore.keys.beside import beside
from cachestore.keys.code_origin import origin_of
from cachestore.keys.encoding import record, text, threads_for
from cachestore.keys.functions import encode_class
from cachestore.keys.packages import package_of
from cachestore.keys.registered import enter_small
from cachestore.keys.stream import LONG_BYTES, Marker, encode_marker
from cachestore.keys.walk import Encoder, Refusal, Walk

if TYPE_CHECKING:
    import numpy

# Larger arrays are worth remembering within a walk, and stand in a key by a digest.
SMALL_ARRAY = 1 << 16
# How many bits the numbers have that fill ten of their sixteen bytes.
_EXTENDED = 63
# Views are copied in blocks that caches hold; larger ones some blocks ahead, by half of the cores, while the others
# digest: were all to do both, they would wait for each other and for the memory.
_BLOCK = 1 << 21
_ALONE = 1 << 23
_COPIERS = max(1, (os.cpu_count() or 2) // 2)
_AHEAD = 4
_KINDS = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128"
_NUMBERS: dict[type, Callable[[Any], Marker]] = {}


def find_encoder(cls: type) -> Encoder | None:
    """Return the rule for a type of numpy, if it is one."""
    numpy = package_of(cls, "numpy")
    if numpy is None:
        return None
    if not _NUMBERS:
        numbers = {dtype.type: _number(dtype) for dtype in map(numpy.dtype, _KINDS.split())}
        enter_small({**numbers, numpy.ndarray: plain_array, numpy.memmap: plain_array})
        # Last: another thread that sees them must see the others.
        _NUMBERS.update(numbers)
    rules: tuple[tuple[type, Encoder], ...] = (
        (numpy.ma.MaskedArray, _masked),
        (numpy.ndarray, encode_array),
        (numpy.generic, _scalar),
        (numpy.dtype, _dtype),
        (numpy.ufunc, _ufunc),
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
        walk.pairs("state", beside(value, numpy.ndarray), attributes=True),
    )


def _number(dtype: Any) -> Callable[[Any], Marker]:
    stored = dtype.newbyteorder("<")
    head, nan = record("scalar", _spelled(stored)), record("nan", _spelled(stored))
    part = _number(dtype.type().real.dtype) if dtype.kind == "c" else None
    is_stored = stored == dtype

    def encode(value: Any) -> Marker:
        # As for Python's own numbers: a NaN is a NaN.
        if value != value:  # noqa: PLR0124
            # The other part of a complex number may be one.
            return (nan,) if part is None else (nan + part(value.real)[0] + part(value.imag)[0],)
        return (head + (value if is_stored else value.astype(stored)).tobytes(),)

    return encode


def _array(walk: Walk, value: numpy.ndarray[Any, Any]) -> bytes:
    marker = plain_array(value, sys.maxsize)
    return _objects(walk, value) if marker is None else encode_marker(marker)


def plain_array(value: Any, most: int = SMALL_ARRAY) -> Marker | None:
    """Lay out an array that is made of bytes alone, by its head, its shape and the bytes; None is for others.

    None is for larger ones too: they are worth remembering.
    """
    if value.nbytes > most:
        return None
    flags = value.flags
    transposed = not flags.c_contiguous and flags.f_contiguous
    plan = _plan(value.dtype, transposed)
    if plan is None:
        return None
    head, stored, counting = plan
    if stored is not None:
        value = value.astype(stored)
    if transposed:
        value = value.T
    shape = value.shape
    size = value.nbytes if counting is None else value.size * counting.dense.itemsize
    if size > SMALL_ARRAY:
        return head, shape, (_digest(value, counting),)
    data = (value if counting is None else counting.of(value)).tobytes()
    return head, shape, data if size <= LONG_BYTES else (blake3(data).digest(),)


def _digest(value: numpy.ndarray[Any, Any], counting: _Counting | None) -> bytes:
    threads = threads_for(value.nbytes)
    if counting is None and value.flags.c_contiguous:
        return blake3(flat(value), max_threads=threads).digest()
    hasher = blake3(max_threads=_COPIERS if value.nbytes > _ALONE and threads != 1 else 1)
    for copied in _copies(value, counting):
        hasher.update(copied)
    return hasher.digest()


class _Plan(NamedTuple):
    """How arrays of one dtype and order are encoded."""

    head: bytes
    stored: Any
    counting: _Counting | None


class _Counting(NamedTuple):
    """Which bytes of an element count, as two dtypes: where they lie in it, and packed in the order of its fields."""

    spread: Any
    dense: Any

    def of(self, value: numpy.ndarray[Any, Any]) -> Any:
        """Return a copy in C order of all that counts."""
        return value.view(self.spread).astype(self.dense, order="C")


@functools.lru_cache(maxsize=1000)
def _plan(dtype: Any, transposed: bool) -> _Plan | None:
    if dtype.hasobject or dtype.kind == "T" or _titles(dtype):
        return None
    # Pickling turns the bytes of a foreign order round, and the values are the same.
    stored = dtype.newbyteorder("<")
    head = b"array %b%b" % (_spelled(_packed(stored)), b"F" if transposed else b"C")
    return _Plan(head, None if stored == dtype else stored, _counting(stored))


def _counting(dtype: Any) -> _Counting | None:
    """Return which bytes of an element count, in which order; None if all do as they lie."""
    import numpy

    places = _places(dtype)
    if numpy.array_equal(places, numpy.arange(dtype.itemsize)):
        return None
    runs = [run for run in numpy.split(places, numpy.flatnonzero(numpy.diff(places) != 1) + 1) if len(run)]
    dense = numpy.dtype([(f"run{place}", f"V{len(run)}") for place, run in enumerate(runs)])
    spread: Any = {
        "names": dense.names,
        "formats": [dense[name] for name in dense.names or ()],
        "offsets": [int(run[0]) for run in runs],
        "itemsize": dtype.itemsize,
    }
    return _Counting(numpy.dtype(spread), dense)


def _places(dtype: Any) -> Any:
    """Return where in an element the bytes of its fields lie, and no padding, whose bytes are accidents."""
    import numpy

    if dtype.names is not None:
        fields = [dtype.fields[name] for name in dtype.names]
        return numpy.concatenate(
            [_places(field) + offset for field, offset, *_ in fields] or [numpy.arange(0)]
        )
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        starts = numpy.arange(math.prod(shape)) * base.itemsize
        return (starts[:, None] + _places(base)).ravel()
    if dtype.kind in "fc" and numpy.finfo(dtype).nmant == _EXTENDED:
        width = dtype.itemsize // (2 if dtype.kind == "c" else 1)
        starts = numpy.arange(0, dtype.itemsize, width)
        return (starts[:, None] + numpy.arange(10)).ravel()
    return numpy.arange(dtype.itemsize)


def _objects(walk: Walk, value: numpy.ndarray[Any, Any]) -> bytes:
    dtype = value.dtype
    shape = text(str(value.shape))
    if dtype.names:
        members = [_spelled(_packed(dtype.newbyteorder("<"))), walk.encode(_titles(dtype)), shape]
        return record("array", *members, *(_array(walk, value[name]) for name in dtype.names))
    elements = value.astype(object, copy=False).ravel().tolist()
    return record("array", _dtype(walk, dtype), shape, walk.members("elements", elements))


def flat(value: Any) -> memoryview:
    """Return the bytes of a C-contiguous array, without copying them."""
    import numpy

    return memoryview(value.reshape(-1).view(numpy.uint8))


def _copies(value: numpy.ndarray[Any, Any], counting: _Counting | None) -> Iterator[memoryview]:
    """Copy an array block by block in C order, the next blocks in other threads while one is digested."""

    def copied(block: numpy.ndarray[Any, Any]) -> memoryview:
        return flat(block.copy() if counting is None else counting.of(block))

    if value.nbytes <= _ALONE:
        yield from map(copied, _blocks(value))
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_COPIERS) as pool:
        coming: deque[Any] = deque()
        for block in _blocks(value):
            coming.append(pool.submit(copied, block))
            if len(coming) > _AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


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
        settled = (value.coerce, hasattr(value, "na_object"), getattr(value, "na_object", None))
        return record("dtype", b"T", walk.encode(settled))
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

    number = _NUMBERS.get(type(value))
    if number is not None:
        return encode_marker(number(value))
    if value.dtype.kind in "fc" and value != value:  # noqa: PLR0124
        content = record("nan", _spelled(value.dtype.newbyteorder("<")))
    else:
        content = record("scalar", _array(walk, numpy.asarray(value)))
    if type(value) is numpy.record:
        # Its fields are attributes too.
        return record("record", content)
    if type(value).__module__.partition(".")[0] == "numpy":
        return content
    state = walk.pairs("state", beside(value, numpy.generic), attributes=True)
    return record("derived", encode_class(walk, type(value)), content, state)


def _ufunc(walk: Walk, value: Any) -> bytes:
    name = value.__name__
    homes = {
        module.partition(".")[0]
        for module, loaded in list(sys.modules.items())
        if getattr(loaded, "__dict__", {}).get(name) is value and origin_of(module).kind == "package"
    }
    if not homes:
        raise Refusal(
            "<ufunc>", "it does not show what it was made of (use numpy.vectorize, or give the function)"
        )
    # Others may have imported it: numpy's own are numpy's.
    home = "numpy" if "numpy" in homes else min(homes)
    walk.origin_of(home)
    return record("ufunc", text(home), text(name))


def _masked(walk: Walk, value: Any) -> bytes:
    import numpy

    if value is numpy.ma.masked:
        return b"{masked 0:"
    data = numpy.array(numpy.ma.getdata(value))
    mask = numpy.ma.getmaskarray(value)
    _hide(data, mask)
    members = [_array(walk, data), _array(walk, mask), walk.encode(value.fill_value)]
    if value.hardmask:
        members.append(b"{hard 0:")
    if value.baseclass is not numpy.ndarray:
        members.append(encode_class(walk, value.baseclass))
    if type(value) is not numpy.ma.MaskedArray:
        usual = vars(numpy.ma.MaskedArray(0))
        state = {
            name: part for name, part in beside(value, numpy.ma.MaskedArray).items() if name not in usual
        }
        members += [encode_class(walk, type(value)), walk.pairs("state", state, attributes=True)]
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
    if walk.constants:
        raise _changing(value)
    bits = value.bit_generator
    # The seeds of the generators that it will spawn.
    seeds = getattr(bits.seed_seq, "state", None)
    return record("generator", encode_class(walk, type(value)), walk.encode(bits.state), walk.encode(seeds))


def _random_state(walk: Walk, value: Any) -> bytes:
    if value is sys.modules["numpy.random"].mtrand._rand:
        # That of the module itself, which is behind `numpy.random.normal` and in each distribution of scipy.
        return b"{randomstate 0:"
    if walk.constants:
        raise _changing(value)
    return record("randomstate", walk.encode(value.get_state(legacy=False)))


def _changing(value: Any) -> Refusal:
    return Refusal(f"<{type(value).__qualname__}>", "each number that is drawn changes its state")
