"""Entries brought from one store to another: what will be moved is a plan that can be printed; then it is moved.

A blob passes through a temporary file, where every digest is checked, before the first byte is put: what does not
verify arrives nowhere. Blob, then row, as at every put. What is there already stays as it is and is not moved again,
so whoever is interrupted begins anew and moves the rest. One of the same size counts as being there, unread: `verify`
is what finds damage. With an entry goes what is written of its code version. Uses
belong to an index, and accepted versions, which may be revoked, to a store: they stay.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

from cachestore.blob import BlobReader
from cachestore.cache.cache import Cache
from cachestore.cache.entries import entry_of
from cachestore.cache.finding import Finding, check_whole
from cachestore.cache.listing import key_prefix, list_blobs
from cachestore.cache.store_file import write_store_id
from cachestore.cache.versions import copy_version
from cachestore.errors import BlobError, CorruptBlob, ObjectNotFound, SettingsError, StorageError
from cachestore.in_order import in_order
from cachestore.index import Entry, Selection
from cachestore.index.selection import is_like
from cachestore.storage import STORE_FILE, LocalStore, blob_path

_PIECE = 8 * 2**20
# So many blobs are under way as these bytes hold, each being up to three times in memory; and always one, of which a
# few pieces are.
_UNDER_WAY = 16 * 2**20
_AT_ONCE = 16
# Rows that are written together: after a kill, so many blobs at most wait for the next time to be listed.
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """Says which entries are to be moved; without arguments all.

    Parameters
    ----------
    function
        A pattern of the function's name, or of its end after a dot: `features*`.
    creator
        Who computed them.
    newer_than
        Only what was computed in this time before now.
    smaller_than
        Only blobs of fewer bytes.
    keys
        Beginnings of keys.
    """

    function: str | None = None
    creator: str | None = None
    newer_than: timedelta | None = None
    smaller_than: int | None = None
    keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be a key at once."""
        object.__setattr__(self, "keys", tuple(map(key_prefix, self.keys)))

    def takes_blob(self, key: str, size: int) -> bool:
        """Tell whether a blob may be wanted, as far as a listing of the store says."""
        return (not self.keys or key.startswith(self.keys)) and (
            self.smaller_than is None or size < self.smaller_than
        )

    def takes(self, entry: Entry, now: datetime) -> bool:
        """Tell whether an entry is wanted."""
        return (
            (self.function is None or is_like(entry.function, self.function))
            and (self.creator is None or entry.creator == self.creator)
            and (self.newer_than is None or now - entry.created_at <= self.newer_than)
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Says what a transfer will do.

    Attributes
    ----------
    moves
        Entries that go, as they are where they come from.
    unlisted
        Keys of blobs that are there already, and get the row that they lack.
    versions
        Code versions of which something is to be written there.
    present
        How many wanted entries are there already.
    expired
        How many stay because they have expired.
    unreadable
        Blobs that are not moved because they do not say what they are.
    """

    moves: tuple[Entry, ...] = ()
    unlisted: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    present: int = 0
    expired: int = 0
    unreadable: tuple[Finding, ...] = ()

    @property
    def size(self) -> int:
        """How many bytes will be moved."""
        return sum(entry.stored_size for entry in self.moves)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.moves or self.unlisted)


@dataclass(frozen=True, slots=True)
class Moved:
    """Says what a transfer did: the keys of what arrived, how many bytes that are, and what could not be moved."""

    keys: tuple[str, ...] = ()
    size: int = 0
    failed: tuple[Finding, ...] = ()


def plan(source: Cache, destination: Cache, wanted: Wanted, *, now: datetime | None = None) -> Plan:
    """Decide which entries of a store go to another one.

    What has no row in either index is asked for itself: a private index knows only what its user made.

    Raises
    ------
    SettingsError
        If both are the same store, or neither is one, or a key is in neither.
    IndexUnavailable, SchemaMismatch, StorageError
        If an index or a store cannot be read.
    """
    now = datetime.now(UTC) if now is None else now
    _refuse_pair(source, destination)
    here, there = list_blobs(source.store), list_blobs(destination.store)
    for start in wanted.keys:
        if not any(key.startswith(start) for key in (*here, *there)):
            raise SettingsError(f"No key begins with {start}. `cachestore ls` lists the entries.")
    listed = {entry.key: entry for entry in destination.index.select(Selection())}
    rows = {entry.key: entry for entry in source.index.select(Selection())}
    keys = [key for key, size in here.items() if wanted.takes_blob(key, size)]

    def look(key: str) -> tuple[Entry | Finding | None, bool]:
        """Say what a blob is, and whether a sound one is there already."""
        found = rows.get(key) or listed.get(key) or _read_entry(source, key)
        # One of another size was computed by somebody else, or was cut off.
        return found, key in there and (there[key] == here[key] or _lies_sound(destination, key))

    moves, unlisted, unreadable = [], [], []
    versions: set[str] = set()
    present = expired = 0
    for key, (found, arrived) in zip(
        keys, in_order(look, keys, at_once=_requests(source, destination)), strict=True
    ):
        if isinstance(found, Finding):
            unreadable.append(found)
        elif found is None or not wanted.takes(found, now):
            continue
        elif found.expires_at is not None and found.expires_at <= now:
            expired += 1
        elif arrived:
            present += 1
            if key not in listed:
                unlisted.append(key)
                versions.add(found.code_version)
        else:
            moves.append(found)
            versions.add(found.code_version)
    # The small ones first: if it is interrupted, most of the entries are there.
    moves.sort(key=lambda entry: (entry.stored_size, entry.key))
    return Plan(
        moves=tuple(moves),
        unlisted=tuple(unlisted),
        versions=tuple(sorted(versions)),
        present=present,
        expired=expired,
        unreadable=tuple(unreadable),
    )


def carry_out(
    source: Cache,
    destination: Cache,
    decided: Plan,
    *,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Moved:
    """Move what a plan names, and say what could not be moved.

    Killed at any point it leaves blobs without a row at worst, which the next transfer lists.

    Parameters
    ----------
    progress
        Told how many of how many entries are done.

    Raises
    ------
    IndexUnavailable, SchemaMismatch, StorageError
        If the destination cannot be written at all.
    """
    if decided.empty:
        return Moved()
    write_store_id(destination.store)
    keep_versions(source, destination, decided.versions)
    failed: list[Finding] = []
    arrived: list[Entry] = []
    lying = destination.ask_each(lambda key: _read_entry(destination, key), decided.unlisted)
    rows = [found for found in lying if isinstance(found, Entry)]
    moves = decided.moves
    outcomes = _move_each(source, destination, moves)
    try:
        for done, outcome in enumerate(outcomes, start=1):
            if isinstance(outcome, Finding):
                failed.append(outcome)
            else:
                row, came_now = outcome
                rows.append(row)
                if came_now:
                    arrived.append(row)
            if len(rows) >= _BATCH:
                destination.index.record(rows)
                rows = []
            progress(done, len(moves))
    finally:
        # Ctrl-C too leaves what has arrived listed.
        destination.index.record(rows)
    destination.store.flush()
    return Moved(
        keys=tuple(entry.key for entry in arrived),
        size=sum(entry.stored_size for entry in arrived),
        failed=tuple(failed),
    )


def keep_versions(source: Cache, destination: Cache, code_versions: Iterable[str]) -> None:
    """Bring what is written of code versions: their parts and sources, by which a change is explained.

    Sources go only where the destination's settings keep them.

    Raises
    ------
    IndexUnavailable, SchemaMismatch, StorageError
        If they cannot be read or written.
    """
    copied = in_order(
        lambda version: copy_version(
            source.store, destination.store, version, sources=destination.settings.keep_sources
        ),
        code_versions,
        at_once=_requests(source, destination),
    )
    destination.index.history.keep_versions(
        {version.code_version: (version.function, version.parts) for version in filter(None, copied)}
    )


def _requests(source: Cache, destination: Cache) -> int:
    """Return how many small requests are worth having under way."""
    return max(source.store.at_once, destination.store.at_once)


def _refuse_pair(source: Cache, destination: Cache) -> None:
    here, there = source.store_id(), destination.store_id()
    if here is None and there is None:
        raise SettingsError(
            f"There is no store at {source.location} and none at {destination.location}: nothing was ever stored "
            "there. Name the places that are meant."
        )
    if here == there:
        if not _one_place(source, destination):
            raise SettingsError(
                f"{source.location} and {destination.location} have the same id in {STORE_FILE}: one is a copy of the "
                "other, or both are one store under two names. A copy becomes a store of its own, and loses no entry, "
                f"when its {STORE_FILE} is removed: the first push to it, or result stored there, writes a new one. "
                "Leave that file out when a store is copied."
            )
        raise SettingsError(
            f"{source.location} and {destination.location} are one store. Name another one to move entries to or from."
        )


def _one_place(source: Cache, destination: Cache) -> bool:
    here, there = source.store.directory(), destination.store.directory()
    if here is None or there is None:
        return source.location == destination.location
    return here.samefile(there)


def _read_entry(cache: Cache, key: str) -> Entry | Finding | None:
    try:
        return entry_of(*cache.read_metadata(key))
    except ObjectNotFound:
        return None  # removed while we look
    except (BlobError, StorageError) as error:
        return Finding(key, str(error))


def _lies_sound(cache: Cache, key: str) -> bool:
    """Tell whether a blob is there that is sound as far as its end says, or of a later cachestore."""
    try:
        cache.open_blob(key)
    except (ObjectNotFound, CorruptBlob):
        return False
    except BlobError:
        return True
    return True


def _move_each(
    source: Cache, destination: Cache, moves: Iterable[Entry]
) -> Iterator[tuple[Entry, bool] | Finding]:
    """Move blobs in order, as many at once as memory allows."""
    for at_once, alike in groupby(moves, lambda entry: _at_once(entry.stored_size)):
        yield from in_order(lambda entry: _move(source, destination, entry.key), alike, at_once=at_once)


def _at_once(size: int) -> int:
    return min(_AT_ONCE, max(1, _UNDER_WAY // max(1, size)))


def _move(source: Cache, destination: Cache, key: str) -> tuple[Entry, bool] | Finding:
    """Move one blob; return the row that it gets, and whether it was moved."""
    try:
        with suppress(ObjectNotFound, CorruptBlob):
            # Somebody else was faster: theirs stays.
            return entry_of(*destination.read_metadata(key)), False
        with tempfile.TemporaryDirectory(prefix="cachestore-") as folder:
            copy = Path(folder, "blob")
            with copy.open("wb") as file:
                file.writelines(_pieces(source, key))
            reader = _verified(copy, key)
            destination.store.put(blob_path(key), _Pieces(copy))
            return entry_of(reader.metadata, reader.size), True
    except ObjectNotFound:
        return Finding(key, f"Its blob is gone from {source.location}: somebody has removed it.")
    except (BlobError, StorageError) as error:
        return Finding(key, str(error))
    except OSError as error:
        return Finding(
            key,
            f"It cannot be held in {tempfile.gettempdir()}: {error.strerror}. Free some space there, or name "
            "another directory for temporary files in TMPDIR.",
        )


def _pieces(cache: Cache, key: str) -> Iterator[bytes]:
    """Yield an object, piece after piece."""
    start = 0
    while True:
        piece = cache.store.get_range(blob_path(key), start, start + _PIECE)
        yield piece
        if len(piece) < _PIECE:
            return
        start += _PIECE


def _verified(copy: Path, key: str) -> BlobReader:
    reader = BlobReader.open(LocalStore(copy.parent).open(copy.name), key=key)
    check_whole(reader, copy.stat().st_size)
    return reader


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Is a file as the parts of a put, which may be asked for again."""

    file: Path

    def __iter__(self) -> Iterator[bytes]:
        with self.file.open("rb") as stream:
            while piece := stream.read(_PIECE):
                yield piece
