"""Which entries to give up, and why: a pure decision about values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cachestore.errors import SettingsError
from cachestore.index import Entry


@dataclass(frozen=True, slots=True)
class Limits:
    """Says what a cache may hold; None is no limit.

    Parameters
    ----------
    older_than
        Entries that nobody used for longer are given up.
    max_size
        Bytes that all blobs together may take.
    max_entries
        How many entries there may be.
    function
        A pattern of the functions that the limits speak of; the entries of others are left alone. As in a
        `Selection`, `features*` finds `team.tables.features_wide`.
    """

    older_than: timedelta | None = None
    max_size: int | None = None
    max_entries: int | None = None
    function: str | None = None

    def __post_init__(self) -> None:
        """Refuse limits without a meaning."""
        if self.older_than is not None and not isinstance(self.older_than, timedelta):
            raise SettingsError(f"The age limit is {self.older_than!r}. Give a datetime.timedelta.")
        if self.older_than is not None and self.older_than < timedelta(0):
            raise SettingsError(
                f"The age limit {self.older_than} is negative. It has to be a positive timedelta, or 0."
            )
        for name, value in (("size", self.max_size), ("number of entries", self.max_entries)):
            if value is not None and value < 0:
                raise SettingsError(f"The limit on the {name}, {value}, is negative. Give 0 or more.")
        # Neither a wish to remove all of its entries nor one to remove none.
        if self.function is not None and not self.given:
            raise SettingsError(
                f"The function {self.function!r} alone is no limit. Say what of it may stay: --older-than, "
                "--max-size or --max-entries (0 gives up all of its entries)."
            )

    @property
    def given(self) -> bool:
        """Whether anything is limited at all."""
        return not (self.older_than is None and self.max_size is None and self.max_entries is None)


@dataclass(frozen=True, slots=True)
class Eviction:
    """Says of one entry that it goes, and why."""

    entry: Entry
    reason: str


def choose_expired(entries: Iterable[Entry], now: datetime) -> list[Eviction]:
    """Choose the entries that answer nobody any more, the first that expired first."""
    over = [(entry.expires_at, entry) for entry in entries if entry.expires_at is not None]
    return [
        Eviction(entry, f"expired on {expired:%Y-%m-%d}")
        for expired, entry in sorted(over, key=lambda each: (each[0], each[1].key))
        if expired <= now
    ]


def choose(entries: Iterable[Entry], limits: Limits, now: datetime) -> list[Eviction]:
    """Choose the entries to give up: first the unused for too long, then the least recently used.

    Parameters
    ----------
    entries
        The entries that the limits speak of, in any order.
    limits
        What the cache may hold.
    now
        The time that ages are counted from.

    Returns
    -------
    list of Eviction
        Least recently used first.
    """
    mine = sorted(entries, key=lambda entry: (entry.last_used_at, entry.key))
    evictions: list[Eviction] = []
    kept: list[Entry] = []
    for entry in mine:
        if limits.older_than is not None and now - entry.last_used_at > limits.older_than:
            evictions.append(Eviction(entry, f"not used for more than {_days(limits.older_than)}"))
        else:
            kept.append(entry)
    size = sum(entry.stored_size for entry in kept)
    number = len(kept)
    for entry in kept:
        if limits.max_entries is not None and number > limits.max_entries:
            evictions.append(Eviction(entry, "least recently used beyond the number of entries"))
        elif limits.max_size is not None and size > limits.max_size:
            evictions.append(Eviction(entry, "least recently used beyond the size limit"))
        else:
            break
        size -= entry.stored_size
        number -= 1
    return evictions


def _days(age: timedelta) -> str:
    return f"{age.days} days" if age >= timedelta(days=2) else f"{age.total_seconds() / 3600:g} hours"
