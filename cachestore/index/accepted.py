"""Two code versions that somebody declared equivalent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cachestore.index.entry import require_aware


@dataclass(frozen=True, slots=True)
class Accepted:
    """Says that entries of the code version `old` answer calls of `new`, and who said so when.

    Raises
    ------
    ValueError
        If `at` has no time zone.
    """

    new: str
    old: str
    function: str
    user: str
    at: datetime

    def __post_init__(self) -> None:
        """Refuse times that say different things on different machines."""
        require_aware("at", self.at)
