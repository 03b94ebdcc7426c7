"""The contract of an object store: bytes at paths, whole or absent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from cachestore.storage.stored_object import StoredObject


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """Says of one object what a listing knows.

    Parameters
    ----------
    path
        Relative to the store.
    size
        In bytes.
    modified
        When it was last put, by the store's clock; aware, UTC.
    """

    path: str
    size: int
    modified: datetime


class ObjectStore(Protocol):
    """Keeps bytes at paths such as `blobs/ab/abcd`; safe to use from several threads and after a fork.

    Every operation raises `StorageError` and nothing else: `ObjectNotFound` where there is no object,
    otherwise with `transient` saying whether to try again. A path that leads out of the store is a
    `ValueError`, a mistake of the caller.

    A store that inherits from this has nothing nearer, and its puts return when they are done.
    """

    @property
    def url(self) -> str:
        """Where the store is, without secrets; for messages."""

    @property
    def remote(self) -> bool:
        """Whether operations cross a network."""

    def open(self, path: str) -> StoredObject:
        """Open the object, to be read in pieces.

        Raises
        ------
        ObjectNotFound
            If it is a file and there is none; elsewhere the first piece that is asked for says so.
        StorageError
            If the file cannot be opened.
        """

    def open_near(self, path: str) -> StoredObject:
        """Open what lies on this machine of the object, and ask nothing over a network.

        Raises
        ------
        ObjectNotFound
            If nothing does.
        StorageError
            If the file cannot be opened.
        """
        return self.open(path)

    @property
    def at_once(self) -> int:
        """How many requests are worth having under way at once: 1 where nobody waits."""

    @property
    def per_delete(self) -> int:
        """How many objects one request deletes."""

    def at_hand(self, path: str) -> bytes | None:
        """Return a whole object if it is small and lies on this machine, at the least cost; None is no answer."""

    def get(self, path: str) -> bytes:
        """Return the whole object."""

    def get_suffix(self, path: str, length: int) -> bytes:
        """Return the last `length` bytes, or the whole object when it is shorter.

        An empty object answers `b""`, whether the server calls that a range error or not.
        """

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`; as in a slice, what lies beyond the end is missing."""

    def version(self, path: str) -> str:
        """Return what changes when an object of other bytes takes this one's place, without reading it."""

    def put(self, path: str, parts: Iterable[bytes | memoryview]) -> None:
        """Store the parts, joined, at `path`, replacing what was there.

        Whole or absent: readers see the old object or the new one, and if the parts or the store fail,
        or the process is killed, what was there stays. The last of several puts wins. The parts are taken once, as
        they are sent, and never held together in memory but where the store is memory. Whoever makes them may use the
        memory of one again once the next is asked for.
        """

    def put_near(self, path: str, parts: Iterable[bytes | memoryview]) -> bool:
        """Store the parts so that they wait on this machine to be sent later; False where nothing waits."""
        return False

    def create(self, path: str, data: bytes) -> bool:
        """Store `data` at `path` unless something is there, and return whether it is now this call's.

        Of several at once exactly one wins, as long as each gives data of its own (a random id): where a
        reply may be lost, finding exactly `data` there counts as having put it. The server is believed: some refuse
        such puts, and some overwrite what is there (`probe_conditional_put` finds out). There this fails, or the last
        one wins.
        """

    def delete(self, paths: Iterable[str]) -> None:
        """Remove the objects; absent ones are no error."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Iterate over every object whose path begins with `prefix`, in no particular order.

        What unfinished puts left behind is listed as well (see `paths.is_temporary`).
        """

    def sweep_unfinished(self, older_than: timedelta, *, act: bool = True) -> int:
        """Remove what unfinished puts left behind where no listing shows it, and return how many they are.

        Parameters
        ----------
        older_than
            By the store's clock; younger ones may be under way.
        act
            False only counts them.
        """

    def fetch(self, path: str, size: int) -> None:
        """Learn that an object of `size` bytes will be read whole; a store with near copies makes one."""
        return

    def keep_near(self, path: str, parts: Iterable[bytes | memoryview], size: int) -> bool:
        """Keep another form of an object near, in place of its copy; False where nothing of it is kept near.

        Parameters
        ----------
        path
            Where the object lies.
        parts
            The other form; not iterated over where it is not kept.
        size
            About how many bytes it has.
        """
        return False

    def distrust(self, path: str) -> None:
        """Learn that what was read here is damaged; a near copy of it goes, and the next read asks further away."""
        return

    def flush(self) -> None:
        """Wait until all that was put is where others find it; only a store that writes behind has to.

        Raises
        ------
        StorageError
            If something cannot be put there.
        """
        return

    def directory(self) -> Path | None:
        """Return the local directory that holds the store, when there is one."""

    def close(self) -> None:
        """Let go of connections; the store may be used again and then makes new ones."""
