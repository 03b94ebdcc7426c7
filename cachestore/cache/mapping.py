"""Results as files in memory: joblib's `mmap_mode`."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, BinaryIO, Final

from cachestore.blob.mapping import is_mappable, map_value
from cachestore.errors import CachestoreWarning, StorageError
from cachestore.storage import blob_path

if TYPE_CHECKING:
    from cachestore.blob import BlobReader
    from cachestore.cache.cache import Cache

_MODES: Final = ("r", "r+", "w+", "c")


def checked_mode(mmap_mode: str, *, stacklevel: int) -> str:
    """Return a mode that there is; of one that would edit what is stored it is told what it means here.

    Raises
    ------
    ValueError
        If there is no such mode.
    """
    check_mode(mmap_mode)
    if mmap_mode in ("r+", "w+"):
        warnings.warn(
            f"mmap_mode={mmap_mode!r} means 'c' here: a blob is never edited, so what is written to its value stays in "
            "this process.",
            CachestoreWarning,
            stacklevel=stacklevel + 1,
        )
    return mmap_mode


def check_mode(mmap_mode: str) -> None:
    """Refuse a mode that there is not.

    Raises
    ------
    ValueError
        If there is no such mode.
    """
    if mmap_mode not in _MODES:
        raise ValueError(f"mmap_mode is {mmap_mode!r}. Give one of {', '.join(map(repr, _MODES))}, or None.")


def load_mapped(cache: Cache, reader: BlobReader, *, mode: str) -> object:
    """Return the value of a blob, its large arrays mapped from a file that is here.

    That is the blob's own file in a local store. Of a blob that is elsewhere, or compressed, a form that can be mapped
    is kept near, if the cache has a near directory. Where there is no such file the value is loaded, which is told
    once.

    Parameters
    ----------
    mode
        `r` maps read-only. Any other maps privately: blobs are never edited, so what is written to the value stays in
        the memory of this process.

    Raises
    ------
    CorruptBlob
        If any byte is not as it was written.
    BlobError
        If the value cannot be unpickled here, or shall not be.
    StorageError
        If the store does not answer.
    """
    if len(reader.table.frames) == 1:
        return cache.load(reader)  # nothing in it is large
    mapped, stream = reader, mappable_file(reader)
    if stream is None:
        from cachestore.blob.inflated import Inflated

        if cache.store.keep_near(blob_path(reader.key), Inflated(reader), reader.table.raw_size):
            mapped = cache.open_blob(reader.key)
            stream = mappable_file(mapped)
    if stream is None:
        cache.trouble.tell("mmap", "A result is loaded into memory.", _no_file(cache))
        return cache.load(reader)
    with stream:
        return map_value(mapped, stream, private=mode != "r", policy=cache.settings.load_policy)


def mappable_file(reader: BlobReader) -> BinaryIO | None:
    """Open the file of a blob whose buffers can be mapped; None where there is no such file."""
    return reader.stream() if is_mappable(reader.table) else None


def _no_file(cache: Cache) -> StorageError:
    if cache.store.remote:
        return StorageError(
            f"mmap_mode wants a file, and {cache.location} is remote: give the cache a near directory with room "
            "for it (near=..., near_limit=...), or leave mmap_mode out."
        )
    return StorageError(
        "mmap_mode wants a file of an uncompressed result: leave compress out, and clear the result, or leave "
        "mmap_mode out."
    )
