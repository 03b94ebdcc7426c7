"""What processes noted, taken into the tables within the transaction of the caller."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from cachestore.index import costs, misses, uses
from cachestore.index.missed import Missed, Note
from cachestore.index.spent import Spent
from cachestore.index.touch import Touch


def apply(connection: sa.Connection, notes: Sequence[Note]) -> None:
    """Count uses, misses and costs."""
    uses.apply(connection, [note for note in notes if isinstance(note, Touch)])
    misses.apply(connection, [note for note in notes if isinstance(note, Missed)])
    costs.apply(connection, [note for note in notes if isinstance(note, Spent)])
