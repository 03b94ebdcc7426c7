"""What was given up on purpose, noted for a while within the transaction of the caller."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from cachestore.index.evicted import Evicted
from cachestore.index.tables import evictions
from cachestore.index.upsert import batches, upsert

# Whoever asks later than that is told that it was never computed, as far as anybody knows.
_KEPT_FOR = timedelta(days=90)


def note(connection: sa.Connection, evicted: Iterable[Evicted]) -> None:
    """Note what is given up, and drop what was noted long before."""
    by_key = {each.key: each for each in evicted}
    if not by_key:
        return
    upsert(
        connection,
        evictions,
        [asdict(by_key[key]) for key in sorted(by_key)],
        replacing=lambda new: {name: new[name] for name in ("user", "at", "command", "reason")},
    )
    limit = max(each.at for each in by_key.values()) - _KEPT_FOR
    old = sa.select(evictions.c.key).where(evictions.c.at < limit).order_by(evictions.c.key)
    # Another that tidies up at the same moment has them locked already, and will delete them.
    for batch in batches(connection.scalars(old.with_for_update(skip_locked=True)).all()):
        connection.execute(evictions.delete().where(evictions.c.key.in_(batch)))


def of_keys(connection: sa.Connection, keys: Sequence[str]) -> dict[str, Evicted]:
    """Return what is noted of some keys."""
    found: dict[str, Evicted] = {}
    for batch in batches(sorted(set(keys))):
        found |= {
            each.key: each for each in read(connection, evictions.select().where(evictions.c.key.in_(batch)))
        }
    return found


def read(connection: sa.Connection, statement: sa.Select[Any]) -> list[Evicted]:
    """Return the evictions that a SELECT of rows of `evictions` finds, in its order."""
    return [Evicted(**row) for row in connection.execute(statement).mappings()]
