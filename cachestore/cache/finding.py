"""One look at every blob of a store, and what is found wrong with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from cachestore.blob import BlobReader
from cachestore.cache.cache import Cache
from cachestore.cache.listing import list_blobs
from cachestore.errors import BlobError, CorruptBlob, ObjectNotFound, StorageError
from cachestore.in_order import in_order

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Finding:
    """Says what is wrong with the entry of a key."""

    key: str
    problem: str


def check_whole(reader: BlobReader, size: int) -> None:
    """Check every digest of a blob, and that its object of `size` bytes holds nothing else.

    Raises
    ------
    BlobError, StorageError
        If it is damaged, or cannot be read.
    """
    reader.verify()
    # A reader fetches the end of an object and what that names: bytes put in between are only seen by the size.
    if reader.size != size:
        raise CorruptBlob(f"The object has {size} bytes, and its blob {reader.size}.")


def inspect_blobs(
    cache: Cache, look: Callable[[str, int], _T], progress: Callable[[int, int], object]
) -> Iterator[tuple[str, _T | Finding]]:
    """Look at every blob of a store, several at a time; what cannot be read is a finding.

    Parameters
    ----------
    look
        Given a key and the size of its object in bytes; may raise StorageError or BlobError.
    progress
        Told how many of how many blobs were looked at.
    """

    def outcome(key: str) -> _T | Finding | None:
        try:
            return look(key, sizes[key])
        except ObjectNotFound:
            return None  # removed while we look: not wrong
        except (BlobError, StorageError) as error:
            return Finding(key, str(error))

    sizes = list_blobs(cache.store)
    outcomes = in_order(outcome, sizes, at_once=cache.store.at_once)
    for done, (key, result) in enumerate(zip(sizes, outcomes, strict=True), start=1):
        progress(done, len(sizes))
        if result is not None:
            yield key, result
