"""What caching cost each function, and what entries that are gone had saved, within the transaction of the caller.

What an entry saves is counted in its row, and goes with it: without the account kept here, what is left would never
make up for what was spent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from cachestore.index.spent import Spent
from cachestore.index.tables import costs, entries
from cachestore.index.upsert import upsert


def apply(connection: sa.Connection, spent: Iterable[Spent]) -> None:
    """Add up what was spent."""
    together: dict[str, float] = {}
    for note in spent:
        together[note.function] = together.get(note.function, 0.0) + note.seconds
    _add(connection, {function: (seconds, 0.0) for function, seconds in together.items()})


def saved_by(connection: sa.Connection, keys: Sequence[str]) -> dict[str, float]:
    """Return what entries have saved, by function."""
    columns = entries.c
    statement = sa.select(columns.function, sa.func.sum(columns.seconds_saved)).group_by(columns.function)
    found = connection.execute(statement.where(columns.key.in_(keys), columns.hits > 0))
    return {row[0]: row[1] for row in found}


def keep_saved(connection: sa.Connection, saved: Mapping[str, float]) -> None:
    """Keep what entries had saved that are gone now."""
    _add(connection, {function: (0.0, seconds) for function, seconds in saved.items()})


def read(connection: sa.Connection) -> dict[str, tuple[float, float]]:
    """Return what was spent for each function, and what its entries that are gone had saved."""
    return {function: (spent, saved) for function, spent, saved in connection.execute(sa.select(costs))}


def _add(connection: sa.Connection, more: Mapping[str, tuple[float, float]]) -> None:
    upsert(
        connection,
        costs,
        [
            {"function": function, "seconds_spent": spent, "seconds_saved": saved}
            for function, (spent, saved) in sorted(more.items())
        ],
        replacing=lambda new: {
            "seconds_spent": costs.c.seconds_spent + new.seconds_spent,
            "seconds_saved": costs.c.seconds_saved + new.seconds_saved,
        },
    )
