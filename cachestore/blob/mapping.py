"""The file of a blob as memory: values whose large buffers are read from the disk when they are looked at."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import BinaryIO, Final, Literal

from cachestore.blob.bodies import value_of
from cachestore.blob.codecs import RAW
from cachestore.blob.reader import BlobReader
from cachestore.blob.table import Table
from cachestore.errors import CorruptBlob
from cachestore.settings.settings import LoadPolicy

# A file is checked once: as long as these are what they were, it is the one that was checked. Files that were not
# mapped for longest are forgotten.
_FileIdentity = tuple[int, int, int, int]
_checked: OrderedDict[_FileIdentity, None] = OrderedDict()
_MOST_CHECKED: Final = 1024
_lock = threading.Lock()


def is_mappable(table: Table) -> bool:
    """Say whether all buffers of a blob are stored as they are."""
    return {chunk.codec for frame in table.frames[:-1] for chunk in frame.chunks} <= {RAW}


def map_value(reader: BlobReader, stream: BinaryIO, *, private: bool, policy: LoadPolicy) -> object:
    """Return the value of a mappable blob, its buffers mapped from the file.

    Parameters
    ----------
    reader, stream
        Of the same file. The mapping outlives both, and the name of the file too.
    private
        Whether the value may be written to: then changes stay in the memory of this process. Else it is read-only.
    policy
        `data` refuses to unpickle.

    Returns
    -------
    object
        An array is a `numpy.memmap`; arrays inside other values live in one.

    Raises
    ------
    CorruptBlob
        If any byte is not as it was written.
    BlobError
        If the value cannot be unpickled here, or shall not be.
    """
    import numpy

    _check_once(reader, stream)
    mode: Literal["c", "r"] = "c" if private else "r"
    buffers = reader.table.frames[:-1]
    layout = reader.layout
    if layout is not None and buffers:
        offset = buffers[0].chunks[0].offset
        return numpy.memmap(stream, layout.dtype, mode, offset, layout.shape, layout.order)
    mapped = numpy.memmap(stream, numpy.uint8, mode).data
    starts = [buffer.chunks[0].offset for buffer in buffers]
    views = [mapped[start : start + buffer.raw_size] for start, buffer in zip(starts, buffers, strict=True)]
    return value_of(reader.table.frames[-1].kind, reader.body(), views, policy=policy)


def _check_once(reader: BlobReader, stream: BinaryIO) -> None:
    # Asked for before anything is read: what changes meanwhile makes another identity.
    status = os.fstat(stream.fileno())
    identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if identity not in _checked:
        if status.st_size != reader.size:
            raise CorruptBlob(
                f"The blob's file has {status.st_size} bytes, and the blob {reader.size}. Recompute the value."
            )
        reader.verify()
    with _lock:
        _checked[identity] = None
        _checked.move_to_end(identity)
        if len(_checked) > _MOST_CHECKED:
            _checked.popitem(last=False)
