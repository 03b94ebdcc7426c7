"""What the cache holds and has saved: in all, by function, by user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class FunctionStatistics:
    """Sums up the entries of one function, and what caching it cost."""

    function: str
    entries: int
    raw_size: int
    stored_size: int
    hits: int
    seconds: float
    seconds_saved: float
    seconds_spent: float = 0.0


@dataclass(frozen=True, slots=True)
class UserStatistics:
    """Sums up what one person computed for all, and reused."""

    user: str
    computed: int
    seconds: float
    reused: int
    seconds_saved: float


@dataclass(frozen=True, slots=True)
class MissStatistics:
    """Says how often a function had no answer for one reason."""

    function: str
    reason: str
    misses: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """Sums up all entries of an index; functions, users and reasons come in alphabetical order.

    Attributes
    ----------
    seconds_spent
        What keys, look-ups that found nothing, and storing took.
    seconds_net
        What was saved in all, by entries that are gone too, less what was spent.
    """

    entries: int = 0
    raw_size: int = 0
    stored_size: int = 0
    hits: int = 0
    seconds_computing: float = 0.0
    seconds_saved: float = 0.0
    by_function: tuple[FunctionStatistics, ...] = ()
    by_user: tuple[UserStatistics, ...] = ()
    misses: int = 0
    by_reason: tuple[MissStatistics, ...] = ()
    seconds_spent: float = 0.0
    seconds_net: float = 0.0


def gather(connection: sa.Connection) -> Statistics:
    """Sum up what the index holds now."""
    from cachestore.index import costs

    cost = costs.read(connection)
    by_function = _by_function(connection, {function: spent for function, (spent, _) in cost.items()})
    seconds_saved = sum(function.seconds_saved for function in by_function)
    seconds_spent = sum(spent for spent, _ in cost.values())
    by_reason = _by_reason(connection)
    return Statistics(
        entries=sum(function.entries for function in by_function),
        raw_size=sum(function.raw_size for function in by_function),
        stored_size=sum(function.stored_size for function in by_function),
        hits=sum(function.hits for function in by_function),
        seconds_computing=sum(function.seconds for function in by_function),
        seconds_saved=seconds_saved,
        by_function=by_function,
        by_user=_by_user(connection),
        misses=sum(counted.misses for counted in by_reason),
        by_reason=by_reason,
        seconds_spent=seconds_spent,
        seconds_net=seconds_saved + sum(before for _, before in cost.values()) - seconds_spent,
    )


def _by_function(connection: sa.Connection, spent: Mapping[str, float]) -> tuple[FunctionStatistics, ...]:
    import sqlalchemy as sa

    from cachestore.index.tables import entries

    columns = entries.c
    # PostgreSQL sums big integers into decimals: hence int().
    return tuple(
        FunctionStatistics(
            function, count, int(raw), int(stored), int(hits), seconds, saved, spent.get(function, 0.0)
        )
        for function, count, raw, stored, hits, seconds, saved in connection.execute(
            sa.select(
                columns.function,
                sa.func.count(),
                sa.func.sum(columns.raw_size),
                sa.func.sum(columns.stored_size),
                sa.func.sum(columns.hits),
                sa.func.sum(columns.seconds),
                sa.func.sum(columns.seconds_saved),
            )
            .group_by(columns.function)
            .order_by(columns.function)
        )
    )


def _by_user(connection: sa.Connection) -> tuple[UserStatistics, ...]:
    import sqlalchemy as sa

    from cachestore.index.tables import entries, uses

    computed = {
        user: (count, seconds)
        for user, count, seconds in connection.execute(
            sa.select(entries.c.creator, sa.func.count(), sa.func.sum(entries.c.seconds)).group_by(
                entries.c.creator
            )
        )
    }
    # The uses of orphans do not count until their rows are there, so that users and functions add up to the
    # same.
    reused = {
        user: (int(hits), seconds)
        for user, hits, seconds in connection.execute(
            sa.select(uses.c.user, sa.func.sum(uses.c.hits), sa.func.sum(uses.c.seconds_saved))
            .join(entries, entries.c.key == uses.c.key)
            .group_by(uses.c.user)
        )
    }
    return tuple(
        UserStatistics(user, *computed.get(user, (0, 0.0)), *reused.get(user, (0, 0.0)))
        for user in sorted(computed.keys() | reused.keys())
    )


def _by_reason(connection: sa.Connection) -> tuple[MissStatistics, ...]:
    import sqlalchemy as sa

    from cachestore.index.tables import miss_counts

    counted = connection.execute(
        sa.select(miss_counts).order_by(miss_counts.c.function, miss_counts.c.reason)
    )
    return tuple(MissStatistics(**row) for row in counted.mappings())
