"""What caching cost: one note of it."""

from __future__ import annotations

from typing import NamedTuple


class Spent(NamedTuple):
    """Notes that so many seconds went into keys and look-ups that found nothing, or into storing, of a function."""

    function: str
    seconds: float

    @property
    def subject(self) -> tuple[str, ...]:
        """What notes that can be added up have in common."""
        return "spent", self.function

    def plus(self, *others: Spent) -> Spent:
        """Return all as one; they are of the same function.

        Examples
        --------
        >>> Spent("team.features", 0.25).plus(Spent("team.features", 0.5))
        Spent(function='team.features', seconds=0.75)
        """
        return Spent(self.function, sum(each.seconds for each in (self, *others)))
