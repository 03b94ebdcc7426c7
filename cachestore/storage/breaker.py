"""A circuit breaker: what has failed again and again is left alone for a while."""

from __future__ import annotations

from collections.abc import Callable

_FAILURES = 3
_PAUSE = 10.0


class Breaker:
    """Counts failures in a row; from the third on it refuses for ten seconds, then lets one probe through.

    There is no lock, which a fork could leave locked for ever: two threads that come at the same moment
    may both be the probe, and that does no harm.

    Parameters
    ----------
    clock
        A monotonic clock, in seconds.

    Examples
    --------
    >>> breaker = Breaker(clock=lambda: 0.0)
    >>> for _ in range(3):
    ...     breaker.failed("no answer")
    >>> breaker.refuses(), breaker.reason
    (10.0, 'no answer')
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._closed_until = 0.0
        self.reason = ""

    def refuses(self) -> float:
        """Return for how many seconds more nobody may try; 0.0 admits the caller."""
        if self._failures < _FAILURES:
            return 0.0
        now = self._clock()
        if now < self._closed_until:
            return self._closed_until - now
        # This caller is the probe. Should it never report, another one follows after the next pause.
        self._closed_until = now + _PAUSE
        return 0.0

    def succeeded(self) -> None:
        """Note that there was an answer."""
        self._failures = 0

    def failed(self, reason: str) -> None:
        """Note that there was none, and why."""
        self.reason = reason
        self._failures += 1
        if self._failures >= _FAILURES:
            self._closed_until = self._clock() + _PAUSE
