"""Values to bytes and back: a pickle of protocol 5, and the large buffers that stay outside of it.

pickle itself is imported when it is needed, so that a process that reads data only never has it from here.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from copyreg import dispatch_table
from typing import TYPE_CHECKING, Any, Final

from cachestore.blob.body import Buffer
from cachestore.errors import BlobError

if TYPE_CHECKING:
    import pickle

    import numpy

# Smaller buffers are copied into the pickle: a frame of their own would cost more than the copy, and many of a kind,
# as the trees of a forest, are compressed to much less together.
OUT_OF_BAND: Final = 64 * 2**10

_PROTOCOL: Final = 5


def pickle_value(value: object) -> tuple[memoryview, list[Buffer]]:
    """Pickle `value`, leaving large buffers where they are.

    Returns
    -------
    body, buffers
        The pickle, and the buffers in the order in which it asks for them.

    Raises
    ------
    BlobError
        If neither pickle nor cloudpickle can do it.
    """
    buffers: list[Buffer] = []

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous: pickle itself will say so
            return True
        if raw.nbytes < OUT_OF_BAND:
            return True
        buffers.append(Buffer(raw, _item_size(memoryview(buffer))))
        return False

    try:
        return _dump(value, keep_in_band), buffers
    except Exception as error:  # noqa: BLE001 - pickle calls the value's own code, which may raise anything
        refusal = error
    buffers.clear()
    try:
        return _dump_by_value(value, keep_in_band), buffers
    except Exception as error:
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise BlobError(
            f"The value of type {kind} cannot be pickled: {type(refusal).__name__}: {refusal} "
            f"(cloudpickle: {type(error).__name__}: {error}). "
            "Return something that can, or do not cache the function."
        ) from error


def unpickle_value(body: memoryview, buffers: Iterable[Any]) -> object:
    """Return the value that `pickle_value` was given.

    Raises
    ------
    BlobError
        If the pickle cannot be loaded here, say because a class has gone.
    """
    import pickle

    try:
        return pickle.loads(body, buffers=buffers)
    except Exception as error:
        raise BlobError(
            f"The value cannot be unpickled here: {type(error).__name__}: {error}. "
            "Its code or a package may have changed; recompute the value."
        ) from error


def _item_size(buffer: memoryview) -> int:
    # A text is an array of characters of four bytes: these are the numbers in it.
    return 4 if buffer.format.endswith("w") else buffer.itemsize


def _dump(value: object, keep_in_band: Callable[[pickle.PickleBuffer], bool]) -> memoryview:
    import pickle

    if "numpy" not in sys.modules:  # then there is no array in it
        return memoryview(pickle.dumps(value, _PROTOCOL, buffer_callback=keep_in_band))
    file = io.BytesIO()
    pickler = pickle.Pickler(file, _PROTOCOL, buffer_callback=keep_in_band)
    pickler.dispatch_table = {**dispatch_table, **_array_reducers()}
    pickler.dump(value)
    return file.getbuffer()


def _dump_by_value(value: object, keep_in_band: Callable[[pickle.PickleBuffer], bool]) -> memoryview:
    import cloudpickle

    file = io.BytesIO()
    pickler = cloudpickle.Pickler(file, _PROTOCOL, buffer_callback=keep_in_band)
    if "numpy" in sys.modules:
        pickler.dispatch_table = {**pickler.dispatch_table, **_array_reducers()}
    pickler.dump(value)
    return file.getbuffer()


def _array_reducers() -> dict[type, Callable[[Any], Any]]:
    import numpy

    return {numpy.ndarray: _reduce_array, numpy.memmap: _reduce_array}


def _reduce_array(array: numpy.ndarray[Any, Any]) -> Any:
    """Reduce an array as numpy does, but so that it always has a buffer and always comes back writable.

    numpy copies arrays that are not contiguous, and those of dates, into the pickle; and one that was
    read-only would come back read-only, which joblib's do not.
    """
    import numpy

    if type(array) is not numpy.ndarray:  # a memmap: its file need not exist where it is read
        array = numpy.asarray(array)
    if array.dtype.hasobject or not array.itemsize:
        return array.__reduce_ex__(_PROTOCOL)
    if not (array.flags.c_contiguous or array.flags.f_contiguous):
        array = numpy.ascontiguousarray(array)
    plain = array
    # Dates, alone or in records, have no buffer; the bytes that they are have one.
    if array.dtype.kind not in "biufcSU":
        plain = plain.view(f"V{array.itemsize}")
    if not array.flags.writeable:
        plain = _as_if_writable(plain) if plain.nbytes else numpy.empty_like(plain)
    reduced: Any = plain.__reduce_ex__(_PROTOCOL)
    function, (buffer, _, *layout), *state = reduced
    return function, (buffer, array.dtype, *layout), *state


def _as_if_writable(array: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
    """Return the same memory as an array that says it may be written to; it is only read from."""
    import ctypes

    import numpy

    memory: Any = (ctypes.c_char * array.nbytes).from_address(array.ctypes.data)
    memory.owner = array  # keeps it alive
    return numpy.ndarray(array.shape, array.dtype, buffer=memory, strides=array.strides)
