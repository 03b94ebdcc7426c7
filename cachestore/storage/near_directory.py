"""A directory of copies: bounded in size, shared by the processes of a machine, never needed."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.storage.local_store import LocalStore
from cachestore.storage.paths import BLOBS, is_temporary

T = TypeVar("T")
# Takes a kind of trouble, what follows from it, and the error; says each kind once.
Tell = Callable[[str, str, Exception], None]

# A larger object would push out too much of what is of use.
_LARGEST = 1 / 4
# A look at the whole directory is due, on average, each time that this much of the limit was written ...
_LOOK = 1 / 64
# ... and leaves so much: between two looks the directory grows into the rest, and hardly ever beyond.
_LEFT = 7 / 8
_ABANDONED = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class _Copy:
    file: Path
    size: int
    used: int


class NearDirectory:
    """Keeps copies of objects, and gives up those that were not used for longest.

    The last use of a copy is its access time, set at each use: there is no index that could be wrong, and the
    modification time stays that of the content. Copies are whole, for they are renamed into place. Whoever
    reads one has it open, so that its removal disturbs nobody. Nothing here raises: a directory that is full,
    read-only or broken has no copies, and that is told.

    Parameters
    ----------
    root
        The directory, of one far store only.
    limit
        How many bytes of copies to keep.
    tell
        Says what is ill, and what follows.
    chance
        Gives random numbers from 0 to 1, for tests.

    Examples
    --------
    >>> import tempfile
    >>> near = NearDirectory(tempfile.mkdtemp(), limit=2**20, tell=print)
    >>> near.keep("blobs/a", b"some bytes")
    >>> near.read("blobs/a", lambda store: store.get_suffix("blobs/a", 5))
    b'bytes'
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        limit: int,
        tell: Tell,
        chance: Callable[[], float] = random.random,
    ) -> None:
        # What is lost or damaged with the power is asked for again.
        self.store = LocalStore(root, durable=False)
        self._limit = limit
        self._tell = tell
        self._chance = chance
        self._given_up = False

    @property
    def usable(self) -> bool:
        """Whether its copies may be read: not once one of them could not be removed."""
        return not self._given_up

    @property
    def largest(self) -> int:
        """How large a copy may be."""
        return int(self._limit * _LARGEST)

    def read(self, path: str, read: Callable[[LocalStore], T]) -> T | None:
        """Return what `read` reads of the copy, which counts as a use; None where there is none."""
        if self._given_up:
            return None
        try:
            data = read(self.store)
        except ObjectNotFound:
            return None
        except StorageError as error:
            self.tell_of(error)
            return None
        self._note_use(self._file(path))
        return data

    def file(self, path: str) -> Path | None:
        """Return the file of the copy, which counts as a use; None where there is none."""
        file = self._file(path)
        if self._given_up or _status(file) is None:
            return None
        self._note_use(file)
        return file

    def keep(self, path: str, data: bytes) -> None:
        """Keep what was read elsewhere, unless there is a copy: that one is as new, or newer."""
        if self._given_up or len(data) > self.largest:
            return
        try:
            self.store.create(path, data)
        except StorageError as error:
            self.tell_of(error)
        else:
            self.make_room(len(data))

    def begin(self, path: str) -> GrowingCopy:
        """Begin a copy that grows part by part and replaces the one that is there."""
        return GrowingCopy(self, path)

    def forget(self, paths: Iterable[str]) -> None:
        """Remove copies."""
        for path in paths:
            try:
                self.store.delete([path])
            except StorageError as error:
                # It would answer for what is gone or replaced.
                self._given_up = self._given_up or _status(self._file(path)) is not None
                self.tell_of(error)

    def make_room(self, added: int) -> None:
        """Note that `added` bytes were written, and now and then remove what was not used for longest."""
        # Decided by chance, so that many processes together look as often as one that writes as much, and none
        # has to know of the others, or to live long.
        if self._chance() * self._limit * _LOOK < added:
            try:
                self._evict()
            except OSError as error:
                self.tell_of(error)

    def tell_of(self, error: Exception) -> None:
        """Say that the directory is ill."""
        self._tell("near", "What lies near is left aside, and the far store is asked.", error)

    def _evict(self) -> None:
        # Two at once choose the same ones: removing what is gone already does no harm, and takes no more.
        copies = sorted(self._copies(), key=lambda copy: copy.used)
        excess = sum(copy.size for copy in copies) - int(self._limit * _LEFT)
        for copy in copies:
            if excess <= 0:
                return
            # What still waits to be sent to the far store has a second name, and stays.
            with suppress(FileNotFoundError):
                if copy.file.stat().st_nlink == 1:
                    copy.file.unlink()
                    excess -= copy.size

    def _copies(self) -> Iterator[_Copy]:
        folders = [self.store.directory() / BLOBS]
        while folders:
            with suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                        continue
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        if not is_temporary(entry.name):
                            yield _Copy(Path(entry.path), status.st_size, status.st_atime_ns)
                        elif time.time() - status.st_mtime > _ABANDONED:
                            Path(entry.path).unlink()

    def _file(self, path: str) -> Path:
        return self.store.directory() / path

    def _note_use(self, file: Path) -> None:
        # Only the owner may; of the copies of others the filesystem itself notes a use now and then.
        with suppress(OSError):
            os.utime(file, ns=(time.time_ns(), file.stat().st_mtime_ns))


def _status(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except OSError:
        return None


class GrowingCopy:
    """Takes the parts of an object; where the directory fails or the copy grows too large, there is none.

    Parameters
    ----------
    near
        The directory.
    path
        Where the object lies.
    """

    def __init__(self, near: NearDirectory, path: str) -> None:
        self._near = near
        self._path = path
        self._size = 0
        self._growing = near.store.growing(path)
        self._stream: BinaryIO | None = None
        if near.usable:
            try:
                self._stream = self._growing.__enter__()
            except StorageError as error:
                near.tell_of(error)

    @property
    def open(self) -> bool:
        """Whether it still grows."""
        return self._stream is not None

    def passing(self, parts: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        """Write the parts as they pass on their way to somebody else, whom no failure here concerns."""
        for part in parts:
            self.write(part)
            yield part

    def write(self, part: bytes | memoryview) -> None:
        """Write one part."""
        if self._stream is None:
            return
        self._size += len(part) if isinstance(part, bytes) else part.nbytes
        if self._size > self._near.largest:
            self.abandon()
            return
        try:
            self._stream.write(part)
        except OSError as error:
            self._near.tell_of(error)
            self.abandon()

    def abandon(self) -> None:
        """Leave nothing behind of what was written."""
        if self._stream is not None:
            self._stream = None
            reason = StorageError("The copy is not wanted.")
            with suppress(StorageError):
                self._growing.__exit__(StorageError, reason, None)

    def finish(self) -> None:
        """Give the copy its name. Where there is none, the one that was there goes, for it is of another put."""
        if self._stream is None:
            self._near.forget([self._path])
            return
        self._stream = None
        try:
            self._growing.__exit__(None, None, None)
        except StorageError as error:
            self._near.tell_of(error)
            self._near.forget([self._path])
        else:
            self._near.make_room(self._size)
