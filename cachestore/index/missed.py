"""A miss: as it is noted when it happens, and as the index keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from cachestore.index.entry import require_aware
from cachestore.index.spent import Spent
from cachestore.index.touch import Touch


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """Notes that `user` asked for a key `times` times, the last time `at`, and got no answer.

    Parameters
    ----------
    key, function, code_version
        What was asked for.
    call_digest
        The digest of the call but for its code version.
    outcome
        What the store said: `absent` where it has no such blob, otherwise already the reason.
    arguments
        The digest of each argument by its name.
    code_parts
        The version of each part of the code; None where this process has noted it before.

    Raises
    ------
    ValueError
        If `at` has no time zone.
    """

    key: str
    function: str
    code_version: str
    call_digest: str
    user: str
    at: datetime
    outcome: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    code_parts: Mapping[str, str] | None = None
    times: int = 1

    def __post_init__(self) -> None:
        """Refuse times that say different things on different machines."""
        require_aware("at", self.at)

    @property
    def subject(self) -> tuple[str, ...]:
        """What notes that can be added up have in common."""
        return "miss", self.key, self.user, self.outcome

    def plus(self, *others: Missed) -> Missed:
        """Return all as one: what the latest says, with the parts of whichever has some."""
        newest_first = sorted((self, *others), key=lambda miss: miss.at, reverse=True)
        parts = next((miss.code_parts for miss in newest_first if miss.code_parts is not None), None)
        return replace(newest_first[0], code_parts=parts, times=sum(miss.times for miss in newest_first))


Note = Touch | Missed | Spent
"""What a process notes without SQL, to be taken into the tables later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedMiss:
    """Is a miss as the index keeps it, with its reason.

    Parameters
    ----------
    reason
        `never computed`, `new arguments`, `code changed`, `package changed`, `evicted`, or what the store said.
    code_parts
        The version of each part of the code, where it was noted.
    """

    key: str
    function: str
    code_version: str
    user: str
    at: datetime
    reason: str
    arguments: Mapping[str, str]
    code_parts: Mapping[str, str] | None
