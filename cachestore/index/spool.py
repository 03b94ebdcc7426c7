"""The spool: uses and misses noted beside an SQLite index, without SQL, until some process takes them in.

Appending: lock the file, see that it still has its name, write whole lines. Taking in: give the file another
name (nobody appends to it from then on), lock it (nobody is still writing, nobody else takes it in), count
what it holds and note its name in one transaction, delete it, unlock. A process killed at any of these points
leaves a file that the next one takes in, or finds noted and only deletes: nothing is counted twice. A line cut
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
from typing import TYPE_CHECKING, Any

from cachestore.index.files import locked, make_folder, share
from cachestore.index.spent import Spent
from cachestore.index.touch import Touch

if TYPE_CHECKING:
    from cachestore.index.missed import Missed, Note

logger = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# These begin the line of a miss, and of a cost. That of a use begins with its key; whoever does not know one of these
# drops its lines.
_MISS = "miss"
_SPENT = "spent"


class Spool:
    """Keeps notes in a file until they are taken in.

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

    def append(self, notes: list[Note]) -> None:
        """Write notes at the end, all or none.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        data = ("\n" + "".join(map(_line, notes))).encode()
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
    def taking(self, claimed: Path) -> Iterator[list[Note] | None]:
        """Hold a claimed file during a block, which counts its notes; then delete it.

        Yields
        ------
        list of Note or None
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
                    yield list(_notes(file.read(), claimed))
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


def _line(note: Note) -> str:
    line: list[object]
    if isinstance(note, Spent):
        line = [_SPENT, *note]
    elif isinstance(note, Touch):
        line = [note.key, note.user, round(note.at * 1e6), note.seconds_saved, note.hits]
    else:
        at = (note.at - _EPOCH) // _MICROSECOND
        line = [_MISS, note.key, note.user, at, note.function, note.code_version, note.call_digest]
        line += [note.outcome, dict(note.arguments), note.code_parts and dict(note.code_parts), note.times]
    return json.dumps(line) + "\n"


def _note(first: str, *rest: Any) -> Note:
    if first == _SPENT:
        return _spent(*rest)
    return _missed(*rest) if first == _MISS else _touch(first, *rest)


def _spent(function: str, seconds: float) -> Spent:
    _refuse_unwritable(function)
    _refuse_endless(seconds)
    return Spent(function, float(seconds))


def _touch(key: str, user: str, at: int, seconds_saved: float, hits: int) -> Touch:
    _refuse_unwritable(key, user)
    _refuse_endless(seconds_saved)
    # By way of a time, for one that there is not would be refused by the database.
    return Touch(key, user, (_EPOCH + at * _MICROSECOND).timestamp(), float(seconds_saved), int(hits))


def _missed(
    key: str,
    user: str,
    at: int,
    function: str,
    code_version: str,
    call_digest: str,
    outcome: str,
    arguments: dict[str, str],
    code_parts: dict[str, str] | None,
    times: int,
) -> Missed:
    from cachestore.index.missed import Missed

    mappings = (arguments, code_parts or {})
    _refuse_unwritable(key, user, function, code_version, call_digest, outcome)
    for mapping in mappings:
        _refuse_unwritable(*mapping.keys(), *mapping.values())
    return Missed(
        key=key,
        user=user,
        at=_EPOCH + at * _MICROSECOND,
        function=function,
        code_version=code_version,
        call_digest=call_digest,
        outcome=outcome,
        arguments=arguments,
        code_parts=code_parts,
        times=int(times),
    )


def _refuse_endless(seconds: float) -> None:
    if not math.isfinite(seconds):
        raise ValueError(f"{seconds} seconds")


def _refuse_unwritable(*texts: str) -> None:
    # One line that the database refuses would keep all others of its file from being counted, for ever.
    for text in texts:
        if b"\0" in text.encode():
            raise ValueError("a text with a null character")


def _notes(data: bytes, file: Path) -> Iterator[Note]:
    # Of a list in JSON no beginning is JSON: a line that was cut off is never taken for another.
    for line in data.split(b"\n"):
        if not line:
            continue
        try:
            yield _note(*json.loads(line))
        except (ValueError, TypeError, AttributeError, OverflowError):
            logger.info("A damaged line of %s was dropped: %r", file, line[:200])
