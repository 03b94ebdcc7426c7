"""Which results of a function are kept, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cachestore.errors import SettingsError
from cachestore.settings import MinSeconds, check_min_seconds

if TYPE_CHECKING:
    from cachestore.cache import Metadata

# Times of databases end in the year 9999; nobody waits for that.
_LONGEST = timedelta(days=1000 * 365)


@dataclass(frozen=True, slots=True)
class Keeping:
    """Says which results of a function are kept, and for how long.

    Parameters
    ----------
    expires
        How long after its computation a result answers; None is for ever.
    min_seconds
        What is computed in less is not stored; `measured` asks whether reading takes longer than computing, and None
        the settings.

    Raises
    ------
    SettingsError
        If one has no meaning.

    Examples
    --------
    >>> Keeping(timedelta(hours=1)).end(datetime(2026, 5, 4, 12, tzinfo=UTC)).hour
    13
    """

    expires: timedelta | None = None
    min_seconds: MinSeconds = None

    def __post_init__(self) -> None:
        """Refuse values without a meaning at once."""
        check_min_seconds(self.min_seconds)
        if self.expires is None:
            return
        if not isinstance(self.expires, timedelta):
            raise SettingsError(f"expires is {self.expires!r}. Give a datetime.timedelta: timedelta(days=1).")
        if not timedelta(0) < self.expires <= _LONGEST:
            raise SettingsError(
                f"expires is {self.expires}. Give a time above 0, or leave it out where results do not expire."
            )

    def end(self, computed_at: datetime) -> datetime | None:
        """Return until when a result answers."""
        return None if self.expires is None else computed_at + self.expires

    def is_over(self, metadata: Metadata) -> bool:
        """Say whether an entry is older than it may be: it may have been stored when more was allowed."""
        end = self.end(metadata.started_at + timedelta(seconds=metadata.seconds))
        return end is not None and end <= datetime.now(UTC)
