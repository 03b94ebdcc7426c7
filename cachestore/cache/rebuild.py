"""The index made again from the blobs' headers, and from the small objects beside them.

What nobody wrote down is lost with an index: uses, misses, and what was given up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cachestore.cache.acceptance import list_accepted
from cachestore.cache.cache import Cache
from cachestore.cache.entries import entry_of
from cachestore.cache.finding import Finding, inspect_blobs
from cachestore.cache.versions import list_versions, read_version
from cachestore.in_order import in_order
from cachestore.index import Selection


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Says what a rebuild did: rows written, rows of lost blobs removed, and blobs that it could not read."""

    recorded: int
    forgotten: int
    unreadable: tuple[Finding, ...]


def rebuild(cache: Cache, *, progress: Callable[[int, int], object] = lambda done, total: None) -> Rebuilt:
    """Make the index agree with the blobs; no blob is changed or removed.

    Use counts of rows that are there already are kept; a new row has its moment of making as last use.

    Parameters
    ----------
    progress
        Told how many of how many blobs were read.

    Raises
    ------
    IndexUnavailable, SchemaMismatch, StorageError
        If the index cannot be written or the store cannot be listed.
    """
    cache.index.flush()
    cache.index.merge()
    rows = {entry.key for entry in cache.index.select(Selection())}
    seen: set[str] = set()
    entries, unreadable = [], []
    for key, outcome in inspect_blobs(cache, lambda key, size: cache.read_metadata(key), progress):
        seen.add(key)
        if isinstance(outcome, Finding):
            unreadable.append(outcome)
        else:
            entries.append(entry_of(*outcome))
    cache.index.record(entries)
    vanished = rows - seen
    cache.index.forget(vanished)
    described = in_order(
        lambda version: read_version(cache.store, version),
        list_versions(cache.store),
        at_once=cache.store.at_once,
    )
    versions = filter(None, described)
    cache.index.history.keep_versions(
        {version.code_version: (version.function, version.parts) for version in versions}
    )
    cache.index.history.accept(list_accepted(cache))
    return Rebuilt(recorded=len(entries), forgotten=len(vanished), unreadable=tuple(unreadable))
