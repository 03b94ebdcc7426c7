"""Files beside the index: made for the whole team, and locked for a bounded time."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PAUSE = 0.002


@contextmanager
def locked(descriptor: int, *, timeout: float, unless: Callable[[], bool] = lambda: False) -> Iterator[bool]:
    """Hold the lock of an open file or folder; it ends with this block, or with the process.

    Parameters
    ----------
    descriptor
        An open file descriptor.
    timeout
        Seconds to wait for another holder.
    unless
        Asked while waiting: a true answer ends it.

    Yields
    ------
    bool
        Whether the lock is held.
    """
    deadline = time.monotonic() + timeout
    held = False
    while not held:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = True
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES, errno.EINTR}:
                raise
            if unless() or time.monotonic() > deadline:
                break
            time.sleep(_PAUSE)
    try:
        yield held
    finally:
        if held:
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each open to the group of the one it stands in."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir(0o777)
    except FileExistsError:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        share(descriptor, folder.parent, bits=0o070 | stat.S_ISGID)
    finally:
        os.close(descriptor)


def share(descriptor: int, folder: Path, *, bits: int = 0o060) -> None:
    """Give a new file the group of its folder, and of `bits` those that the folder has.

    What the owner of a folder allows its group, a private umask shall not take from the team.
    """
    above, own = folder.stat(), os.fstat(descriptor)
    # Only the owner may change these, and nobody has to: the file works without.
    with suppress(OSError):
        if own.st_gid != above.st_gid:
            os.fchown(descriptor, -1, above.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(own.st_mode) | (above.st_mode & bits))
