"""A directory as an object store: plain system calls, so that a hit imports nothing."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.storage.object_store import ObjectInfo, ObjectStore
from cachestore.storage.opened_file import OpenedFile
from cachestore.storage.paths import checked_path, temporary_path

_log = logging.getLogger(__name__)

# What network filesystems and busy machines answer before they recover.
TRANSIENT = {
    errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
    errno.ESTALE, errno.ETIMEDOUT,
}  # fmt: skip
# What a filesystem without hard links answers: FAT, exFAT, some network and FUSE mounts.
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
# Objects of fewer bytes are read with one call.
_SMALL = 16 * 2**10
_IGNORE_FILE = ".gitignore"


class LocalStore(ObjectStore):
    """Keeps objects as files below a directory, which the first put makes.

    A put writes a temporary file in the same directory, syncs it, renames it, and syncs the directory: a
    process or machine that dies at any moment leaves the old object, the new one, or a temporary file.

    Parameters
    ----------
    root
        The directory; made absolute, for the process may change its own later.
    durable
        Whether a put waits until what it wrote is on the disk. Without, a machine that loses its power may lose it,
        or keep a damaged file; a process that dies does no harm either way.

    Examples
    --------
    >>> import tempfile
    >>> store = LocalStore(Path(tempfile.mkdtemp()) / "store")
    >>> store.put("marks/a", [b"some ", b"bytes"])
    >>> store.get_suffix("marks/a", 5)
    b'bytes'
    """

    remote = False
    at_once = 1
    per_delete = 1

    def __init__(self, root: str | os.PathLike[str], *, durable: bool = True) -> None:
        self._root = Path(root).absolute()
        self._at = str(self._root)
        self._durable = durable
        self._marked = False

    @property
    def url(self) -> str:
        """Where the store is."""
        return self._at

    def directory(self) -> Path:
        """Return the directory that holds the store."""
        return self._root

    def close(self) -> None:
        """Do nothing: no file stays open between two operations."""

    def open(self, path: str) -> OpenedFile:
        """Open the object, to be read in pieces."""
        file = f"{self._at}/{checked_path(path)}"
        try:
            return OpenedFile(file, lambda error: self._failure("read", path, error))
        except OSError as error:
            raise self._failure("read", path, error) from error

    def at_hand(self, path: str) -> bytes | None:
        """Return the whole object if it is small and can be read; who must know why not asks again with `open`."""
        try:
            file = os.open(f"{self._at}/{checked_path(path)}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            data = os.read(file, _SMALL)
        except OSError:
            return None
        finally:
            os.close(file)
        return data if len(data) < _SMALL else None

    def get(self, path: str) -> bytes:
        """Return the whole object."""
        return self.open(path).range(0, sys.maxsize)

    def get_suffix(self, path: str, length: int) -> bytes:
        """Return the last `length` bytes, or the whole object when it is shorter."""
        return self.open(path).suffix(max(0, length))

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`."""
        return self.open(path).range(start, stop)

    def version(self, path: str) -> str:
        """Return which file it is, and when it was written."""
        with self._failures("read", path):
            status = self._absolute(path).stat()
            return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"

    def put(self, path: str, parts: Iterable[bytes | memoryview]) -> None:
        """Store the parts at `path`, whole or not at all."""
        with self.growing(path) as stream:
            for part in parts:
                stream.write(part)

    @contextmanager
    def growing(self, path: str) -> Iterator[BinaryIO]:
        """Open an object to write; it appears at `path`, whole, when the block ends well, and else not at all."""
        with self._failures("write", path):
            final = self._absolute(path)
            with self._opened_beside(final) as (temporary, stream):
                yield stream
                self._sync(stream)
                temporary.replace(final)
            self._sync_folder(final.parent)

    def create(self, path: str, data: bytes) -> bool:
        """Store `data` at `path` unless something is there."""
        with self._failures("create", path):
            final = self._absolute(path)
            with self._opened_beside(final) as (temporary, stream):
                stream.write(data)
                self._sync(stream)
                try:
                    # A link, unlike a rename, fails where there is something; and what it links is whole.
                    final.hardlink_to(temporary)
                except FileExistsError:
                    return False
                except OSError as error:
                    if error.errno not in NO_LINKS:
                        raise
                    if not _rename_new(temporary, final):
                        return False
            self._sync_folder(final.parent)
            return True

    def make_folder(self, path: str) -> Path:
        """Make a folder below the directory, open to whom the objects are open, and return where it is."""
        with self._failures("write", path):
            folder = self._absolute(path)
            if not self._marked or not self._root.exists():
                self._mark()
            self._make_folder(folder)
            return folder

    def delete(self, paths: Iterable[str]) -> None:
        """Remove the objects; absent ones are no error."""
        for path in paths:
            with self._failures("delete", path), suppress(FileNotFoundError, IsADirectoryError):
                self._absolute(path).unlink()

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Iterate over every object whose path begins with `prefix`."""
        folder = prefix.rpartition("/")[0]
        if folder:
            checked_path(folder)
        return self._walk(folder, prefix)

    def sweep_unfinished(self, older_than: timedelta, *, act: bool = True) -> int:
        """Do nothing: what is unfinished is a temporary file, and listed."""
        return 0

    def _walk(self, folder: str, prefix: str) -> Iterator[ObjectInfo]:
        folders = [folder]
        while folders:
            here = folders.pop()
            with self._failures("list", here):
                found = _scan(self._root, here)
            for path, info in found:
                if info is None:
                    # Of the folders on the way down only those that can hold a match.
                    if f"{path}/".startswith(prefix) or prefix.startswith(f"{path}/"):
                        folders.append(path)
                elif path.startswith(prefix):
                    yield info

    def _absolute(self, path: str) -> Path:
        return self._root / checked_path(path)

    @contextmanager
    def _opened_beside(self, final: Path) -> Iterator[tuple[Path, BinaryIO]]:
        """Open a temporary file beside `final`; whatever happens then, it does not stay."""
        if not self._marked:
            self._mark()
        temporary = Path(temporary_path(str(final)))
        try:
            file = _open_new(temporary)
        except FileNotFoundError:
            # The first object of its folder; or the whole directory was removed since it was marked.
            self._mark()
            self._make_folder(final.parent)
            file = _open_new(temporary)
        try:
            with os.fdopen(file, "wb") as stream:
                _adopt_group(file, self._root.stat())
                yield temporary, stream
        finally:
            with suppress(OSError):
                temporary.unlink()

    def _sync(self, stream: BinaryIO) -> None:
        stream.flush()
        if self._durable:
            os.fsync(stream.fileno())

    def _sync_folder(self, folder: Path) -> None:
        if self._durable:
            _sync_directory(folder)

    def _mark(self) -> None:
        """Make the directory, and keep it out of the user's git repository."""
        self._make_root()
        with suppress(FileExistsError), os.fdopen(_open_new(self._root / _IGNORE_FILE), "wb") as stream:
            _adopt_group(stream.fileno(), self._root.stat())
            stream.write(b"*\n")
        self._marked = True

    def _make_root(self) -> None:
        missing = []
        folder = self._root
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        location = folder.stat()
        # A set-group-id bit says that the place is a team's. Elsewhere the umask alone decides.
        shared = location if location.st_mode & stat.S_ISGID else None
        for new in reversed(missing):
            self._make_directory(new, shared)

    def _make_folder(self, folder: Path) -> None:
        """Make a folder of the store, and those above it that are missing."""
        location = self._root.stat()
        try:
            self._make_directory(folder, location)
        except FileNotFoundError:
            self._make_folder(folder.parent)
            self._make_directory(folder, location)

    def _make_directory(self, folder: Path, location: os.stat_result | None) -> None:
        _make_directory(folder, location)
        self._sync_folder(folder.parent)

    @contextmanager
    def _failures(self, verb: str, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._failure(verb, path, error) from error

    def _failure(self, verb: str, path: str, error: OSError) -> StorageError:
        if isinstance(error, FileNotFoundError | IsADirectoryError):
            if verb == "read":
                return ObjectNotFound(f"There is no object {path} in {self._root}.")
            # Somebody removes files or folders under our feet.
            return StorageError(
                f"Cannot {verb} {path!r} in {self._root}: {error.strerror}. "
                "Leave the files of the store to cachestore, and try again.",
                transient=True,
            )
        return StorageError(
            f"Cannot {verb} {path!r} in {self._root}: {error.strerror}. {_advice(error.errno)}",
            transient=error.errno in TRANSIENT,
        )


def _scan(root: Path, folder: str) -> list[tuple[str, ObjectInfo | None]]:
    """Return what lies in a folder: objects, and None for a folder."""
    found: list[tuple[str, ObjectInfo | None]] = []
    try:
        entries = os.scandir(root / folder)
    except FileNotFoundError:
        return found
    except NotADirectoryError:
        # Nothing lies below an object. The store itself, though, has to be a directory.
        if root.is_dir():
            return found
        raise
    with entries:
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir():
                found.append((path, None))
            elif path != _IGNORE_FILE:
                # Somebody else may delete while we list.
                with suppress(FileNotFoundError):
                    status = entry.stat()
                    modified = datetime.fromtimestamp(status.st_mtime, UTC)
                    found.append((path, ObjectInfo(path, status.st_size, modified)))
    return found


def _open_new(path: Path) -> int:
    # The kernel takes the umask off, which no thread can ask for safely; mkstemp's 0600 would stay after the
    # rename, and no teammate could read the object.
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _rename_new(temporary: Path, final: Path) -> bool:
    """Rename unless something is there; the processes of one machine take turns, those of several do without."""
    with locked(final.parent):
        if final.exists():
            return False
        temporary.rename(final)
        return True


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, for a moment; it goes with the process."""
    with _opened_directory(folder) as directory:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            # A child forked meanwhile has the descriptor too, and would keep the lock.
            fcntl.flock(directory, fcntl.LOCK_UN)


def _make_directory(folder: Path, location: os.stat_result | None) -> None:
    try:
        folder.mkdir()
    except FileExistsError:
        # Somebody else was faster.
        return
    if location is not None:
        with _opened_directory(folder) as directory:
            _adopt_group(directory, location)


def _adopt_group(new: int, location: os.stat_result) -> None:
    """Give a new file or directory the group of the location, and what that group may do there."""
    status = os.fstat(new)
    if status.st_gid != location.st_gid:
        try:
            os.fchown(new, -1, location.st_gid)
        except PermissionError:
            # Not a member, or a filesystem without owners. The rights were meant for the location's group.
            return
    rights = location.st_mode & (0o2070 if stat.S_ISDIR(status.st_mode) else 0o060)
    if rights & ~status.st_mode:
        os.fchmod(new, stat.S_IMODE(status.st_mode) | rights)


def _sync_directory(folder: Path) -> None:
    # Without this a power failure may take back the rename after the put has returned.
    with _opened_directory(folder) as directory:
        try:
            os.fsync(directory)
        except OSError as error:
            # Some network filesystems cannot sync directories; they order renames themselves.
            if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
                raise
            _log.debug("%s cannot be synced: %s", folder, error)


@contextmanager
def _opened_directory(folder: Path) -> Iterator[int]:
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield directory
    finally:
        os.close(directory)


def _advice(number: int | None) -> str:
    if number in {errno.EACCES, errno.EPERM}:
        return (
            "Ask the owner for access (a shared directory wants one group and `chmod -R g+rwXs`), "
            "or choose another location."
        )
    if number in {errno.ENOSPC, errno.EDQUOT}:
        return "Free some space (`cachestore gc` shows what can go), or choose another location."
    if number == errno.ENOTDIR:
        return "A file is where a directory should be: remove it, or choose another location."
    if number == errno.EROFS:
        return "The filesystem is mounted read-only: choose another location to store results."
    return "Try again; if that does not help, look at the disk or choose another location."
