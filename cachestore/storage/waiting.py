"""What was put near and waits to be sent to the far store, and survives the process that put it.

Each process has a folder `waiting/<16 hex>` in the near directory, and holds its lock as long as it lives. A file
in it is a second name of a near object, `<16 hex>-<key>`, numbered in the order of the puts; it goes when the
object has arrived. A folder that can be locked belongs to nobody alive: whoever finds it sends what it holds.
"""

from __future__ import annotations

import atexit
import fcntl
import itertools
import os
import sys
import threading
import time
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cachestore.errors import StorageError
from cachestore.storage.local_store import NO_LINKS, TRANSIENT, LocalStore, locked
from cachestore.storage.near_directory import NearDirectory, Tell
from cachestore.storage.object_store import ObjectStore
from cachestore.storage.paths import blob_path, key_of

_FOLDER = "waiting"
_PIECE = 8 * 2**20
# After this many seconds what the far store did not take is sent again.
_PAUSE = 30.0
# Who is refused so often in one go may put nothing, it seems: the rest is not even tried.
_REFUSALS = 3


@dataclass(frozen=True, slots=True)
class _Object:
    path: str
    file: Path
    size: int


class Waiting:
    """Sends objects to the far store from a thread of its own, in the order in which they were put.

    What the far store does not take keeps waiting: what it refuses, behind the rest and for a pause. Who has nothing
    of its own to send leaves what the dead left, once it was refused, to a process that may send it.

    Parameters
    ----------
    near
        Where the objects are, whole.
    far
        Where they are to go.
    most
        How many bytes may wait, of all processes of the machine together.
    tell
        Says what could not be sent.
    """

    def __init__(self, near: NearDirectory, far: ObjectStore, *, most: int, tell: Tell) -> None:
        self._near = near
        self._far = far
        self._most = most
        self._tell = tell
        self._retired = False
        # What waits is nowhere else: it shall not arrive damaged after the machine has lost its power.
        self._store = LocalStore(near.store.directory())
        self._root = near.store.directory() / _FOLDER
        self._renew()
        _every.add(self)

    def _renew(self) -> None:
        self._objects: dict[Path, _Object] = {}
        self._numbers = itertools.count()
        self._folder: Path | None = None
        # The open folders whose locks are ours: our own, and those of the dead.
        self._held: dict[Path, int] = {}
        # Of all that follows but `_sending`, which is held for a whole round of sending.
        self._lock = threading.Condition()
        self._sending = threading.Lock()
        self._under_way: str | None = None
        self._replaced: list[str] = []
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._paused_until = 0.0

    def after_fork(self) -> None:
        """Leave what waits to the parent, which is alive and keeps its locks."""
        for folder in self._held.values():
            os.close(folder)
        self._renew()

    def add(self, path: str, data: memoryview, *, sends: bool = True) -> bool:
        """Keep an object near and let it wait; False where too much waits, or the near directory fails.

        Parameters
        ----------
        sends
            Whether it is sent as soon as that can be; else with the next one that is, by `flush`, or by the next
            process.
        """
        try:
            with self._lock:
                if not self._near.usable or len(data) > self._most:
                    return False
                # First of all, for what the dead left waits too.
                self._claim()
                if self._waits() + len(data) > self._most:
                    return False
            self._store.put(path, [data])
            with self._lock:
                folder = self._claim()
                file = folder / f"{next(self._numbers):016x}-{key_of(path)}"
                # Two that took back each other's would leave none.
                with locked(self._root):
                    # A copy with two names is not given up.
                    file.hardlink_to(self._near.store.directory() / path)
                    self._objects[file] = _Object(path, file, len(data))
                    self._take_back(path, file)
                if sends:
                    self._start_thread()
        except FileNotFoundError:
            return False  # another process has given up the copy before it had its second name
        except (StorageError, OSError) as error:
            if isinstance(error, OSError) and error.errno in NO_LINKS:
                # Nothing can wait without a second name. What is not behind needs none.
                self._most = 0
                self._tell("write-behind", "What is stored is sent to the far store at once.", error)
            else:
                self._near.tell_of(error)
            return False
        if sends:
            self._wake.set()
        self._near.make_room(len(data))
        return True

    def _waits(self) -> int:
        """Return how many bytes wait, of this process and of others; two that add at once may not see each other."""
        waits = sum(each.size for each in self._objects.values())
        for file in self._files(besides=self._held):
            with suppress(FileNotFoundError):
                waits += file.stat().st_size
        return waits

    def forget(self, paths: Collection[str]) -> None:
        """Send these no more, whichever process put them; return when none of ours is under way."""
        self._unlink(paths)
        with self._lock:
            # It arrives first, and what the caller does to it comes after.
            self._lock.wait_for(lambda: self._under_way not in paths)

    @contextmanager
    def replacing(self, path: str) -> Iterator[None]:
        """Send no older put of this while the block lasts, and none ever once it has ended well."""
        # A child forked meanwhile has a list of its own.
        replaced = self._replaced
        with self._lock:
            replaced.append(path)
            self._lock.wait_for(lambda: self._under_way != path)
        try:
            yield
            self._unlink([path])
        finally:
            with self._lock:
                replaced.remove(path)
                self._lock.notify_all()

    def _unlink(self, paths: Collection[str]) -> None:
        wanted = {key_of(path) for path in paths}
        try:
            for file in self._files():
                if file.name.partition("-")[2] in wanted:
                    file.unlink(missing_ok=True)
        except OSError as error:
            self._near.tell_of(error)

    def _take_back(self, path: str, newest: Path) -> None:
        """Unlink the older puts of the object, whichever process put them."""
        for file, each in self._objects.items():
            if each.path == path and file != newest:
                file.unlink(missing_ok=True)
        for file in self._files(besides=self._held):
            if file.name.partition("-")[2] == key_of(path):
                file.unlink(missing_ok=True)

    def flush(self) -> None:
        """Send all that waits, and what dead processes left.

        Raises
        ------
        StorageError
            If the far store does not take something; it keeps waiting.
        """
        with self._sending:
            with self._lock:
                self._adopt()
                every = list(self._objects.values())
            try:
                self._send_all(every)
            finally:
                with self._lock:
                    self._release()

    def _send_all(self, every: list[_Object]) -> None:
        refused: list[StorageError] = []
        for each in every:
            try:
                self._send(each)
            except StorageError as error:
                if error.transient:
                    raise
                refused.append(error)
                with self._lock:
                    self._objects[each.file] = self._objects.pop(each.file)
                if len(refused) == _REFUSALS:
                    break
                continue
            with self._lock:
                del self._objects[each.file]
            with suppress(OSError):
                each.file.unlink()
        self._paused_until = time.monotonic() + _PAUSE if refused else 0.0
        if refused:
            raise refused[-1]

    def send_left(self) -> None:
        """Send in the background what dead processes left, where there is anything to look at."""
        with suppress(OSError, RuntimeError):  # the process may end already: then the next one sends
            if any(self._root.iterdir()):
                # Most often of a living process: it is the thread that looks, and nobody waits for it.
                with self._lock:
                    self._start_thread()
                self._wake.set()

    def flush_quietly(self) -> None:
        """Send all that waits; tell if that fails."""
        try:
            self.flush()
        except StorageError as error:
            self._tell("write-behind", "What was stored near did not reach the far store.", error)

    def _send(self, waiting: _Object) -> None:
        with self._lock:
            self._lock.wait_for(lambda: waiting.path not in self._replaced)
            # Set before the file is opened: who unlinks it and finds nothing under way knows that it is not sent.
            self._under_way = waiting.path
        try:
            self._put(waiting)
        finally:
            with self._lock:
                self._under_way = None
                self._lock.notify_all()

    def _put(self, waiting: _Object) -> None:
        try:
            stream = waiting.file.open("rb")
        except FileNotFoundError:
            return  # deleted since
        except OSError as error:
            raise _unreadable(waiting.file, error) from error
        with stream:
            try:
                self._far.put(waiting.path, iter(partial(stream.read, _PIECE), b""))
            except OSError as error:
                raise _unreadable(waiting.file, error) from error

    def _claim(self) -> Path:
        """Return this process's folder, which is made at the first put."""
        if self._folder is None or not self._folder.is_dir():
            self._store.make_folder(_FOLDER)
            # Else somebody might take the new folder for one of the dead before it is locked.
            with locked(self._root):
                folder = self._store.make_folder(f"{_FOLDER}/{os.urandom(8).hex()}")
                self._held[folder] = _lock_at_once(folder)
            self._folder = folder
            self._adopt()
        return self._folder

    def _adopt(self) -> None:
        """Queue what the folders of dead processes hold."""
        with suppress(OSError), locked(self._root):
            for folder in sorted(self._root.iterdir()):
                try:
                    self._held[folder] = _lock_at_once(folder)
                except OSError:
                    continue  # its process lives (it may be this one), or it is gone
                for file in sorted(folder.iterdir()):
                    with suppress(OSError, ValueError):
                        path = blob_path(file.name.partition("-")[2])
                        self._objects[file] = _Object(path, file, file.stat().st_size)

    def _release(self) -> None:
        """Remove the folders of the dead once they are empty; without a folder of our own, leave them to others."""
        for folder in [each for each in self._held if each != self._folder]:
            with suppress(OSError):
                folder.rmdir()
            if self._folder is None or not folder.exists():
                os.close(self._held.pop(folder))
        if self._folder is None:
            self._objects.clear()

    def _files(self, besides: Collection[Path] = ()) -> Iterator[Path]:
        with suppress(FileNotFoundError):
            for folder in self._root.iterdir():
                if folder not in besides:
                    with suppress(FileNotFoundError):
                        yield from folder.iterdir()

    def retire(self) -> None:
        """Send what waits, in the background, and nothing more; takes no lock, for a collection may call it."""
        self._retired = True
        self._wake.set()

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._send_regularly, name="cachestore-write-behind", daemon=True
            )
            self._thread.start()
            _flush_at_exit(weakref.ref(self))

    def _send_regularly(self) -> None:
        retired = False
        while not retired:
            self._wake.wait(_PAUSE)
            self._wake.clear()
            retired = self._retired
            if retired or time.monotonic() >= self._paused_until:
                self.flush_quietly()
        # What could not be sent belongs to nobody alive from now on.
        with self._lock:
            while self._held:
                os.close(self._held.popitem()[1])


