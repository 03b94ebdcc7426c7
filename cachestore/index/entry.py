"""What the index says of a blob."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Holds one row of the index: a blob, who made it from what, and what it has saved.

    Parameters
    ----------
    key
        The digest of the call, 64 hexadecimal characters.
    function, code_version
        Which function in which version computed the value.
    kind
        The type of the value, `numpy.ndarray`.
    raw_size, stored_size
        Bytes before and after compression.
    created_at, last_used_at
        Aware times; a value counts as used when it is made.
    seconds
        How long computing took.
    creator
        Who computed it.
    hits, seconds_saved
        What its uses add up to.
    value_digest
        The digest of the value, where it has one.
    expires_at
        When the value becomes stale, if it does.
    parents
        The keys of the entries it was made from, in order.
    call_digest
        The digest of the call but for its code version: equal for one call in two versions of the code.

    Raises
    ------
    ValueError
        If a time has no time zone.
    """

    key: str
    function: str
    code_version: str
    kind: str
    raw_size: int
    stored_size: int
    created_at: datetime
    last_used_at: datetime
    seconds: float
    creator: str
    hits: int = 0
    seconds_saved: float = 0.0
    value_digest: str | None = None
    expires_at: datetime | None = None
    parents: tuple[str, ...] = ()
    call_digest: str | None = None

    def __post_init__(self) -> None:
        """Refuse times that say different things on different machines."""
        for name in ("created_at", "last_used_at", "expires_at"):
            require_aware(name, getattr(self, name))


def require_aware(name: str, time: datetime | None) -> None:
    """Refuse a time without a time zone.

    Raises
    ------
    ValueError
        If `time` is naive.
    """
    if time is not None and time.utcoffset() is None:
        raise ValueError(
            f"{name} is {time!r}, a time without a time zone. Give an aware one: datetime.now(timezone.utc)."
        )
