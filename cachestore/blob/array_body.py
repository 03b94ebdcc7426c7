"""numpy arrays and numbers: a description as JSON, and the array's own memory; no pickle."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

from cachestore.blob.body import BODY_LIMITS, Body, BodyKind, Buffer
from cachestore.errors import CorruptBlob

if TYPE_CHECKING:
    import numpy

# Larger descriptions are of records with thousands of fields: they go to pickle.
_DESCRIPTION_LIMIT: Final = BODY_LIMITS[BodyKind.ARRAY]
_REMEMBERED: Final = 1024
_DTYPE_DEPTH: Final = 16
_AXES: Final = 64
# What these are is the same on every machine; long doubles, say, are not.
_DTYPE: Final = re.compile(
    r"[|](?:b1|[iu]1|[SV][1-9]\d{0,9})"
    r"|[<>](?:[iu][248]|f[248]|c8|c16|U[1-9]\d{0,8}|[mM]8(?:\[(?:[1-9]\d{0,8})?(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?)"
)
_to_json: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class ArrayLayout:
    """Says how the bytes of a buffer are an array.

    Parameters
    ----------
    dtype
        The type of its items, byte order included.
    shape
        How many items it has along each axis.
    order
        `C` when the last axis runs fastest, `F` when the first does.
    """

    dtype: numpy.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return math.prod(self.shape) * int(self.dtype.itemsize)

    @classmethod
    def parse(cls, description: object) -> ArrayLayout:
        """Read a description.

        Raises
        ------
        CorruptBlob
            If it has no meaning.
        """
        if type(description) is not dict or not description.keys() >= {"dtype", "shape", "order"}:
            raise _corrupt(description)
        shape, order = description["shape"], description["order"]
        if (
            type(shape) is not list
            or len(shape) > _AXES
            or not all(type(length) is int and 0 <= length < 2**63 for length in shape)
            or order not in ("C", "F")
        ):
            raise _corrupt(description)
        try:
            dtype = _parse_dtype(description["dtype"], _DTYPE_DEPTH)
        except (TypeError, ValueError, KeyError, OverflowError, MemoryError, SyntaxError) as error:
            raise _corrupt(description) from error
        if dtype.subdtype is not None:  # only fields of records are small arrays
            raise _corrupt(description)
        return cls(dtype, tuple(shape), order)

    def check(self, sizes: Sequence[int]) -> None:
        """Check that these are the bytes of its buffers: there is one, and none of an empty array.

        Raises
        ------
        CorruptBlob
            If they are not.
        """
        if list(filter(None, sizes)) != ([self.size] if self.size else []):
            raise CorruptBlob(
                f"An array of {self.dtype} and shape {self.shape} has {self.size} bytes, its buffers "
                f"{list(sizes)}. Recompute the value."
            )

    def array(self, *buffers: Any) -> numpy.ndarray[Any, Any]:
        """Return the array that these bytes are, without a copy.

        Raises
        ------
        CorruptBlob
            If it is another number of bytes.
        """
        import numpy

        self.check([memoryview(buffer).nbytes for buffer in buffers])
        try:
            if not self.size:
                return numpy.empty(self.shape, self.dtype, self.order)
            return numpy.ndarray(self.shape, self.dtype, buffers[0], order=self.order)
        except (TypeError, ValueError, MemoryError) as error:
            raise CorruptBlob(
                f"There is no array of {self.dtype} and shape {self.shape} here: {error}. Recompute the value."
            ) from error


def array_body(value: Any) -> Body | None:
    """Write a numpy array, a memory map or a number of numpy; None when pickle must do it.

    That is for arrays of objects, subclasses and types that are not the same on every machine.

    Examples
    --------
    >>> import numpy
    >>> body = array_body(numpy.arange(6.0).reshape(2, 3))
    >>> bytes(body.raw), len(body.buffers[0].raw)
    (b'{"dtype":"<f8","shape":[2,3],"order":"C"}', 48)
    """
    import numpy

    scalar = isinstance(value, numpy.generic)
    if scalar:
        array = numpy.asarray(value)
        # Texts lose the zeros at their end; subclasses, and numbers of two names, would come back as another type.
        if type(value) is not type(array[()]) or (isinstance(value, numpy.character) and array[()] != value):
            return None
    elif type(value) is numpy.ndarray or type(value) is numpy.memmap:
        array = numpy.asarray(value)
    else:
        return None
    written = write_array(array)
    if written is None:
        return None
    description, buffer = written
    if scalar:
        if _parse_dtype(description["dtype"], _DTYPE_DEPTH).type is not type(value):
            return None
        description["scalar"] = True
    raw = _to_json(description).encode()
    if len(raw) > _DESCRIPTION_LIMIT:
        return None
    return Body(BodyKind.ARRAY, memoryview(raw), () if buffer is None else (buffer,))


def array_value(raw: memoryview, buffers: Sequence[Any]) -> object:
    """Return the array or number that `array_body` was given; arrays live in the memory of the buffer.

    Raises
    ------
    CorruptBlob
        If it did not write this.
    """
    layout, scalar = parse_array(raw)
    array = layout.array(*buffers)
    return array[()] if scalar else array


def parse_array(raw: memoryview) -> tuple[ArrayLayout, bool]:
    """Read the body of an array: how its bytes lie, and whether it is a single number.

    Raises
    ------
    CorruptBlob
        If it has no meaning.
    """
    if len(raw) > _DESCRIPTION_LIMIT:
        raise CorruptBlob(f"An array is described in {len(raw)} bytes. Recompute the value.")
    text = bytes(raw)
    # Of a record, which is described by an object in the object, each array has a dtype of its own: its names can be
    # changed in place.
    remembered = len(text) <= _REMEMBERED and text.count(b"{") == 1
    return _parse(text) if remembered else _parse.__wrapped__(text)


# Most arrays of a project are described alike.
@lru_cache(maxsize=64)
def _parse(raw: bytes) -> tuple[ArrayLayout, bool]:
    try:
        description = json.loads(str(raw, "utf-8"))
    except (ValueError, RecursionError) as error:
        raise CorruptBlob(f"An array is not described in JSON: {error}. Recompute the value.") from error
    layout = ArrayLayout.parse(description)
    scalar = description.get("scalar", False)
    if type(scalar) is not bool or (scalar and layout.shape):
        raise _corrupt(description)
    return layout, scalar


def write_array(array: numpy.ndarray[Any, Any]) -> tuple[dict[str, Any], Buffer | None] | None:
    """Return what describes an array, and its memory if it has any; None when only pickle can describe it.

    The memory is the array's own, unless it has gaps.
    """
    import numpy

    try:
        described = _describe_dtype(array.dtype)
        again = _parse_dtype(described, _DTYPE_DEPTH)
    except (TypeError, ValueError):
        return None
    if again != array.dtype or again.isalignedstruct != array.dtype.isalignedstruct:
        return None
    in_columns = array.flags.f_contiguous and not array.flags.c_contiguous
    description = {"dtype": described, "shape": list(array.shape), "order": "F" if in_columns else "C"}
    if not array.size:
        return description, None
    memory = array.T if in_columns else numpy.ascontiguousarray(array)
    octets: Any = memory.reshape(-1).view(numpy.uint8)
    raw = memoryview(octets)
    return description, Buffer(raw, 4 if array.dtype.kind == "U" else array.dtype.itemsize)


def _describe_dtype(dtype: numpy.dtype[Any]) -> Any:
    if dtype.metadata or dtype.hasobject or not dtype.itemsize:
        raise ValueError(f"{dtype} is for pickle")
    if dtype.subdtype is not None:
        items, shape = dtype.subdtype
        return {"items": _describe_dtype(items), "shape": list(shape)}
    if dtype.names is None:
        if not _DTYPE.fullmatch(dtype.str):
            raise ValueError(f"{dtype} is for pickle")
        return dtype.str
    fields = [dtype.fields[name] for name in dtype.names]  # type: ignore[index]
    if any(len(field) > 2 for field in fields):
        raise ValueError(f"{dtype} has titles and is for pickle")
    return {
        "names": list(dtype.names),
        "formats": [_describe_dtype(field[0]) for field in fields],
        "offsets": [field[1] for field in fields],
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
    }


def _parse_dtype(described: Any, depth: int) -> numpy.dtype[Any]:
    """Build a dtype; numpy is only ever given texts that are known to name numbers, dates, texts or bytes."""
    import numpy

    if not depth:
        raise ValueError("too many levels of records")
    if type(described) is str:
        if not _DTYPE.fullmatch(described):
            raise ValueError(f"{described!r} is no dtype")
        return numpy.dtype(described)
    if type(described) is not dict:
        raise TypeError(f"{described!r} is no dtype")
    if described.keys() == {"items", "shape"}:
        shape = described["shape"]
        if type(shape) is not list or not all(type(length) is int and 0 < length < 2**31 for length in shape):
            raise ValueError(f"{shape!r} is no shape")
        items = _parse_dtype(described["items"], depth - 1)
        if not shape or len(shape) > _AXES // 2 or math.prod(shape) * items.itemsize >= 2**31:
            raise ValueError(f"{shape!r} is no shape of an item")
        return numpy.dtype((items, tuple(shape)))
    if described.keys() != {"names", "formats", "offsets", "itemsize", "aligned"}:
        raise ValueError(f"{described!r} is no dtype")
    names, formats, offsets = described["names"], described["formats"], described["offsets"]
    itemsize, aligned = described["itemsize"], described["aligned"]
    if (
        not all(type(each) is list for each in (names, formats, offsets))
        or not all(type(name) is str for name in names)
        or not all(type(number) is int and 0 <= number < 2**31 for number in (*offsets, itemsize))
        or type(aligned) is not bool
        or not itemsize
        or not len(names) == len(formats) == len(offsets)
    ):
        raise ValueError(f"{described!r} is no dtype")
    fields = [_parse_dtype(each, depth - 1) for each in formats]
    if any(offset + field.itemsize > itemsize for offset, field in zip(offsets, fields, strict=True)):
        raise ValueError(f"{described!r} has fields that reach over its end")
    layout: Any = {"names": names, "formats": fields, "offsets": offsets, "itemsize": itemsize}
    dtype: numpy.dtype[Any] = numpy.dtype(layout, align=aligned)
    return dtype


def _corrupt(description: object) -> CorruptBlob:
    return CorruptBlob(f"{str(description)[:200]} describes no array. Recompute the value.")
