"""A deadline that holds for everything below: set by who guards, heeded by who waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# A line slower than this is a line that hangs.
_BYTES_PER_SECOND = 2**20

_until: ContextVar[float | None] = ContextVar("cachestore_deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Give what runs inside at most `seconds` in all, or what an outer deadline leaves of them."""
    token = _until.set(time.monotonic() + remaining(seconds))
    try:
        yield
    finally:
        _until.reset(token)


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
    until = _until.get()
    return seconds if until is None else min(seconds, until - time.monotonic())


def allowance(size: int) -> float:
    """Return the seconds that moving `size` bytes may add.

    Examples
    --------
    >>> allowance(3 * 2**20)
    3.0
    """
    return size / _BYTES_PER_SECOND
