"""Touches taken into the tables, within the transaction of the caller.

`uses` is the truth, per key and user; the sums in `entries` follow it. A use whose entry has no row is kept,
and its key goes into `orphans` until the row is recorded or the key forgotten. A row and a use may be written
at the same moment by two connections that do not see each other: then both the row and the orphan exist, and
`settle` brings the sums in line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from cachestore.index.tables import entries, orphans, uses
from cachestore.index.touch import Touch
from cachestore.index.upsert import batches, larger, upsert


def apply(connection: sa.Connection, touches: Iterable[Touch]) -> None:
    """Add touches to the uses and to the sums of their entries."""
    together: dict[tuple[str, str], Touch] = {}
    for touch in touches:
        seen = together.get((touch.key, touch.user))
        together[touch.key, touch.user] = touch if seen is None else seen.plus(touch)
    # By key, as every transaction of this room: see rows.py.
    ordered = [together[pair] for pair in sorted(together)]
    if not ordered:
        return
    _add_uses(connection, ordered)

    by_key: dict[str, Touch] = {}
    for touch in ordered:
        seen = by_key.get(touch.key)
        by_key[touch.key] = touch if seen is None else seen.plus(touch)
    known = _lock_entries(connection, list(by_key))
    _add_to_entries(connection, [touch for key, touch in by_key.items() if key in known])
    _note_orphans(connection, [key for key in by_key if key not in known])


def settle(connection: sa.Connection, keys: Sequence[str] | None = None) -> None:
    """Bring the sums of entries that were orphans (of all, or of `keys`) in line with their uses."""
    statement = sa.select(orphans.c.key).join(entries, entries.c.key == orphans.c.key).order_by(orphans.c.key)
    if keys is not None:
        statement = statement.where(orphans.c.key.in_(keys))
    # Whoever notes an orphan locks its row to the end: when we have the lock, we see the uses that came with
    # it.
    found = connection.scalars(statement.with_for_update(of=orphans)).all()
    for batch in batches(found):
        for key, hits, seconds_saved, last_used_at in connection.execute(
            sa.select(
                uses.c.key,
                sa.func.sum(uses.c.hits),
                sa.func.sum(uses.c.seconds_saved),
                sa.func.max(uses.c.last_used_at),
            )
            .where(uses.c.key.in_(batch))
            .group_by(uses.c.key)
            .order_by(uses.c.key)
        ).all():
            connection.execute(
                entries.update()
                .where(entries.c.key == key)
                .values(
                    hits=larger(entries.c.hits, int(hits)),
                    seconds_saved=larger(entries.c.seconds_saved, seconds_saved),
                    last_used_at=larger(entries.c.last_used_at, last_used_at),
                )
            )
        connection.execute(orphans.delete().where(orphans.c.key.in_(batch)))


def waiting(connection: sa.Connection) -> list[str]:
    """Return the keys that were used and have no row."""
    return list(connection.scalars(sa.select(orphans.c.key).order_by(orphans.c.key)))


def _add_uses(connection: sa.Connection, touches: list[Touch]) -> None:
    upsert(
        connection,
        uses,
        [
            {
                "key": touch.key,
                "user": touch.user,
                "hits": touch.hits,
                "seconds_saved": touch.seconds_saved,
                "last_used_at": touch.last_used_at,
            }
            for touch in touches
        ],
        replacing=lambda new: {
            "hits": uses.c.hits + new.hits,
            "seconds_saved": uses.c.seconds_saved + new.seconds_saved,
            "last_used_at": larger(uses.c.last_used_at, new.last_used_at),
        },
    )


def _lock_entries(connection: sa.Connection, keys: list[str]) -> set[str]:
    known: set[str] = set()
    for batch in batches(keys):
        statement = sa.select(entries.c.key).where(entries.c.key.in_(batch)).order_by(entries.c.key)
        known.update(connection.scalars(statement.with_for_update()))
    return known


def _add_to_entries(connection: sa.Connection, touches: list[Touch]) -> None:
    if not touches:
        return
    columns = entries.c
    connection.execute(
        entries.update()
        .where(columns.key == sa.bindparam("touched"))
        .values(
            hits=columns.hits + sa.bindparam("more_hits"),
            seconds_saved=columns.seconds_saved + sa.bindparam("more_seconds"),
            last_used_at=larger(columns.last_used_at, sa.bindparam("at", type_=columns.last_used_at.type)),
        ),
        [
            {
                "touched": touch.key,
                "more_hits": touch.hits,
                "more_seconds": touch.seconds_saved,
                "at": touch.last_used_at,
            }
            for touch in touches
        ],
    )


def _note_orphans(connection: sa.Connection, keys: list[str]) -> None:
    # An update of nothing, where DO NOTHING would not take the lock that `settle` waits for.
    upsert(connection, orphans, [{"key": key} for key in keys], replacing=lambda new: {"key": new.key})
