"""The tables of an index brought up to date."""

from __future__ import annotations

from dataclasses import dataclass

from cachestore.cache.opening import open_cache, open_existing
from cachestore.settings import Settings


@dataclass(frozen=True, slots=True)
class Migrated:
    """Says what a migration did: which index, its revision before (None for an empty one) and after."""

    index: str
    before: str | None
    after: str


def migrate_index(settings: Settings) -> Migrated:
    """Bring the tables of an index up to date.

    An index that was named may be made before its store is; that of a store belongs to one that is there.

    Raises
    ------
    SettingsError, MissingExtra, StorageError
        If there is no such index.
    IndexUnavailable, SchemaMismatch
        If it cannot be changed, or is newer than this cachestore.
    """
    cache = open_existing(settings) if settings.index is None else open_cache(settings)
    try:
        before = cache.index.version()
        return Migrated(index=cache.index.url, before=before, after=cache.index.migrate())
    finally:
        cache.close()
