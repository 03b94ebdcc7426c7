"""Clearing on purpose: the entries of one version of a function, or all."""

from __future__ import annotations

from collections.abc import Callable

from cachestore.cache.cache import Cache
from cachestore.cache.listing import list_blobs
from cachestore.errors import BlobError, CachestoreError, StorageError
from cachestore.index import Entry, Selection
from cachestore.keys import FunctionIdentity


def clear_function(cache: Cache, identity: FunctionIdentity, *, all_versions: bool = False) -> int:
    """Drop the entries of one version of a function, or of all; return how many there were.

    Blobs without a row get one first: what nobody listed is cleared too.
    """

    def is_mine(entry: Entry) -> bool:
        return all_versions or entry.code_version == identity.version or _is_of(cache, entry, identity)

    return clear_entries(cache, lambda entry: entry.function == identity.name and is_mine(entry))


def clear_entries(cache: Cache, is_meant: Callable[[Entry], bool]) -> int:
    """Drop the entries that are meant, those without a row too; return how many there were."""
    rows, blobs = _rows_and_blobs(cache)
    cache.adopt(blobs - rows)
    meant = [entry.key for entry in cache.index.select(Selection()) if is_meant(entry)]
    cache.drop(meant)
    return len(meant)


def clear_all(cache: Cache, *, everyone: bool = False) -> int:
    """Drop every entry; return how many there were.

    Parameters
    ----------
    everyone
        Clear a cache that others use too. Without it only a local store with an index of its own is cleared.

    Raises
    ------
    CachestoreError
        If others may use the cache and `everyone` was not said.
    """
    if not everyone and (cache.store.remote or cache.settings.index is not None):
        raise CachestoreError(
            f"{cache.location} is a cache that others may use. To clear everybody's results say "
            "memory.clear(everyone=True); to collect the old ones use `cachestore gc --older-than 30d`."
        )
    rows, blobs = _rows_and_blobs(cache)
    cache.drop(rows | blobs)
    return len(rows | blobs)


def _is_of(cache: Cache, entry: Entry, identity: FunctionIdentity) -> bool:
    # A call's version is more than its function's where arguments brought code with them: the parts tell.
    try:
        metadata, _ = cache.read_metadata(entry.key)
    except (BlobError, StorageError):
        return False
    return metadata.code_parts.items() >= identity.parts.items()


def _rows_and_blobs(cache: Cache) -> tuple[set[str], set[str]]:
    cache.merge_uses()
    rows = {entry.key for entry in cache.index.select(Selection())}
    return rows, set(list_blobs(cache.store))
