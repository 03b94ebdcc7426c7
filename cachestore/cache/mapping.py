"""Results as files in memory: joblib's `mmap_mode`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from cachestore.blob.mapping import is_mappable, map_value
from cachestore.errors import StorageError
from cachestore.storage import blob_path

if TYPE_CHECKING:
    from cachestore.blob import BlobReader
    from cachestore.cache.cache import Cache

MMAP_MODES: Final = ("r", "r+", "w+", "c")


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
    load = partial(map_value, private=mode != "r", policy=cache.settings.load_policy)
    plain = partial(reader.value, policy=cache.settings.load_policy)
    if len(reader.table.frames) == 1:
        return plain()  # nothing in it is large
    stream = reader.stream() if is_mappable(reader.table) else None
    if stream is None and reader.key is not None:
        from cachestore.blob.inflated import Inflated

        path = blob_path(reader.key)
        if cache.store.keep_near(path, Inflated(reader), reader.table.raw_size):
            reader = cache.open_blob(reader.key)
            stream = reader.stream() if is_mappable(reader.table) else None
    if stream is None:
        cache.trouble.tell("mmap", "A result is loaded into memory.", _no_file(cache))
        return plain()
    with stream:
        return load(reader, stream)


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
