"""An entry that was given up on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Evicted:
    """Says of a key that `user` gave its entry up, when, by which command and why."""

    key: str
    user: str
    at: datetime
    command: str
    reason: str