def _flush_at_exit(known: weakref.ref[Waiting]) -> None:
    # `atexit` runs after the thread pools are closed, without which s3fs does not even find an address, and so does
    # the end of a thread that is waited for. Python has no public way to come before that; this is the way in which
    # `concurrent.futures` has its pools closed, and what is registered later runs earlier. A Python without it asks
    # `atexit`: what cannot be sent by then is sent by the next process.
    import concurrent.futures.thread  # noqa: F401

    at_exit = getattr(threading, "_register_atexit", atexit.register)
    with suppress(RuntimeError):  # the process ends already: what waits is for the next one
        at_exit(_flush, known)
    # A process that multiprocessing forked ends without running what was to run at exit, but for this.
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:
        multiprocessing.Finalize(None, _flush, args=(known,), exitpriority=0)


def _flush(known: weakref.ref[Waiting]) -> None:
    waiting = known()
    if waiting is not None:
        waiting.flush_quietly()


def _unreadable(file: Path, error: OSError) -> StorageError:
    return StorageError(
        f"Cannot read {file}: {error.strerror}. Look at the disk of the near directory.",
        transient=error.errno in TRANSIENT,
    )


def _lock_at_once(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


_every: weakref.WeakSet[Waiting] = weakref.WeakSet()


def _after_fork() -> None:
    for waiting in list(_every):
        waiting.after_fork()


os.register_at_fork(after_in_child=_after_fork)
