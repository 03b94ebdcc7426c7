"""Few tries within one deadline: what failed for a moment is asked again, what was refused is not."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from cachestore.errors import StorageError
from cachestore.storage.deadline import deadline

_log = logging.getLogger(__name__)

_TRIES = 3
_FIRST_PAUSE = 0.1

T = TypeVar("T")


def tried(
    operation: Callable[[], T],
    *,
    timeout: float,
    extra: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Return what `operation` returns, which is tried at most three times; no try begins after `timeout` seconds.

    Parameters
    ----------
    operation
        May be done twice without harm.
    timeout
        Seconds for all tries together; bytes that move add to them.
    extra
        Seconds more for a try that is under way.
    clock, sleep
        The time, for tests.

    Raises
    ------
    StorageError
        If it is not transient, or was raised by the last try.

    Examples
    --------
    >>> tried(lambda: 1 + 1, timeout=5.0)
    2
    """
    begin = clock()
    with deadline(timeout + extra):
        for tries in range(1, _TRIES + 1):
            try:
                return operation()
            except StorageError as error:
                # Different for each client, else all come back at the same moment.
                pause = _FIRST_PAUSE * 3 ** (tries - 1) * random.uniform(0.5, 1.5)
                if not error.transient or tries == _TRIES or clock() - begin + pause >= timeout:
                    raise
                _log.debug("try %d failed: %s", tries, error)
                sleep(pause)
    raise AssertionError("the last try returns or raises")
