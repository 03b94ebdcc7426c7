"""The spool: uses noted beside an SQLite index, without SQL, until some process takes them in.

Appending: lock the file, see that it still has its name, write whole lines. Taking in: give the file another
name (nobody appends to it from then on), lock it (nobody is still writing, nobody else takes it in), count
its uses and note its name in one transaction, delete it, unlock. A process killed at any of these points
leaves a file that the next one takes in, or finds noted and only deletes: no use is counted twice. A line cut
off by a kill or a full disk is dropped; every batch starts on a new line.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cachestore.index.entry import Touch
from cachestore.index.files import locked, make_folder, share

logger = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Spool:
    """Keeps touches in a file until they are taken in.

    Parameters
    ----------
    path
        The file; those being taken in have its name and a suffix.
    timeout
        Seconds to wait for another process at most.
    """

    def __init__(self, path: Path, *, timeout: float) -> None:
        self._path = path
        self._timeout = timeout

    def append(self, touches: list[Touch]) -> None:
        """Write touches at the end, all or none.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        data = ("\n" + "".join(_line(touch) for touch in touches)).encode()
        while not self._append(data):
            pass

    def _append(self, data: bytes) -> bool:
        descriptor = self._open()
        try:
            with locked(
                descriptor, timeout=self._timeout, unless=lambda: not self._is_ours(descriptor)
            ) as held:
                if not self._is_ours(descriptor):
                    # It is being taken in: what is written now might be overlooked.
                    return False
                if not held:
                    raise TimeoutError(f"{self._path} was locked for more than {self._timeout:g} s")
                before = os.fstat(descriptor).st_size
                if os.write(descriptor, data) < len(data):
                    os.ftruncate(descriptor, before)
                    raise OSError(f"{self._path} cannot grow: the disk is full")
                return True
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND
        try:
            return os.open(self._path, flags)
        except FileNotFoundError:
            make_folder(self._path.parent)
            descriptor = os.open(self._path, flags | os.O_CREAT, 0o666)
            share(descriptor, self._path.parent)
            return descriptor

    def _is_ours(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def is_empty(self) -> bool:
        """Say whether there is nothing to take in."""
        return not self._path.exists() and not self._claimed()

    def claim(self) -> list[Path]:
        """Give the file, if there is one, a name of its own; return all that wait to be taken in."""
        claimed = self._path.with_name(f"{self._path.name}.{os.urandom(16).hex()}")
        try:
            self._path.rename(claimed)
        except FileNotFoundError:
            pass
        return self._claimed()

    @contextmanager
    def taking(self, claimed: Path) -> Iterator[list[Touch] | None]:
        """Hold a claimed file during a block, which counts its touches; then delete it.

        Yields
        ------
        list of Touch or None
            What the file holds; None when another process has taken it in, or is busy with it.
        """
        try:
            descriptor = os.open(claimed, os.O_RDONLY)
        except FileNotFoundError:
            yield None
            return
        try:
            with locked(descriptor, timeout=self._timeout) as held:
                # Whoever had the lock before may have deleted the file, and then also what was noted of it.
                if not held or os.fstat(descriptor).st_nlink == 0:
                    yield None
                    return
                with open(descriptor, "rb", closefd=False) as file:
                    yield list(_touches(file.read(), claimed))
                claimed.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def _claimed(self) -> list[Path]:
        try:
            with os.scandir(self._path.parent) as files:
                prefix = f"{self._path.name}."
                return sorted(Path(file.path) for file in files if file.name.startswith(prefix))
        except FileNotFoundError:
            return []


def _line(touch: Touch) -> str:
    at = (touch.at - _EPOCH) // _MICROSECOND
    return json.dumps([touch.key, touch.user, at, touch.seconds_saved, touch.hits]) + "\n"


def _touch(key: str, user: str, at: int, seconds_saved: float, hits: int) -> Touch:
    # One line that the database refuses would keep all others of its file from being counted, for ever.
    for text in (key, user):
        text.encode()
    if not math.isfinite(seconds_saved):
        raise ValueError(f"{seconds_saved} seconds")
    return Touch(key, user, _EPOCH + at * _MICROSECOND, float(seconds_saved), int(hits))


def _touches(data: bytes, file: Path) -> Iterator[Touch]:
    # Of a list in JSON no beginning is JSON: a line that was cut off is never taken for another.
    for line in data.split(b"\n"):
        if not line:
            continue
        try:
            yield _touch(*json.loads(line))
        except (ValueError, TypeError, AttributeError, OverflowError):
            logger.info("A damaged line of %s was dropped: %r", file, line[:200])
