"""Clearing on purpose: the entries of one version of a function, or all."""

from __future__ import annotations

from cachestore.cache.cache import Cache
from cachestore.errors import CachestoreError
from cachestore.index import Selection
from cachestore.keys import FunctionIdentity
from cachestore.storage import key_of


def clear_function(cache: Cache, identity: FunctionIdentity) -> int:
    """Drop the entries of one version of a function; return how many there were.

    Blobs without a row get one first: what nobody listed is cleared too.
    """
    rows, blobs = _rows_and_blobs(cache)
    cache.adopt(blobs - rows)
    mine = [
        entry.key
        for entry in cache.index.select(Selection(function=identity.name))
        if entry.function == identity.name and entry.code_version == identity.version
    ]
    cache.drop(mine)
    return len(mine)


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


def _rows_and_blobs(cache: Cache) -> tuple[set[str], set[str]]:
    cache.merge_uses()
    rows = {entry.key for entry in cache.index.select(Selection())}
    blobs = {key for info in cache.store.list("blobs") if (key := key_of(info.path)) is not None}
    return rows, blobs
