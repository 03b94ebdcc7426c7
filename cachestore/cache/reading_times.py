"""How long this process took to read entries, by their size."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

# A single one says little: the first read of a process imports what it needs.
_ENOUGH: Final = 3
_REMEMBERED: Final = 9
# Nothing is read more slowly than with so many seconds at first, and then so many bytes a second.
_AT_MOST: Final = 2.0
_AT_LEAST: Final = 5e6


class ReadingTimes:
    """Remembers the latest times of each size, and says whether a result is worth its place.

    Examples
    --------
    >>> times = ReadingTimes()
    >>> for _ in range(3):
    ...     times.note(1000, 0.02)
    >>> times.are_longer(1000, than=0.01), times.are_longer(10**9, than=0.01), times.are_longer(1000, than=0.03)
    (True, True, False)
    """

    def __init__(self) -> None:
        # By the number of the size's binary digits.
        self._seconds: dict[int, deque[float]] = {}

    def note(self, size: int, seconds: float) -> None:
        """Remember that reading so many bytes took so long."""
        self._seconds.setdefault(size.bit_length(), deque(maxlen=_REMEMBERED)).append(seconds)

    def are_longer(self, size: int, *, than: float) -> bool:
        """Say whether reading so many bytes is known to take longer.

        What holds for less holds for more.
        """
        digits = size.bit_length()
        return any(
            len(seen) >= _ENOUGH and median(tuple(seen)) > than
            for each, seen in list(self._seconds.items())
            if each <= digits
        )

    def are_wanted(self, size: int, *, than: float) -> bool:
        """Say whether too little is known of that size to decide about a result that took so long to compute."""
        plain = than > _AT_MOST + size / _AT_LEAST
        return not plain and len(self._seconds.get(size.bit_length(), ())) < _ENOUGH
