"""Two code versions that somebody declared equivalent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Accepted:
    """Says that entries of the code version `old` answer calls of `new`, and who said so when."""

    new: str
    old: str
    function: str
    user: str
    at: datetime
