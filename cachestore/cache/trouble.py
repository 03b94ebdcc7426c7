"""What a cache that is ill tells, once for each kind of illness, and how often it happened."""

from __future__ import annotations

import logging
import threading
import warnings
from collections import Counter

from cachestore.errors import CachestoreWarning

_logger = logging.getLogger(__name__)


class Trouble:
    """Warns the first time that each kind of trouble happens, and counts every time.

    A cache that is ill must not stop a computation that is well, nor fill its output.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def tell(self, kind: str, consequence: str, error: Exception) -> None:
        """Say that `consequence` follows from `error`.

        Parameters
        ----------
        kind
            What is ill: told once for each kind.
        consequence
            What happens instead, as a sentence.
        error
            The reason; its text says what to do.
        """
        with self._lock:
            self.counts[kind] += 1
            first = self.counts[kind] == 1
        if first:
            warnings.warn(f"{consequence} {error}", CachestoreWarning, stacklevel=_stacklevel())
        else:
            _logger.info("%s %s", consequence, error)


def _stacklevel() -> int:
    """Find how far up the caller's code is: a warning points at the line that people can change."""
    import sys

    level, frame = 1, sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("cachestore."):
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    return level
