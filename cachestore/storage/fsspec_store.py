"""Any fsspec filesystem as an object store."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.settings.settings import without_password
from cachestore.storage.deadline import LISTING, allowance, expect, remaining, uncounted
from cachestore.storage.failures import AlreadyThere, BeyondTheEnd, failure, told
from cachestore.storage.gathering import gathered
from cachestore.storage.object_store import ObjectInfo, ObjectStore
from cachestore.storage.paths import checked_path, temporary_path
from cachestore.storage.stored_object import RangedObject, StoredObject

_log = logging.getLogger(__name__)

# How large an object may be that is read whole, as far as the deadline goes: blobs are read by suffix and ranges.
_UNKNOWN_SIZE = 2**20

# When an object was put, under whichever name a filesystem keeps that.
_PUT = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")
# Neither does reading an object change these, as it may change the time of the last look at it.
_OF_A_VERSION = (
    *_PUT, "size", "ETag", "etag", "generation", "md5", "Content-MD5", "Digest", "Last-Modified", "modify",
    "last_write_time",
)  # fmt: skip

# Filesystems made before a fork. They are the parent's: closing one here would disturb its event loop.
_left_to_the_parent: list[Any] = []

# Where a filesystem has no exclusive create of its own, the threads of one process at least take turns.
_turns = threading.Lock()
# Of many threads that come first one makes the filesystem.
_making = threading.Lock()


def _take_turns_anew() -> None:
    global _turns, _making
    _turns, _making = threading.Lock(), threading.Lock()


# Another thread of the parent may hold the lock at the fork, and is not there to release it.
os.register_at_fork(after_in_child=_take_turns_anew)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Says what a filesystem can do; the defaults suit a file server that promises nothing.

    Parameters
    ----------
    remote
        Operations cross a network.
    suffix_ranges
        A negative start is one request; elsewhere the size is asked for first.
    whole_puts
        A file appears when it is complete; elsewhere it is written beside and moved.
    exclusive_creates
        `mode="create"` is decided by the server; elsewhere it is looked at, then written.
    """

    remote: bool = True
    suffix_ranges: bool = False
    whole_puts: bool = False
    exclusive_creates: bool = False


