"""Collection: what will be given up is a plan that can be printed; then it is carried out.

Row, then blob, then whatever no row speaks of and is old. An old orphan is read first: what is whole is adopted,
only what cannot be read is swept. A private index of a shared store knows only its own uses, and never sweeps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cachestore.cache.cache import Cache
from cachestore.cache.entries import entry_of
from cachestore.cache.eviction import Eviction, Limits, choose, choose_expired
from cachestore.errors import BlobError, NewerBlob, ObjectNotFound, SettingsError, StorageError
from cachestore.in_order import in_order
from cachestore.index import Entry, Selection
from cachestore.storage import ObjectInfo, is_temporary, key_of

_logger = logging.getLogger(__name__)

# Nobody puts for so long; younger blobs without a row may be of a put that is under way, or of an index that is ill.
ORPHAN_AGE = timedelta(days=7)
# No upload takes so long; it is in no listing, but costs space.
UPLOAD_AGE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """Says what a collection will do.

    Attributes
    ----------
    evictions
        Entries that go.
    vanished
        Keys of rows whose blobs are gone.
    adoptions
        Old blobs without a row that are whole: they get one.
    sweeps
        Old leftovers: temporary files, and blobs without a row that cannot be read.
    uploads
        How many uploads of writers that died are in no listing; they are aborted.
    kept, kept_size
        How many entries stay, and their bytes.
    """

    evictions: tuple[Eviction, ...]
    vanished: tuple[str, ...]
    adoptions: tuple[Entry, ...]
    sweeps: tuple[ObjectInfo, ...]
    kept: int
    kept_size: int
    uploads: int = 0

    @property
    def freed_size(self) -> int:
        """Bytes that the store gets back."""
        return sum(eviction.entry.stored_size for eviction in self.evictions) + sum(
            leftover.size for leftover in self.sweeps
        )

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.evictions or self.vanished or self.adoptions or self.sweeps or self.uploads)


def refuse_private(cache: Cache) -> None:
    """Refuse to collect a shared store by what only one of its users knows.

    Raises
    ------
    SettingsError
        If the index is private: it has not seen what colleagues made and use.
    """
    if cache.index.private:
        raise SettingsError(
            f"The index of {cache.location} is a private one: it knows only what you yourself stored and "
            "used on this machine, so entries that colleagues use every day would look unused. Name the "
            "team's index (`--index postgresql://user@host/database`, CACHESTORE_INDEX, or `index = "
            '"..."` in cachestore.toml); if nobody else uses this store, run '
            "`cachestore gc --private-index`."
        )


def plan(cache: Cache, limits: Limits, *, now: datetime | None = None) -> Plan:
    """Decide what a collection gives up.

    Raises
    ------
    IndexUnavailable, SchemaMismatch, StorageError
        If the index or the store cannot be read.
    """
    now = datetime.now(UTC) if now is None else now
    cache.merge_uses()
    entries = cache.index.select(Selection())
    vanished: list[str] = []
    adoptions: list[Entry] = []
    sweeps: list[ObjectInfo] = []
    uploads = 0
    if not cache.index.private:
        rows = {entry.key for entry in entries}
        listed = list(cache.store.list(""))
        blobs = {key: info for info in listed if (key := key_of(info.path)) is not None}
        # Rows are read before blobs are listed: a row without a blob here is no put under way.
        vanished = sorted(rows - blobs.keys())
        entries = [entry for entry in entries if entry.key in blobs]
        old = [
            (key, info) for key, info in blobs.items() if key not in rows and now - info.modified > ORPHAN_AGE
        ]
        adoptions, sweeps = _judge(cache, old)
        sweeps += [info for info in listed if is_temporary(info.path) and now - info.modified > ORPHAN_AGE]
        uploads = _count_uploads(cache)
    meant = _meant(cache, entries, limits)
    evictions = choose_expired(meant, now)
    if limits.given:
        expired = {eviction.entry.key for eviction in evictions}
        evictions += choose([entry for entry in meant if entry.key not in expired], limits, now)
    gone = {eviction.entry.key for eviction in evictions}
    kept = [entry for entry in entries if entry.key not in gone]
    return Plan(
        evictions=tuple(evictions),
        vanished=tuple(vanished),
        adoptions=tuple(adoptions),
        sweeps=tuple(sweeps),
        kept=len(kept) + len(adoptions),
        kept_size=sum(entry.stored_size for entry in (*kept, *adoptions)),
        uploads=uploads,
    )


def run(cache: Cache, decided: Plan, *, progress: Callable[[int], object] = lambda done: None) -> None:
    """Carry a plan out: rows, then blobs, then leftovers.

    Killed at any point it leaves orphans at worst, which the next collection sees.

    Parameters
    ----------
    progress
        Told the number of entries that are gone, after each batch.

    Raises
    ------
    IndexUnavailable, SchemaMismatch, StorageError
        If the index or the store cannot be written; what is not yet removed is kept.
    """
    cache.index.forget(decided.vanished)
    done = 0
    reasons = {eviction.entry.key: eviction.reason for eviction in decided.evictions}
    for batch in _batches(list(reasons)):
        cache.drop(batch, command="gc", reasons=reasons)
        done += len(batch)
        progress(done)
    cache.index.record(decided.adoptions)
    # The plan may have waited for a yes: what was computed again meanwhile is whole, and stays.
    blobs = [(key, info) for info in decided.sweeps if (key := key_of(info.path)) is not None]
    _, unreadable = _judge(cache, blobs)
    leftovers = [info for info in decided.sweeps if key_of(info.path) is None]
    cache.store.delete(info.path for info in (*unreadable, *leftovers))
    if decided.uploads:
        cache.store.sweep_unfinished(UPLOAD_AGE)


def _meant(cache: Cache, entries: list[Entry], limits: Limits) -> list[Entry]:
    """Leave out the entries of functions that the limits do not speak of."""
    if limits.function is None:
        return entries
    named = {entry.key for entry in cache.index.select(Selection(function=limits.function))}
    return [entry for entry in entries if entry.key in named]


def _judge(cache: Cache, orphans: Iterable[tuple[str, ObjectInfo]]) -> tuple[list[Entry], list[ObjectInfo]]:
    """Tell the orphans that are whole from those that nobody can read."""

    def judge(orphan: tuple[str, ObjectInfo]) -> Entry | ObjectInfo | None:
        key, info = orphan
        try:
            return entry_of(*cache.read_metadata(key))
        except (NewerBlob, ObjectNotFound):
            return None  # of a colleague's later cachestore; or swept by somebody else just now
        except BlobError:
            return info
        except StorageError:
            return None  # not read is not unreadable

    judged = [*in_order(judge, orphans, at_once=cache.store.at_once)]
    return (
        [entry for entry in judged if isinstance(entry, Entry)],
        [info for info in judged if isinstance(info, ObjectInfo)],
    )


def _count_uploads(cache: Cache) -> int:
    try:
        return cache.store.sweep_unfinished(UPLOAD_AGE, act=False)
    except StorageError as error:
        # Who may collect need not be allowed to list uploads, and not every server can: the rest goes on.
        _logger.info("Unfinished uploads to %s cannot be counted: %s", cache.location, error)
        return 0


def _batches(keys: list[str], size: int = 500) -> Iterable[list[str]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
