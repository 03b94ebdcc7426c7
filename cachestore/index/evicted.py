"""An entry that was given up on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cachestore.index.entry import require_aware


@dataclass(frozen=True, slots=True)
class Evicted:
    """Says of a key that `user` gave its entry up, when, by which command and why.

    Raises
    ------
    ValueError
        If `at` has no time zone.
    """

    key: str
    user: str
    at: datetime
    command: str
    reason: str

    def __post_init__(self) -> None:
        """Refuse times that say different things on different machines."""
        require_aware("at", self.at)