class FsspecStore(ObjectStore):
    """Keeps objects on an fsspec filesystem, which is made at the first operation and again after a fork.

    Listings are never cached, and nothing is looked for before it is read.

    Parameters
    ----------
    location
        An fsspec URL.
    storage_options
        The options of the filesystem.
    capabilities
        What the filesystem can do.
    timeout
        Seconds that one small request may take where no deadline says otherwise.

    Examples
    --------
    >>> store = FsspecStore("memory://example", capabilities=Capabilities(remote=False, whole_puts=True))
    >>> store.put("marks/a", [b"some ", b"bytes"])
    >>> store.get_suffix("marks/a", 5)
    b'bytes'
    """

    per_delete = 1

    def __init__(
        self,
        location: str,
        *,
        storage_options: Mapping[str, Any] | None = None,
        capabilities: Capabilities,
        timeout: float = 5.0,
    ) -> None:
        self._location = location.rstrip("/") if not location.endswith("://") else location
        self._options = dict(storage_options or {})
        self._can = capabilities
        self._timeout = timeout
        self._made: tuple[int, Any, str] | None = None

    @property
    def url(self) -> str:
        """Where the store is, without secrets."""
        return without_password(self._location) or ""

    @property
    def remote(self) -> bool:
        """Whether operations cross a network."""
        return self._can.remote

    @property
    def at_once(self) -> int:
        """How many requests are worth having under way."""
        return 16 if self._can.remote else 1

    def sweep_unfinished(self, older_than: timedelta, *, act: bool = True) -> int:
        """Do nothing: what is unfinished is in the listing, or the server's own to remove."""
        return 0

    def directory(self) -> Path | None:
        """Return None: what lies behind a URL is no directory of this machine."""
        return None

    def close(self) -> None:
        """Let go of the filesystem; the next operation makes another."""
        self._made = None

    def open(self, path: str) -> StoredObject:
        """Return the object, to be read in pieces; the first of them says whether it is there."""
        return RangedObject(self, path)

    def at_hand(self, path: str) -> None:
        """Return nothing: no object is."""

    def get(self, path: str) -> bytes:
        """Return the whole object."""
        return self._read(path, size=_UNKNOWN_SIZE)

    def get_suffix(self, path: str, length: int) -> bytes:
        """Return the last `length` bytes, or the whole object when it is shorter."""
        if length <= 0:
            return b""
        if self._can.suffix_ranges:
            return self._read(path, start=-length, size=length)
        size = int(self._info(path)["size"])
        return self.get_range(path, max(0, size - length), size)

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`."""
        if stop <= start:
            return b""
        return self._read(path, start=start, end=stop, size=stop - start)

    def version(self, path: str) -> str:
        """Return what the filesystem knows that another object would not have; of some no more than its size."""
        info = self._info(path)
        return repr([(name, info[name]) for name in _OF_A_VERSION if name in info])

    def put(self, path: str, parts: Iterable[bytes | memoryview]) -> None:
        """Store the parts at `path`, whole or not at all; more than 8 MiB pass through a file of this machine.

        All parts are here before the first byte leaves: a part that fails leaves nothing behind. Filesystems that
        upload as they are written to finish half an object when that fails, and few of them can be told not to.
        """
        if not self._can.remote:
            self._write(path, b"".join(map(bytes, parts)))
            return
        every = gathered(parts)
        first = next(every, b"")
        second = next(every, None)
        if second is None:
            self._write(path, first)
            return
        with _temporary_file(self._attempt("write", path)) as (write, name):
            size = sum(map(write, chain((first, second), every)))
            self._write_file(path, name, size)

    def create(self, path: str, data: bytes) -> bool:
        """Store `data` at `path` unless something is there."""
        if self._can.exclusive_creates:
            return self._create_exclusively(path, data)
        with _turns:
            there = self._lies_there(path)
            if there is not None:
                # Our own, where the reply to an earlier try was lost.
                return there == data
            self._write(path, data)
        # Another process may have written between look and write. The last one wins: see whether we are it.
        return self._lies_there(path) == data

    def delete(self, paths: Iterable[str]) -> None:
        """Remove the objects; absent ones are no error."""
        for path in paths:
            with suppress(ObjectNotFound):
                self._call("rm_file", self._full(path), attempt=self._attempt("delete", path), absent=True)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Iterate over every object whose path begins with `prefix`."""
        folder = prefix.rpartition("/")[0]
        if folder:
            checked_path(folder)
        return self._listed(prefix, folder)

    def _listed(self, prefix: str, folder: str) -> Iterator[ObjectInfo]:
        _, root = self._filesystem()
        start = f"{root}/{folder}" if folder else root
        try:
            found: Mapping[str, Mapping[str, Any]] = self._call(
                "find",
                start,
                detail=True,
                attempt=self._attempt("list", prefix),
                absent=True,
                seconds=LISTING,
            )
        except ObjectNotFound:
            return
        if not isinstance(found, Mapping):  # adlfs, where the folder is an object: nothing lies below it
            return
        for name, info in found.items():
            path = name.removeprefix(root).lstrip("/")
            # Folder markers of consoles are no objects of ours.
            if path.startswith(prefix) and not path.endswith("/") and info.get("type", "file") == "file":
                yield ObjectInfo(path, int(info["size"]), modified_of(info))

    def _read(self, path: str, *, start: int | None = None, end: int | None = None, size: int) -> bytes:
        full = self._full(path)
        try:
            data: bytes = self._call(
                "cat_file", full, start=start, end=end,
                attempt=self._attempt("read", path), absent=True, size=size,
            )  # fmt: skip
        except BeyondTheEnd:
            # As a slice: of an empty object every range is empty.
            return b""
        return data

    def _write(self, path: str, data: bytes) -> None:
        self._place(path, lambda call, full: call("pipe_file", full, data), len(data))

    def _write_file(self, path: str, name: str, size: int) -> None:
        self._place(path, lambda call, full: call("put_file", name, full), size)

    def _place(self, path: str, write: Callable[[Callable[..., Any], str], object], size: int) -> None:
        full = self._full(path)
        call = partial(self._call, attempt=self._attempt("write", path), size=size)
        if self._can.whole_puts:
            write(call, full)
            return
        call("makedirs", full.rpartition("/")[0], exist_ok=True)
        temporary = temporary_path(full)
        try:
            write(call, temporary)
            call("mv", temporary, full)
        except BaseException:
            with suppress(StorageError):
                call("rm_file", temporary)
            raise

    def _create_exclusively(self, path: str, data: bytes) -> bool:
        try:
            self._write_new(path, data)
        except AlreadyThere:
            # Our own put may have won: the HTTP client sends it again if a connection broke before the reply.
            return self._lies_there(path) == data
        return True

    def _write_new(self, path: str, data: bytes) -> None:
        attempt = self._attempt("create", path)
        self._call("pipe_file", self._full(path), data, mode="create", attempt=attempt, size=len(data))

    def _lies_there(self, path: str) -> bytes | None:
        try:
            return self.get(path)
        except ObjectNotFound:
            return None

    def _info(self, path: str) -> Mapping[str, Any]:
        info: Mapping[str, Any] = self._call(
            "info", self._full(path), attempt=self._attempt("read", path), absent=True
        )
        if info.get("type") == "directory":
            raise ObjectNotFound(f"{self._attempt('read', path)}: there is no such object.")
        return info

    def _attempt(self, verb: str, path: str) -> str:
        return f"Cannot {verb} {path!r} in {self.url}"

    def _full(self, path: str) -> str:
        return f"{self._filesystem()[1]}/{checked_path(path)}"

    def _filesystem(self) -> tuple[Any, str]:
        """Return the filesystem of this process, and the store's root on it."""
        made = self._made
        if made is not None and made[0] == os.getpid():
            return made[1], made[2]
        # Packages are imported, options read: a slow machine is no slow store.
        with uncounted(), _making:
            if self._made is not made and self._made is not None:
                return self._made[1], self._made[2]
            if made is not None:
                _left_to_the_parent.append(made[1])
            try:
                filesystem, root = self._make()
            except Exception as error:
                raise self._failure(error, f"Cannot open {self.url}", absent=False) from error
            self._made = (os.getpid(), filesystem, root)
            return filesystem, root

    def _make(self) -> tuple[Any, str]:
        from fsspec.registry import get_filesystem_class

        protocol = self._location.partition("://")[0]
        kind = get_filesystem_class(protocol)
        # An instance of our own: the options are ours, and so is the moment at which it is dropped.
        options = {"skip_instance_cache": True, "use_listings_cache": False, **self._options}
        filesystem = kind(**kind._get_kwargs_from_urls(self._location), **options)
        return filesystem, str(kind._strip_protocol(self._location)).rstrip("/")

    def _call(
        self,
        method: str,
        *arguments: Any,
        attempt: str,
        absent: bool = False,
        seconds: float = 0.0,
        size: int = 0,
        **options: Any,
    ) -> Any:
        """Call a method of the filesystem and give up at the deadline, which `size` bytes put off."""
        filesystem, _ = self._filesystem()
        expect(size)
        wait = remaining(self._timeout + seconds + allowance(size))
        try:
            if wait <= 0:
                raise TimeoutError("no time left")
            if getattr(filesystem, "async_impl", False):
                from fsspec.asyn import sync

                # Unlike a wait for a thread, this cancels the request.
                return sync(
                    filesystem.loop, getattr(filesystem, f"_{method}"), *arguments, timeout=wait, **options
                )
            call = getattr(filesystem, method)
            if not self._can.remote:
                return call(*arguments, **options)
            return _in_time(lambda: call(*arguments, **options), wait)
        except Exception as error:
            raise self._failure(error, attempt, absent=absent) from error

    def _failure(self, error: Exception, attempt: str, *, absent: bool) -> StorageError:
        if isinstance(error, StorageError):
            return error
        if isinstance(error, FileExistsError):
            return AlreadyThere(f"{attempt}: something is there already.")
        return failure(error, attempt, absent=absent)


def modified_of(info: Mapping[str, Any]) -> datetime:
    """Return when an object was put, under whichever name a filesystem keeps that.

    Examples
    --------
    >>> modified_of({"mtime": 0.0}).isoformat()
    '1970-01-01T00:00:00+00:00'
    """
    for name in _PUT:
        value = info.get(name)
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        elif isinstance(value, int | float):
            value = datetime.fromtimestamp(value, UTC)
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    # Unknown is new: nothing is swept for an age that nobody knows.
    return datetime.now(UTC)


@contextmanager
def _temporary_file(attempt: str) -> Iterator[tuple[Callable[[bytes], int], str]]:
    """Open a file of this machine, and yield what appends to it and its name; it is removed in the end.

    What goes wrong with the file is an error of storage; who makes the bytes has errors of its own.
    """
    try:
        file = tempfile.NamedTemporaryFile(prefix="cachestore-", buffering=0)  # noqa: SIM115 - closed below
    except OSError as error:
        raise _no_room(error, attempt) from error

    def append(data: bytes) -> int:
        left = memoryview(data)
        try:
            while left:
                left = left[file.write(left) :]
        except OSError as error:
            raise _no_room(error, attempt) from error
        return len(data)

    try:
        yield append, file.name
    finally:
        with suppress(OSError):
            file.close()


def _no_room(error: OSError, attempt: str) -> StorageError:
    place = tempfile.tempdir or "the directory for temporary files"
    return StorageError(
        f"{attempt}: a large value passes through a file of this machine ({told(error)}). "
        f"Free space in {place}, or name another directory for temporary files in TMPDIR."
    )


def _in_time(call: Callable[[], Any], seconds: float) -> Any:
    """Call in another thread and leave it behind when it takes too long: what blocks cannot be cancelled."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append((True, call()))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            outcome.append((False, error))

    # A daemon: a server that hangs does not keep the process from ending.
    thread = threading.Thread(target=work, name="cachestore-storage", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"nothing for {seconds:.1f} s")
    good, value = outcome[0]
    if not good:
        raise value
    return value
