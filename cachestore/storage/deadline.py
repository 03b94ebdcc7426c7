"""A deadline that holds for everything below: set by who guards, heeded by who waits, moved on by bytes that move."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

# Bytes that nobody sees moving are given this much time; a line that is slower counts as one that hangs.
_UNSEEN_PER_SECOND = 2**20
# Bytes that are seen to move show that the line is alive, however slow it is; below this it is as good as dead.
_SEEN_PER_SECOND = 2**16
# Seconds more for the first page of a listing, which may come after thousands of others on the server.
LISTING: Final = 30.0


@dataclass(slots=True)
class _Deadline:
    until: float
    at_most: float


_deadline: ContextVar[_Deadline | None] = ContextVar("cachestore_deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Give what runs inside at most `seconds` in all, or what an outer deadline leaves of them.

    Bytes that move there put it off, see `moved`; never beyond the outer one.
    """
    outer = _deadline.get()
    at_most = float("inf") if outer is None else outer.until
    token = _deadline.set(_Deadline(min(time.monotonic() + seconds, at_most), at_most))
    try:
        yield
    finally:
        _deadline.reset(token)


def remaining(seconds: float) -> float:
    """Return `seconds`, or what the deadline leaves of them; not above zero once it has passed.

    Examples
    --------
    >>> remaining(5.0)
    5.0
    >>> with deadline(2.0):
    ...     remaining(5.0) <= 2.0
    True
    """
    current = _deadline.get()
    return seconds if current is None else min(seconds, current.until - time.monotonic())


def moved(size: int) -> None:
    """Put the deadline off, for `size` bytes were seen to move.

    Who sees bytes move also sees when none do, and gives up then without waiting for the deadline.

    Examples
    --------
    >>> with deadline(2.0):
    ...     moved(2**20)
    ...     17.0 < remaining(100.0) <= 18.0
    True
    """
    _put_off(size / _SEEN_PER_SECOND)


def expect(size: int) -> None:
    """Put the deadline off before `size` bytes move that nobody will see moving."""
    _put_off(allowance(size))


@contextmanager
def uncounted() -> Iterator[None]:
    """Put the deadline off by what the block takes: work of this machine, which says nothing of the store."""
    begin = time.monotonic()
    try:
        yield
    finally:
        current = _deadline.get()
        if current is not None:
            current.until = min(current.until + time.monotonic() - begin, current.at_most)


def allowance(size: int) -> float:
    """Return the seconds that moving `size` bytes unseen may add.

    Examples
    --------
    >>> allowance(3 * 2**20)
    3.0
    """
    return size / _UNSEEN_PER_SECOND


def _put_off(seconds: float) -> None:
    current = _deadline.get()
    # One that has passed has passed.
    if current is not None and current.until > time.monotonic():
        current.until = min(current.until + seconds, current.at_most)
