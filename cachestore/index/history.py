"""What happened to entries, and to calls that had none: misses, evictions, accepted code versions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from cachestore.index.place import Place, placed, reading

if TYPE_CHECKING:
    import sqlalchemy as sa

    from cachestore.index.accepted import Accepted
    from cachestore.index.entry import Entry
    from cachestore.index.evicted import Evicted
    from cachestore.index.missed import NotedMiss


class History:
    """Says what an index remembers besides its rows, so that a miss can be explained.

    Parameters
    ----------
    place
        Where the index is.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    def related(
        self, function: str, code_version: str, call_digest: str, before: datetime, limit: int
    ) -> list[Entry]:
        """Return entries of a function that may have answered a call if something had been otherwise.

        Parameters
        ----------
        function, code_version, call_digest
            Of the call.
        before
            Only entries made before this moment.
        limit
            How many of each kind: of the same call in other code versions, of other calls of this version, and any;
            the latest come first.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If the index cannot be read.
        """
        from cachestore.index import rows
        from cachestore.index.tables import entries

        columns = entries.c
        earlier = entries.select().where(columns.function == function, columns.created_at < before)
        found: dict[str, Entry] = {}
        with reading(self._place) as connection:
            if connection is None:
                return []
            for alike in (columns.call_digest == call_digest, columns.code_version == code_version, None):
                kind = earlier if alike is None else earlier.where(alike)
                latest = kind.order_by(columns.created_at.desc(), columns.key).limit(limit)
                found |= {entry.key: entry for entry in rows.read(connection, latest)}
        return list(found.values())

    def latest_miss(self, function: str) -> NotedMiss | None:
        """Return the latest miss of a function, named as in a `Selection`.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If the index cannot be read.
        """
        from cachestore.index.selection import matches

        found = self._read_misses(lambda table, dialect: matches(table.c.function, function, dialect), 1)
        return found[0] if found else None

    def misses_of(self, prefix: str) -> list[NotedMiss]:
        """Return the misses that were noted of keys that begin with a prefix, the latest first.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If the index cannot be read.
        """
        from cachestore.index.selection import begins

        return self._read_misses(lambda table, _: begins(table.c.key, prefix), None)

    def evictions_of(self, prefix: str) -> list[Evicted]:
        """Return what was given up of keys that begin with a prefix, by key.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If the index cannot be read.
        """
        with reading(self._place) as connection:
            if connection is None:
                return []
            from cachestore.index import evictions
            from cachestore.index.selection import begins
            from cachestore.index.tables import evictions as table

            mine = table.select().where(begins(table.c.key, prefix)).order_by(table.c.key)
            return evictions.read(connection, mine)

    def code_versions(self, prefix: str) -> dict[str, str]:
        """Return the known code versions that begin with a prefix, each with its function.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If the index cannot be read.
        """
        with reading(self._place) as connection:
            if connection is None:
                return {}
            from cachestore.index import misses

            return misses.functions_of_versions(connection, prefix)

    def keep_versions(self, parts: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
        """Keep the function and the named parts of code versions.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If they cannot be written.
        """
        if parts:
            from cachestore.index import misses

            with placed(self._place).writing() as connection:
                misses.keep_versions(connection, parts)

    def accept(self, accepted: Iterable[Accepted]) -> None:
        """Have the index say that these code versions are accepted, and no others.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If they cannot be written.
        """
        from cachestore.index import acceptances

        with placed(self._place).writing() as connection:
            acceptances.replace(connection, accepted)

    def accepted(self) -> list[Accepted]:
        """Return the code versions that were accepted.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If the index cannot be read.
        """
        with reading(self._place) as connection:
            if connection is None:
                return []
            from cachestore.index import acceptances

            return acceptances.read(connection)

    def _read_misses(
        self, which: Callable[[sa.Table, str], sa.ColumnElement[bool]], limit: int | None
    ) -> list[NotedMiss]:
        with reading(self._place) as connection:
            if connection is None:
                return []
            from cachestore.index import misses
            from cachestore.index.tables import misses as table

            mine = table.select().where(which(table, connection.dialect.name))
            return misses.read(connection, mine.order_by(table.c.at.desc(), table.c.key).limit(limit))
