"""Inserts that update what is there already, in the words of each database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

_INSERT: Mapping[str, Callable[[sa.Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_BATCH = 500


def upsert(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    replacing: Callable[[Any], Mapping[str, Any]],
) -> None:
    """Insert rows; where a row with the same primary key exists, update it.

    Parameters
    ----------
    connection
        In a transaction of the caller.
    table
        Where to insert.
    rows
        What to insert, in the order in which rows are to be locked.
    replacing
        Given the columns of the new row, returns the new values of an existing one.
    """
    if not rows:
        return
    insert = _INSERT[connection.dialect.name](table)
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=list(table.primary_key.columns), set_=replacing(insert.excluded)
        ),
        rows,
    )


def larger(column: sa.ColumnElement[Any], other: Any) -> sa.ColumnElement[Any]:
    """Return the larger of two values; the databases have no common function for it."""
    if not isinstance(other, sa.ColumnElement):
        other = sa.literal(other, column.type)
    return sa.case((column < other, other), else_=column)


def batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut keys into runs that fit into one statement of any database.

    Examples
    --------
    >>> [len(batch) for batch in batches(["4be1"] * 1200)]
    [500, 500, 200]
    """
    for start in range(0, len(keys), _BATCH):
        yield keys[start : start + _BATCH]
