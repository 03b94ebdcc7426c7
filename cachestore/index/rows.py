"""Entries as rows: written, read and forgotten within the transaction of the caller.

Every transaction of this room locks rows in one order, by table (uses, entries, parents, orphans, evictions, those of
misses, then costs) and within a table by key. Two of them on one PostgreSQL server then wait for each other, and never
in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from cachestore.index import costs, evictions, uses
from cachestore.index.entry import Entry
from cachestore.index.evicted import Evicted
from cachestore.index.tables import entries, orphans, parents
from cachestore.index.tables import uses as uses_table
from cachestore.index.upsert import batches, larger, upsert

# What uses add up to is kept when a row is recorded again.
_COUNTED = frozenset({"key", "hits", "seconds_saved", "last_used_at"})


def record(connection: sa.Connection, recorded: Iterable[Entry]) -> None:
    """Insert or replace the rows of entries, keeping what their uses added up to."""
    by_key = {entry.key: entry for entry in recorded}
    keys = sorted(by_key)
    if not keys:
        return
    upsert(connection, entries, [_row(by_key[key]) for key in keys], replacing=_replaced)
    for batch in batches(keys):
        connection.execute(parents.delete().where(parents.c.key.in_(batch)))
    lineage = [
        {"key": key, "position": position, "parent": parent}
        for key in keys
        for position, parent in enumerate(by_key[key].parents)
    ]
    if lineage:
        connection.execute(parents.insert(), lineage)
    for batch in batches(keys):
        uses.settle(connection, batch)


def forget(connection: sa.Connection, keys: Iterable[str], evicted: Iterable[Evicted] = ()) -> int:
    """Delete the rows of entries and all that hangs on them; return how many entries there were.

    What is said of evictions is noted in the same transaction.
    """
    count = 0
    saved: dict[str, float] = {}
    for batch in batches(sorted(set(keys))):
        # The rows are locked in the order of this room first; a DELETE takes them in any.
        for table in (uses_table, entries):
            order = table.primary_key.columns
            connection.execute(
                sa.select(table.c.key).where(table.c.key.in_(batch)).order_by(*order).with_for_update()
            )
        for function, seconds in costs.saved_by(connection, batch).items():
            saved[function] = saved.get(function, 0.0) + seconds
        connection.execute(uses_table.delete().where(uses_table.c.key.in_(batch)))
        count += connection.execute(entries.delete().where(entries.c.key.in_(batch))).rowcount
        connection.execute(parents.delete().where(parents.c.key.in_(batch)))
        connection.execute(orphans.delete().where(orphans.c.key.in_(batch)))
    evictions.note(connection, evicted)
    costs.keep_saved(connection, saved)
    return count


def read(connection: sa.Connection, statement: sa.Select[Any]) -> list[Entry]:
    """Return the entries that a SELECT of rows of `entries` finds, in its order."""
    found = connection.execute(statement).mappings().all()
    lineage: dict[str, list[str]] = {}
    for batch in batches([row["key"] for row in found]):
        for key, parent in connection.execute(
            sa.select(parents.c.key, parents.c.parent)
            .where(parents.c.key.in_(batch))
            .order_by(parents.c.key, parents.c.position)
        ):
            lineage.setdefault(key, []).append(parent)
    return [Entry(**row, parents=tuple(lineage.get(row["key"], ()))) for row in found]


def _replaced(new: Any) -> dict[str, Any]:
    replaced = {column.name: new[column.name] for column in entries.columns if column.name not in _COUNTED}
    # A value that was computed again has been used now; one that rebuild finds again has not.
    replaced["last_used_at"] = larger(entries.c.last_used_at, new.created_at)
    return replaced


def _row(entry: Entry) -> dict[str, Any]:
    return {field.name: getattr(entry, field.name) for field in fields(entry) if field.name != "parents"}
