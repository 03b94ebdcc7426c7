"""One cache: values by key, in an object store, with an index that keeps the books.

Three invariants hold, whatever happens between two steps:

1. A blob is whole or absent, and never edited. A put of the same key replaces it whole: puts of blobs are
   unconditional, the last one wins (a refresh, a repair, a race). A reader of several ranges whose digests do not
   match starts over once, then calls it a miss.
2. Put: blob, then row. Drop: row, then blob.
3. So a row may for a moment lack its blob (a reader calls that a miss, and the put that follows repairs the row),
   and a blob may lack its row (an orphan: still a valid hit, adopted when seen, swept only when old).

The index is bookkeeping: a hit never waits for SQL, and losing the index loses no value.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from cachestore.blob import BlobReader, Parent, Place, small_blob
from cachestore.blob.described import Described
from cachestore.cache.mode import NORMAL, Mode, modes_here
from cachestore.cache.store_file import read_store_id, write_store_id
from cachestore.cache.trouble import Trouble
from cachestore.errors import (
    BlobError,
    CachestoreError,
    CorruptBlob,
    IndexUnavailable,
    NewerBlob,
    ObjectNotFound,
    SchemaMismatch,
    StorageError,
)
from cachestore.in_order import in_order
from cachestore.index import Index, Touch
from cachestore.keys import CallKey, Rules, digest, digest_of
from cachestore.settings import MinSeconds, Settings
from cachestore.storage import STORE_FILE, ObjectStore, blob_path

if TYPE_CHECKING:
    from cachestore.blob import Metadata
    from cachestore.cache.acceptance import Acceptance
    from cachestore.cache.reading_times import ReadingTimes
    from cachestore.index import Entry

# Digesting an array costs next to nothing beside writing it; walking a small value costs more than it tells.
_DIGESTED_FROM = 64 * 1024
# Longer ones are those of records of very many fields, or hold what counts of the values themselves.
_LONGEST_ENCODING = 1024
# Of a larger blob the first request brings only the end.
_COMES_WHOLE = 2**20

_logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_Item = TypeVar("_Item")

# Makes what a hit gives of the blob that was found.
Load = Callable[[BlobReader], object]


class Hit:
    """Is the answer of a cache that has the value.

    Attributes
    ----------
    value
        What was stored.
    """

    __slots__ = ("_blob", "value")

    def __init__(self, blob: Described, value: object) -> None:
        self.value = value
        # Most are asked for nothing but the value: what the blob says besides is read by whoever asks.
        self._blob = blob

    @property
    def key(self) -> str:
        """The key of the entry: in an accepted version of the code another one than that of the call."""
        return self._blob.key

    @property
    def value_digest(self) -> str | None:
        """The digest of the value, where it has one."""
        return self._blob.value_digest

    @property
    def seconds(self) -> float:
        """How long computing took."""
        return self._blob.seconds

    @property
    def raw_size(self) -> int:
        """The bytes of the value before compression."""
        return self._blob.raw_size

    def outlasts(self, time: timedelta) -> bool:
        """Say whether the entry still answers after that time."""
        return self._blob.outlasts(time.total_seconds())

    @property
    def metadata(self) -> Metadata:
        """What the blob says of itself."""
        return self._blob.metadata

    def __repr__(self) -> str:
        """Show the value."""
        return f"Hit({self.value!r})"


@dataclass(frozen=True, slots=True)
class Miss:
    """Is the answer of a cache that has no value, and why."""

    reason: Literal[
        "absent", "unavailable", "corrupt", "newer", "unreadable", "refused", "expired", "bypassed"
    ]


class Cache:
    """Gets, puts and drops values by key.

    Parameters
    ----------
    store
        Where the blobs lie.
    index
        What keeps the books.
    settings
        What both were opened from; goes to workers and into pickles (without its secrets).
    name_index
        Finds out the name of a private index, which is that of the store. It is asked at the first hit: at exit,
        when uses are written, nobody can be asked over a network any more.
    trouble
        What tells people that something is ill, where the store tells it too.
    """

    def __init__(
        self,
        store: ObjectStore,
        index: Index,
        settings: Settings,
        *,
        name_index: Callable[[], object],
        trouble: Trouble | None = None,
    ) -> None:
        self.store = store
        self.index = index
        self.settings = settings
        self.trouble = trouble or Trouble()
        self._name_index = name_index
        self._named = False
        self._merged = False
        self._versions: set[str] = set()
        # Only where somebody asks what is worth its place.
        self._reading: ReadingTimes | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """Show where the cache is, without secrets."""
        return f"Cache({self.location!r})"

    @property
    def location(self) -> str:
        """The store's directory or URL, without secrets."""
        return self.store.url

    @cached_property
    def rules(self) -> Rules:
        """How code is looked at by whoever makes keys for this cache."""
        return Rules.of(self.settings)

    @cached_property
    def acceptance(self) -> Acceptance:
        """Which code versions answer for which; asked at a miss."""
        from cachestore.cache.acceptance import Acceptance

        return Acceptance(self.store)

    @cached_property
    def user(self) -> str:
        """Who makes and uses entries through this cache."""
        if self.settings.user is not None:
            return self.settings.user
        import getpass

        try:
            return getpass.getuser()
        except (OSError, KeyError):  # a container's user without a name
            return "unknown"

    @property
    def mode(self) -> Mode:
        """What calls may do here and now."""
        modes = modes_here()
        mode = modes.get(self.location, NORMAL) if modes else NORMAL
        return mode & Mode(writes=False) if self.settings.read_only else mode

    def is_offline(self) -> bool:
        """Say whether the store is across a network, and is to be left alone."""
        return bool(modes_here()) and self.mode.offline and self.store.remote

    # ---- one call

    def look_up(
        self,
        call: CallKey,
        *,
        accept: Callable[[Metadata], bool] | None = None,
        refusal: Literal["refused", "expired"] = "refused",
        counts: bool = True,
        load: Load | None = None,
        since: float | None = None,
    ) -> Hit | Miss:
        """Look a call up and load its value: its own entry, else one of a code version accepted for it.

        Parameters
        ----------
        accept
            Told what is known of an entry before its value is loaded; False makes it a miss.
        refusal
            The reason of such a miss.
        counts
            Whether a miss counts: somebody computes now.
        load
            In place of loading the value.
        since
            When the caller began to make the key, by `time.perf_counter`: that counts as a cost too.

        Returns
        -------
        Hit or Miss
            Never an error: an ill store is a miss, and is told once.
        """
        started = time.perf_counter() if since is None else since
        if modes_here() and not self.mode.reads:
            return Miss("bypassed")
        found = self.get(call.key, accept=accept, load=load, since=started)
        if isinstance(found, Hit):
            return found
        return self._answer_missed(
            call, found, refusal, started if counts else None, partial(self.get, accept=accept, load=load)
        )

    def look_at(
        self,
        call: CallKey,
        *,
        accept: Callable[[Metadata], bool] | None = None,
        refusal: Literal["refused", "expired"] = "refused",
        counts: bool = False,
        since: float | None = None,
    ) -> Metadata | Miss:
        """Look a call up as `look_up` does, without loading the value and without counting a use."""
        started = time.perf_counter() if since is None else since
        if modes_here() and not self.mode.reads:
            return Miss("bypassed")
        found = self.peek(call.key, accept=accept)
        if not isinstance(found, Miss):
            return found
        return self._answer_missed(
            call, found, refusal, started if counts else None, partial(self.peek, accept=accept)
        )

    def _answer_missed(
        self,
        call: CallKey,
        missed: Miss,
        refusal: Literal["refused", "expired"],
        since: float | None,
        ask: Callable[[str], _T | Miss],
    ) -> _T | Miss:
        if missed.reason == "refused":
            missed = Miss(refusal)
        if self.is_offline():
            return missed  # nobody knows whether it is one
        if missed.reason != "unavailable":
            for accepted in self.acceptance.of(call.code_version):
                found = ask(call.in_version(accepted.old))
                if not isinstance(found, Miss):
                    return found
        if since is not None:
            self._note_miss(call, missed, time.perf_counter() - since)
        return missed

    def _note_miss(self, call: CallKey, missed: Miss, seconds: float) -> None:
        if self.index.private and not self._named:
            # A private index has no name before the first put. What is missed until then was never computed.
            if missed.reason == "unavailable" or not self._name_index():
                return
            self._named = True
        from cachestore.cache.entries import KnownCall
        from cachestore.index import Missed, Spent

        known = KnownCall.of(call)
        self.index.miss(
            Missed(
                key=call.key,
                function=call.function,
                code_version=call.code_version,
                call_digest=known.versionless,
                user=self.user,
                at=_now(),
                outcome=missed.reason,
                arguments=known.arguments,
                code_parts=call.code_parts,
            )
        )
        self.index.spend(Spent(call.function, seconds))

    # ---- one entry

    def get(
        self,
        key: str,
        *,
        accept: Callable[[Metadata], bool] | None = None,
        load: Load | None = None,
        since: float | None = None,
    ) -> Hit | Miss:
        """Look a key up and load its value.

        Parameters
        ----------
        key
            The digest of a call.
        accept
            Told what is known of the entry before its value is loaded; False makes it a miss.
        load
            In place of loading the value.
        since
            When the caller began, by `time.perf_counter`.

        Returns
        -------
        Hit or Miss
            Never an error: an ill store is a miss, and is told once.
        """
        started = time.perf_counter() if since is None else since
        found = self._at_hand(key) if accept is None and load is None else None
        if found is None:
            taken = self.take(key, load or self.load, accept=accept)
            if isinstance(taken, Miss):
                return taken
            found = taken
        if not self._named and self.index.private:
            if self.is_offline():
                return found  # the name of the index is in the store
            self._named = True
            self._name_index()
        # Loading took time too: what a hit saves is counted net.
        taken_time = time.perf_counter() - started
        if self._reading is not None and load is None:
            self._reading.note(found.raw_size, taken_time)
        saved = found.seconds - taken_time
        self.index.touch(Touch(key, self.user, time.time(), saved))
        return found

    def _at_hand(self, key: str) -> Hit | None:
        """Give a small value that lies on this machine, as most do; None leaves it to the general way."""
        data = self.store.at_hand(blob_path(key))
        blob = small_blob(data, key=key) if data is not None else None
        if blob is None:
            return None
        try:
            return Hit(blob, blob.value(policy=self.settings.load_policy))
        except BlobError:
            return None  # said by who comes next

    def get_many(self, keys: Iterable[str]) -> Iterator[Hit | Miss]:
        """Look keys up and load their values, as many at a time as the store is worth; answers in order.

        Each answer is as that of `get`. Keys are taken as answers are.
        """
        return self.ask_each(self.get, keys)

    def ask_each(
        self, ask: Callable[[_Item], _T], items: Iterable[_Item], *, callers: int = 1
    ) -> Iterator[_T]:
        """Give what `ask` finds in this cache for each item, in order, as many at a time as the store is worth.

        Parameters
        ----------
        callers
            How many do so at the same time: each takes its share.
        """
        return in_order(ask, items, at_once=max(1, self.store.at_once // callers))

    def take(self, key: str, load: Load, *, accept: Callable[[Metadata], bool] | None = None) -> Hit | Miss:
        """Look a key up and make something of its blob, without counting a use."""

        def hit(reader: BlobReader) -> Hit:
            value = load(reader)
            # People hold many hits, and a reader may hold an open file.
            return Hit(reader.alone(), value)

        return self._read(key, hit, accept)

    def load(self, reader: BlobReader) -> object:
        """Load the value of a blob.

        Raises
        ------
        BlobError, StorageError
            If it cannot be read.
        """
        if reader.size > _COMES_WHOLE:
            self.store.fetch(blob_path(reader.key), reader.size)
        return reader.value(policy=self.settings.load_policy)

    def peek(self, key: str, *, accept: Callable[[Metadata], bool] | None = None) -> Metadata | Miss:
        """Look a key up without loading its value and without counting a use."""
        return self._read(key, lambda reader: reader.metadata, accept)

    def may_load(self, key: str) -> bool:
        """Tell whether the policy lets this process load what it has just put."""
        return self.settings.load_policy == "any" or not isinstance(self.peek(key), Miss)

    def put(
        self,
        call: CallKey,
        value: object,
        *,
        started_at: datetime,
        seconds: float,
        parents: Iterable[Parent] = (),
        drew_random: bool = False,
        function: Callable[..., Any] | None = None,
        summaries: Mapping[str, str] | None = None,
        raw: bool = False,
        expires_at: datetime | None = None,
        min_seconds: MinSeconds = None,
    ) -> Metadata | None:
        """Store the value of a call: blob, then row.

        Parameters
        ----------
        call
            The call that gave the value.
        value
            What the function returned.
        started_at, seconds
            When the computation began (aware) and how long it took.
        parents
            The entries that were used to make the value.
        drew_random
            Whether the computation drew from a random state that nobody seeded.
        function
            What was called: its sources are kept, once for each code version, unless that is switched off.
        summaries
            A short text of each argument, where the settings ask for that.
        raw
            Whether it is stored as it is, unless the settings say how to compress.
        expires_at
            When it stops to answer (aware).
        min_seconds
            In place of what the settings say: as there.

        Returns
        -------
        Metadata or None
            What was stored of the value besides itself; None where it could not be stored, which is told once, or is
            not to be.
        """
        least = self.settings.min_seconds if min_seconds is None else min_seconds
        if not self.mode.writes or (isinstance(least, int | float) and seconds < least):
            return None
        started = time.perf_counter()
        import platform

        from cachestore.blob import Metadata, encode
        from cachestore.cache.entries import entry_of
        from cachestore.index import Spent

        try:
            value = _loaded(value)
        except (BlobError, StorageError) as error:
            self.trouble.tell(
                f"value of {call.function}", f"A result of {call.function} is not stored.", error
            )
            return None
        encoding, value_digest = _encoding_and_digest(value)
        metadata = Metadata(
            key=call.key,
            function=call.function,
            code_version=call.code_version,
            code_parts=call.code_parts,
            arguments=call.arguments,
            started_at=started_at,
            seconds=seconds,
            creator=self.user,
            python=platform.python_version(),
            parents=tuple(parents),
            value_digest=value_digest,
            expires_at=expires_at,
            drew_random=drew_random,
            summaries=dict(summaries or {}),
            encoding=encoding,
        )
        compress = False if raw and self.settings.compress is None else self.settings.compress
        try:
            place: Place = "far" if self.store.remote else "near"
            encoded = encode(value, metadata, compress=compress, place=place)
            if least == "measured" and self._reads_longer(encoded.metadata):
                return None
            if self.is_offline():
                # Its row comes when it is used: what is put without one is listed then.
                return encoded.metadata if self.store.put_near(blob_path(call.key), encoded) else None
            self._mark_store(call, function)
            self.store.put(blob_path(call.key), encoded)
        except StorageError as error:
            self._tell_store(error)
            return None
        except (BlobError, MemoryError) as error:
            self.trouble.tell(
                f"value of {call.function}", f"A result of {call.function} is not stored.", error
            )
            return None
        self.keep_books(lambda: self._record([entry_of(encoded.metadata, encoded.size)]))
        self.index.spend(Spent(call.function, time.perf_counter() - started))
        if least == "measured":
            self._measure(encoded.metadata)
        return encoded.metadata

    def _reads_longer(self, metadata: Metadata) -> bool:
        """Say whether reading a result is known to take longer than computing it did."""
        return self._reading is not None and self._reading.are_longer(
            metadata.raw_size, than=metadata.seconds
        )

    def _measure(self, metadata: Metadata) -> None:
        """Read what was stored, where nobody has read the like and it may not be worth it."""
        from cachestore.cache.reading_times import ReadingTimes

        if self._reading is None:
            self._reading = ReadingTimes()  # from now on hits are measured too
        if self._reading.are_wanted(metadata.raw_size, than=metadata.seconds):
            started = time.perf_counter()
            if isinstance(self.take(metadata.key, self.load), Hit):
                self._reading.note(metadata.raw_size, time.perf_counter() - started)

    def drop(
        self, keys: Iterable[str], *, command: str = "clear", reasons: Mapping[str, str] | None = None
    ) -> None:
        """Remove entries: row, then blob. It is noted for a while who did so.

        Parameters
        ----------
        command
            What asked for it.
        reasons
            Why each goes, where there is more to say than that.

        Raises
        ------
        IndexUnavailable, SchemaMismatch, StorageError
            If they cannot be removed; then they are kept.
        """
        from cachestore.index import Evicted

        keys = list(keys)
        reasons, now = reasons or {}, _now()
        evicted = [Evicted(key, self.user, now, command, reasons.get(key, "")) for key in keys]
        self.index.forget(keys, evicted)
        self.store.delete(blob_path(key) for key in keys)

    # ---- all entries

    def read_metadata(self, key: str) -> tuple[Metadata, int]:
        """Read what a blob says of itself, and its size in bytes, without loading the value.

        Raises
        ------
        ObjectNotFound, StorageError, BlobError
            If there is no such blob, or it cannot be read.
        """
        reader = self.open_blob(key)
        return reader.metadata, reader.size

    def open_blob(self, key: str) -> BlobReader:
        """Open the blob of a key, its digests not yet checked but those of its metadata."""
        open_object = self.store.open_near if self.is_offline() else self.store.open
        return BlobReader.open(open_object(blob_path(key)), key=key)

    def merge_uses(self) -> None:
        """Take in the uses that other processes noted; adopt the orphans among them, forget what is gone.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If the index cannot be written.
        """
        self.index.flush()
        self.index.forget(self.adopt(self.index.merge()))

    def try_to_merge_uses(self) -> None:
        """Take in the uses that other processes noted, where the index can be written: for who only reads it.

        Whether it can be read is said by what is read next.
        """
        with suppress(IndexUnavailable, SchemaMismatch):
            self.merge_uses()

    def adopt(self, keys: Iterable[str]) -> list[str]:
        """Give rows to blobs that have none; return the keys that have no blob."""
        from cachestore.cache.entries import entry_of
        from cachestore.index import Entry

        def read(key: str) -> Entry | str | None:
            try:
                return entry_of(*self.read_metadata(key))
            except ObjectNotFound:
                return key
            except (StorageError, BlobError, ValueError, OverflowError):
                return None  # looked at again the next time; what no row can hold is no reason to stop

        found = [*in_order(read, keys, at_once=self.store.at_once)]
        self.index.record(entry for entry in found if isinstance(entry, Entry))
        return [key for key in found if isinstance(key, str)]

    def store_id(self) -> str | None:
        """Read the random id of the store; None before its first put."""
        return read_store_id(self.store)

    def keep_books(self, write: Callable[[], object]) -> None:
        """Write to the index, and go on without it where it is ill."""
        try:
            write()
        except (IndexUnavailable, SchemaMismatch) as error:
            self.trouble.tell(
                "index",
                "The cache goes on without its index: results are stored and found, but not listed.",
                error,
            )

    def flush(self) -> None:
        """Wait until all that was stored is where others find it, and what was noted where the index finds it.

        Raises
        ------
        StorageError
            If a remote store does not take what was put near; it is sent again later.
        """
        self.store.flush()
        self.keep_books(self.index.flush)

    def close(self) -> None:
        """Write what is buffered and let go of connections."""
        self.keep_books(self.index.close)
        self.store.close()

    # ---- how

    def _record(self, entries: list[Entry]) -> None:
        self.index.record(entries)
        with self._lock:
            first, self._merged = not self._merged, True
        if first:
            self.merge_uses()

    def _mark_store(self, call: CallKey, function: Callable[..., Any] | None) -> None:
        """Write what a store holds besides blobs and what this process has not written yet: its name, the version."""
        if not self._is_marked():
            # In a race with another first put the second one writes nothing: the file is created exclusively.
            write_store_id(self.store)
            self._versions = set()
        if call.code_version not in self._versions:
            from cachestore.cache.versions import keep_version

            keep_version(self.store, call, function, sources=self.settings.keep_sources, rules=self.rules)
            self._versions.add(call.code_version)

    def _is_marked(self) -> bool:
        # Asking a directory costs next to nothing, and people remove the directories of living processes.
        directory = self.store.directory()
        return bool(self._versions) and (directory is None or (directory / STORE_FILE).exists())

    def _read(
        self, key: str, take: Callable[[BlobReader], _T], accept: Callable[[Metadata], bool] | None = None
    ) -> _T | Miss:
        for attempt in (1, 2):
            try:
                reader = self.open_blob(key)
                if reader.has_expired():
                    return Miss("expired")
                if accept is not None and not accept(reader.metadata):
                    return Miss("refused")
                # Here, so that whoever only looks gives the answer of whoever loads.
                if not self._may_load(reader):
                    return Miss("unreadable")
                return take(reader)
            except ObjectNotFound:
                return Miss("absent")
            except StorageError as error:
                self._tell_store(error)
                return Miss("unavailable")
            except CorruptBlob as error:
                # The blob may have been replaced between two ranges: start over once.
                # Or only what lies near is damaged.
                self.store.distrust(blob_path(key))
                if attempt == 2:
                    self._tell_blob(key, error)
            except NewerBlob as error:
                self._tell_blob(key, error)
                return Miss("newer")
            except (BlobError, MemoryError) as error:
                self._tell_blob(key, error)
                return Miss("unreadable")
        return Miss("corrupt")

    def _may_load(self, reader: BlobReader) -> bool:
        try:
            reader.check_policy(self.settings.load_policy)
        except BlobError as error:
            # Once for all entries: it is a choice, and nothing is wrong with any of them.
            self.trouble.tell("load_policy", "Results that are pickles are computed at each call.", error)
            return False
        return True

    def _tell_store(self, error: CachestoreError) -> None:
        self.trouble.tell("store", "The store is ill: results are computed, and not shared.", error)

    def _tell_blob(self, key: str, error: Exception) -> None:
        self.trouble.tell(
            f"blob {key}", f"The entry {key[:12]} cannot be used; it is computed again and replaced.", error
        )


def _loaded(value: object) -> object:
    """Load an array that is in a store: the entry that it stands for may go before this one does."""
    import sys

    lazy_array = sys.modules.get("cachestore.cache.lazy_array")
    if lazy_array is None or not isinstance(value, lazy_array.LazyArray):
        return value
    array: object = value[...]
    return array


def _encoding_and_digest(value: object) -> tuple[str | None, str | None]:
    """Return what stands for a large value in keys, where it is an array, and its digest."""
    # The value is computed already: whatever it answers when it is asked for its size, it is returned and stored.
    try:
        size = getattr(value, "nbytes", None)
        if not isinstance(size, int) or size < _DIGESTED_FROM:
            return None, None
        from cachestore.keys.stand_ins import array_encoding

        encoding = array_encoding(value)
        if encoding is None or len(encoding) > _LONGEST_ENCODING:
            return None, digest(value)
        return encoding.hex(), digest_of(encoding)
    except Exception as error:  # noqa: BLE001
        _logger.info("A value of type %s has no digest: %s", type(value).__name__, error)
        return None, None


def _now() -> datetime:
    return datetime.now(UTC)
