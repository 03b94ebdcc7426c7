"""Looking at a cache: what it holds in all, its entries, all that is known of one. Nothing is unpickled."""

from __future__ import annotations

from dataclasses import dataclass

from cachestore.blob import Metadata
from cachestore.cache.cache import Cache
from cachestore.cache.listing import key_prefix, list_blobs
from cachestore.errors import BlobError, ObjectNotFound, SettingsError
from cachestore.index import Entry, Selection, Statistics
from cachestore.index.selection import Sort
from cachestore.storage import BLOBS, key_of

_CANDIDATES = 10


@dataclass(frozen=True, slots=True)
class Overview:
    """Says what a cache holds and has saved.

    Attributes
    ----------
    statistics
        What the index says.
    unlisted
        Whether there are blobs although the index has no entry.
    """

    statistics: Statistics
    unlisted: bool

    @property
    def advice(self) -> str:
        """What to do about an index without entries."""
        if self.unlisted:
            return (
                "The index has no entries, and the store holds blobs: they are found all the same, and "
                "`cachestore rebuild` lists them again."
            )
        return (
            "Nothing is stored yet. Call a function with @cache.cache on it, and its result is listed here."
        )


def overview(cache: Cache) -> Overview:
    """Sum up a cache, with the uses that its processes have noted so far.

    Raises
    ------
    IndexUnavailable, SchemaMismatch, StorageError
        If the index or the store cannot be read.
    """
    cache.try_to_merge_uses()
    statistics = cache.index.statistics()
    unlisted = not statistics.entries and any(key_of(info.path) for info in cache.store.list(BLOBS))
    return Overview(statistics, unlisted)


def list_entries(
    cache: Cache,
    *,
    function: str | None = None,
    user: str | None = None,
    sort: Sort = "last_used",
    limit: int | None = None,
) -> list[Entry]:
    """List entries, with the uses that other processes have noted so far.

    Parameters
    ----------
    function
        A pattern of the function's name, or of its end after a dot: `features*`.
    user
        Who computed them.
    sort, limit
        What comes first, and how many at most.

    Raises
    ------
    IndexUnavailable, SchemaMismatch
        If the index cannot be read.
    SettingsError
        If `sort` or `limit` has no meaning.
    """
    selection = Selection(function=function, creator=user, sort=sort, limit=limit)
    cache.try_to_merge_uses()
    return cache.index.select(selection)


@dataclass(frozen=True, slots=True)
class Described:
    """Holds all that is known of an entry.

    Attributes
    ----------
    key
        Its key, whole.
    entry
        Its row, if it has one.
    metadata, stored_size
        What its blob says, and how large that is, if it can be read.
    problem
        What is wrong with the blob, if anything is.
    """

    key: str
    entry: Entry | None
    metadata: Metadata | None
    stored_size: int
    problem: str | None


def describe_entry(cache: Cache, prefix: str) -> Described:
    """Tell all that is known of the one entry whose key begins with `prefix`; its blob is checked on the way.

    Raises
    ------
    SettingsError
        If no key begins so, or several do.
    IndexUnavailable, SchemaMismatch, StorageError
        If the index or the store cannot be read.
    """
    key, entry = _identified(cache, prefix)
    try:
        reader = cache.open_blob(key)
        reader.verify()
    except ObjectNotFound:
        problem = "The blob is gone; `cachestore rebuild` or `cachestore gc` removes the row."
        return Described(key, entry, None, 0, problem)
    except BlobError as error:
        return Described(key, entry, None, 0, str(error))
    return Described(key, entry, reader.metadata, reader.size, None)


def _identified(cache: Cache, prefix: str) -> tuple[str, Entry | None]:
    start = key_prefix(prefix)
    cache.try_to_merge_uses()
    found: list[tuple[str, Entry | None]] = [(entry.key, entry) for entry in cache.index.find(start)]
    if not found:
        # A blob without a row is an entry too.
        found = [(key, None) for key in list_blobs(cache.store, start)]
    if not found:
        raise SettingsError(f"No key begins with {start}. `cachestore ls` lists the entries.")
    if len(found) > 1:
        candidates = [
            f"{key[: len(start) + 8]} ({entry.function if entry else 'not listed'})" for key, entry in found
        ]
        more = f" and {len(found) - _CANDIDATES} more" if len(found) > _CANDIDATES else ""
        shown = f"{', '.join(candidates[:_CANDIDATES])}{more}"
        raise SettingsError(f"{len(found)} keys begin with {start}: {shown}. Give more of the key.")
    return found[0]
