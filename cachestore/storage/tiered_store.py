"""A near directory before a far store: what was used here is read here."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import chain, takewhile
from pathlib import Path

from cachestore.errors import ObjectNotFound
from cachestore.in_order import in_order
from cachestore.storage.near_directory import NearDirectory, Tell
from cachestore.storage.object_store import ObjectInfo, ObjectStore
from cachestore.storage.paths import BLOBS, key_of
from cachestore.storage.stored_object import RangedObject, StoredObject
from cachestore.storage.waiting import Waiting

# A reader has the last MiB when it asks for the rest, from 0 on. Asking for so much more shows whether the rest
# was all: then the object is here whole, and is kept.
_TAIL = 2**20 + 1
_WINDOW = 8 * 2**20
_WINDOWS_AT_ONCE = 4
# Larger objects are not held in memory to be put near first: they pass to both at once.
_MOST_COLLECTED = 32 * 2**20


class TieredStore:
    """Reads blobs from a near directory, else from the far store, and keeps near what it read whole.

    The far store is the truth, and all other objects (marks, versions, `store.json`) are only there. Kept are
    objects that came whole: by `get`, by a suffix longer than they are, by a range from 0 to their last MiB.
    Other ranges, the pieces of large objects, are passed on; `fetch` brings one near whole. A copy that was
    made here answers here until it is given up, even if another machine deletes or replaces the object: both
    are values of the same call. What is read is checked by its reader, not here.

    Parameters
    ----------
    far
        The store that keeps everything.
    near
        A directory of this machine, for this far store only.
    limit
        How many bytes to keep near. An object larger than a quarter of it is not kept.
    write_behind
        Whether puts of blobs return when they are whole near, and are sent to the far store in the background.
        At most a quarter of `limit` waits, of all processes together; further puts are sent at once. What waits is
        sent at exit, before a listing and by `flush`; what a process that was killed left, the next one sends that
        is opened so.
    tell
        Says what is ill, once for each kind, and what follows: `Trouble.tell`.

    Examples
    --------
    >>> import tempfile
    >>> from cachestore.storage import LocalStore, blob_path
    >>> far = LocalStore(tempfile.mkdtemp())
    >>> store = TieredStore(far, tempfile.mkdtemp(), limit=2**30, tell=print)
    >>> path = blob_path(64 * "a")
    >>> store.put(path, [b"1"])
    >>> far.get(path), store.at_hand(path)
    (b'1', b'1')
    """

    def __init__(
        self,
        far: ObjectStore,
        near: str | os.PathLike[str],
        *,
        limit: int,
        write_behind: bool = False,
        tell: Tell,
    ) -> None:
        self._far = far
        self._near = NearDirectory(near, limit=limit, tell=tell)
        # Without write-behind too: other processes may use it, and leave something.
        self._waiting = Waiting(self._near, far, most=self._near.largest, tell=tell)
        self._write_behind = write_behind
        weakref.finalize(self, self._waiting.retire).atexit = False
        if write_behind:
            # Not only once something is put: a process that finds all it asks for puts nothing.
            self._waiting.send_left()

    @property
    def url(self) -> str:
        """Where the far store is."""
        return self._far.url

    @property
    def remote(self) -> bool:
        """Whether the far store is across a network."""
        return self._far.remote

    @property
    def at_once(self) -> int:
        """How many requests to the far store are worth having under way."""
        return self._far.at_once

    @property
    def per_delete(self) -> int:
        """How many objects one request to the far store deletes."""
        return self._far.per_delete

    def sweep_unfinished(self, older_than: timedelta, *, act: bool = True) -> int:
        """Remove what unfinished puts left in the far store where no listing shows it."""
        return self._far.sweep_unfinished(older_than, act=act)

    def directory(self) -> Path | None:
        """Return the far store's directory."""
        return self._far.directory()

    def close(self) -> None:
        """Send what waits, and close the far store."""
        self._waiting.flush_quietly()
        self._far.close()

    def flush(self) -> None:
        """Send all that waits to the far store, and what dead processes left.

        Raises
        ------
        StorageError
            If the far store does not take something; it keeps waiting.
        """
        self._waiting.flush()
        self._far.flush()

    def open(self, path: str) -> StoredObject:
        """Open the near copy; where there is none, each piece is asked for."""
        near = self._near.read(path, lambda near: near.open(path)) if key_of(path) else None
        return near or RangedObject(self, path)

    def open_near(self, path: str) -> StoredObject:
        """Open the near copy."""
        near = self._near.read(path, lambda near: near.open(path)) if key_of(path) else None
        if near is None:
            raise ObjectNotFound(f"{path} of {self.url} does not lie near.")
        return near

    def at_hand(self, path: str) -> bytes | None:
        """Return the near copy if it is small."""
        return self._near.read(path, lambda near: near.at_hand(path)) if key_of(path) else None

    def get(self, path: str) -> bytes:
        """Return the whole object."""
        if key_of(path) is None:
            return self._far.get(path)
        data = self._near.read(path, lambda near: near.get(path))
        if data is None:
            data = self._far.get(path)
            self._near.keep(path, data)
        return data

    def get_suffix(self, path: str, length: int) -> bytes:
        """Return the last `length` bytes, or the whole object when it is shorter."""
        if key_of(path) is None:
            return self._far.get_suffix(path, length)
        data = self._near.read(path, lambda near: near.get_suffix(path, length))
        if data is None:
            data = self._far.get_suffix(path, length)
            if len(data) < length:
                self._near.keep(path, data)
        return data

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`."""
        if key_of(path) is None:
            return self._far.get_range(path, start, stop)
        data = self._near.read(path, lambda near: near.get_range(path, start, stop))
        if data is not None:
            return data
        if start > 0 or stop <= start:
            return self._far.get_range(path, start, stop)
        data = self._far.get_range(path, 0, stop + _TAIL)
        if len(data) < stop + _TAIL:
            self._near.keep(path, data)
        return data[:stop]

    def fetch(self, path: str, size: int) -> None:
        """Bring an object near whole, unless it is there, or larger than what is kept.

        Raises
        ------
        ObjectNotFound
            If there is no such object.
        StorageError
            If the store does not answer, or refuses.
        """
        if key_of(path) is None or size > self._near.largest or self._near.file(path) is not None:
            return
        copy = self._near.begin(path)
        try:
            # Pieces of two objects, should it be replaced meanwhile, make a copy that its reader refuses.
            pieces = in_order(
                lambda start: self._far.get_range(path, start, min(start + _WINDOW, size)),
                # None is asked for any more once the near directory has failed.
                takewhile(lambda _: copy.open, range(0, size, _WINDOW)),
                at_once=min(_WINDOWS_AT_ONCE, self.at_once),
            )
            for piece in pieces:
                copy.write(piece)
        except BaseException:
            copy.abandon()
            raise
        copy.finish()

    def keep_near(self, path: str, parts: Iterable[bytes | memoryview], size: int) -> bool:
        """Keep another form of a blob near, in place of its copy, unless it is larger than what is kept."""
        if key_of(path) is None or size > self._near.largest:
            return False
        copy = self._near.begin(path)
        try:
            for part in parts if copy.open else ():
                copy.write(part)
                if not copy.open:
                    break
        except BaseException:
            copy.abandon()
            raise
        if not copy.open:
            return False  # the copy that is there stays: it is of the same object
        copy.finish()
        return True

    def distrust(self, path: str) -> None:
        """Remove the copy of an object that its reader found damaged; the next read asks the far store."""
        if key_of(path) is not None:
            # Nor shall it reach the far store, should it wait for that.
            self._waiting.forget([path])
            self._near.forget([path])
        self._far.distrust(path)

    def version(self, path: str) -> str:
        """Return what changes when another object takes the place of the one in the far store."""
        return self._far.version(path)

    def put(self, path: str, parts: Iterable[bytes | memoryview]) -> None:
        """Store the parts at `path`; write-behind, they are near when this returns, and whole."""
        if key_of(path) is None:
            self._far.put(path, parts)
            return
        if self._write_behind:
            collected, parts = _collected(parts)
            if collected is not None and self._waiting.add(path, collected):
                return
        # Of two puts the first shall not arrive last.
        copy = self._near.begin(path)
        try:
            with self._waiting.replacing(path):
                self._far.put(path, copy.passing(parts))
        except BaseException:
            copy.abandon()
            raise
        copy.finish()

    def put_near(self, path: str, parts: Iterable[bytes | memoryview]) -> bool:
        """Store write-behind, and send nothing now: the next put does, `flush`, or the next process."""
        if not self._write_behind or key_of(path) is None:
            return False
        collected, _ = _collected(parts)
        return collected is not None and self._waiting.add(path, collected, sends=False)

    def create(self, path: str, data: bytes) -> bool:
        """Store `data` at `path` unless something is there."""
        if key_of(path) is None:
            return self._far.create(path, data)
        self._waiting.flush_quietly()
        created = self._far.create(path, data)
        if created:
            self._near.forget([path])
        return created

    def delete(self, paths: Iterable[str]) -> None:
        """Remove the objects from both; absent ones are no error."""
        every = list(paths)
        blobs = {path for path in every if key_of(path) is not None}
        self._waiting.forget(blobs)
        self._far.delete(every)
        # Afterwards, for until then a reader may fetch them again.
        self._near.forget(blobs)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Iterate over every object of the far store whose path begins with `prefix`."""
        if prefix.startswith(BLOBS) or BLOBS.startswith(prefix):
            self._waiting.flush_quietly()
        return self._far.list(prefix)


def _collected(
    parts: Iterable[bytes | memoryview],
) -> tuple[memoryview | None, Iterable[bytes | memoryview]]:
    """Return all parts joined, or None where they are too much for memory; and an iterable of all of them."""
    taken = bytearray()
    rest = iter(parts)
    for part in rest:
        # Copied here: whoever made the part may use its memory again once the next one is asked for.
        taken += part
        if len(taken) > _MOST_COLLECTED:
            return None, chain([memoryview(taken)], rest)
    joined = memoryview(taken)
    return joined, [joined]
