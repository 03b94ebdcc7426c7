"""Every blob read and checked against its digests; nothing is unpickled, nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cachestore.cache.cache import Cache
from cachestore.cache.finding import Finding, check_whole, inspect_blobs
from cachestore.index import Selection


@dataclass(frozen=True, slots=True)
class Verified:
    """Says what a look at everything found.

    Attributes
    ----------
    checked
        How many blobs are whole.
    damaged
        Blobs that are not: they are misses, and replaced by the next call.
    vanished
        Keys of rows whose blobs are gone.
    orphans
        Keys of blobs without a row: valid hits, which `cachestore rebuild` lists again.
    """

    checked: int
    damaged: tuple[Finding, ...]
    vanished: tuple[str, ...]
    orphans: tuple[str, ...]


def verify(cache: Cache, *, progress: Callable[[int, int], object] = lambda done, total: None) -> Verified:
    """Check every blob of a store against its digests, and the index against the blobs.

    Raises
    ------
    IndexUnavailable, SchemaMismatch, StorageError
        If the index cannot be read or the store cannot be listed.
    """

    def check(key: str, size: int) -> str:
        check_whole(cache.open_blob(key), size)
        return key

    cache.try_to_merge_uses()
    before = {entry.key for entry in cache.index.select(Selection())}
    whole: set[str] = set()
    damaged: list[Finding] = []
    for key, outcome in inspect_blobs(cache, check, progress):
        if isinstance(outcome, Finding):
            damaged.append(outcome)
        else:
            whole.add(key)
    present = whole | {finding.key for finding in damaged}
    # Others put and drop while we look: a row is lost if it was there before too, a blob an orphan if no row came.
    after = {entry.key for entry in cache.index.select(Selection())}
    return Verified(
        checked=len(whole),
        damaged=tuple(damaged),
        vanished=tuple(sorted((before & after) - present)),
        orphans=tuple(sorted(present - after)),
    )
