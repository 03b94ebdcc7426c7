"""Accepted code versions as rows, within the transaction of the caller."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

import sqlalchemy as sa

from cachestore.index.accepted import Accepted
from cachestore.index.tables import accepted as table


def replace(connection: sa.Connection, accepted: Iterable[Accepted]) -> None:
    """Have the rows say this and nothing else: the marks of the store are the truth."""
    connection.execute(table.delete())
    rows = {(each.new, each.old): asdict(each) for each in accepted}
    if rows:
        connection.execute(table.insert(), [rows[pair] for pair in sorted(rows)])


def read(connection: sa.Connection) -> list[Accepted]:
    """Return what was accepted, by function and time."""
    ordered = table.select().order_by(table.c.function, table.c.at, table.c.new, table.c.old)
    return [Accepted(**row) for row in connection.execute(ordered).mappings()]
