"""Spooled notes counted exactly once."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from cachestore.index import notes
from cachestore.index.engine import Database
from cachestore.index.spool import Spool
from cachestore.index.tables import spools


def take_in(spool: Spool, database: Database) -> None:
    """Count all that waits in a spool, each claimed file in one transaction that also notes its name."""
    for claimed in spool.claim():
        with spool.taking(claimed) as held:
            if held is None:
                continue
            with database.writing() as connection:
                noted = set(connection.scalars(sa.select(spools.c.name)))
                if claimed.name not in noted:
                    notes.apply(connection, held)
                    connection.execute(spools.insert(), [{"name": claimed.name}])
                _drop_notes(connection, claimed.parent, noted)


def _drop_notes(connection: sa.Connection, folder: Path, noted: set[str]) -> None:
    # A name is noted after the file got it, and no other ever gets it: once gone it stays gone.
    gone = [name for name in noted if not (folder / name).exists()]
    if gone:
        connection.execute(spools.delete().where(spools.c.name.in_(gone)))
