"""One use of an entry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple


class Touch(NamedTuple):
    """Notes that `user` used an entry `hits` times, the last time `at`, and what that saved.

    One is made at each hit, so it is a tuple, and `at` is what `time.time` says: seconds since 1970, in UTC.
    """

    key: str
    user: str
    at: float
    seconds_saved: float
    hits: int = 1

    @property
    def last_used_at(self) -> datetime:
        """The time as the tables have it."""
        return datetime.fromtimestamp(self.at, UTC)

    @property
    def subject(self) -> tuple[str, ...]:
        """What notes that can be added up have in common."""
        return self.key, self.user

    def plus(self, *others: Touch) -> Touch:
        """Return all these uses as one; they are of the same key by the same user.

        Examples
        --------
        >>> Touch("4be1", "ana", 1.7e9, 2.0).plus(Touch("4be1", "ana", 1.6e9, 2.0))
        Touch(key='4be1', user='ana', at=1700000000.0, seconds_saved=4.0, hits=2)
        """
        _, _, times, saved, hits = zip(self, *others, strict=True)
        return Touch(self.key, self.user, max(times), sum(saved), sum(hits))
