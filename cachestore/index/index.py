"""The index: what is stored, who made it, and what it has saved."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from cachestore.errors import IndexUnavailable
from cachestore.index.buffer import NoteBuffer
from cachestore.index.history import History
from cachestore.index.place import Place, placed, reading

# A hit needs none of these, and making a dataclass takes as long as ten hits.
if TYPE_CHECKING:
    import sqlalchemy as sa

    from cachestore.index.entry import Entry
    from cachestore.index.evicted import Evicted
    from cachestore.index.missed import Missed, Note
    from cachestore.index.selection import Selection
    from cachestore.index.spent import Spent
    from cachestore.index.statistics import Statistics
    from cachestore.index.touch import Touch


class Index:
    """Keeps one row per blob, counts its uses and the misses; the rows can be made again from the blobs.

    It opens its database at the first real use. Reading never makes one: until something was recorded there
    is nothing to find. Threads may share it, and a forked process goes on with it.

    Parameters
    ----------
    place
        Where it is.
    private
        Whether it knows only the uses of this user on this machine.

    Attributes
    ----------
    history
        What was missed, given up and accepted.
    """

    def __init__(self, place: Place, *, private: bool) -> None:
        self.private = private
        self.history = History(place)
        self._place = place
        self._buffer = NoteBuffer(lambda notes: _deliver(place, notes), background=place.remote)
        # The buffer must not know the index, so that it outlives it: what it holds leaves when the index is
        # collected, or at exit.
        if place.lasting:
            weakref.finalize(self, self._buffer.flush_quietly)
        self._exit_noted = False
        # Code versions whose parts this process has noted: they are the largest part of a miss.
        self._versions_noted: set[str] = set()
        _live.add(self)

    @property
    def url(self) -> str:
        """Where the index is, without a password."""
        return self._place.url

    def record(self, entries: Iterable[Entry]) -> None:
        """Write rows; those that exist keep their hits, the seconds these saved, and their last use.

        The last use is never before the creation: a value that is computed again has been used.

        Parameters
        ----------
        entries
            What the rows say.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If they cannot be written.
        """
        from cachestore.index import rows

        entries = list(entries)
        if entries:
            with placed(self._place).writing() as connection:
                rows.record(connection, entries)

    def touch(self, touch: Touch) -> None:
        """Note a use. This does no SQL and never raises; the note leaves with a batch.

        Parameters
        ----------
        touch
            Who used what.
        """
        self._note(touch)

    def miss(self, missed: Missed) -> None:
        """Note a miss, as cheaply as a use."""
        if missed.code_version in self._versions_noted:
            missed = replace(missed, code_parts=None)
        self._versions_noted.add(missed.code_version)
        self._note(missed)

    def spend(self, spent: Spent) -> None:
        """Note what caching cost, as cheaply as a use."""
        self._note(spent)

    def flush(self) -> None:
        """Hand on what was noted so far: to the spool, or where there is none to the database.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If they cannot be taken; they are kept then.
        """
        self._buffer.flush()

    def merge(self) -> list[str]:
        """Count the uses and misses that wait in the spool, each exactly once.

        Returns
        -------
        list of str
            The keys that were used and have no row. Whoever finds their blobs records them, and their uses
            then count; the others are to be forgotten.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If they cannot be counted; they are kept then.
        """
        self.flush()
        database = self._place.database()
        if database is None:
            return []
        try:
            spool = self._place.spool()
            if not database.is_made() and (spool is None or spool.is_empty()):
                return []

            from cachestore.index import spooled, uses

            if spool is not None:
                spooled.take_in(spool, database)
        except OSError as error:
            raise IndexUnavailable(
                f"The notes beside the index {self.url} cannot be taken in: {error}"
            ) from error
        with database.writing() as connection:
            uses.settle(connection)
            return uses.waiting(connection)

    def get(self, key: str) -> Entry | None:
        """Return the entry of a key; None when it has no row.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If the index cannot be read.
        """
        from cachestore.index.tables import entries

        found = self._read(entries.select().where(entries.c.key == key))
        return found[0] if found else None

    def find(self, prefix: str) -> list[Entry]:
        """Return the entries whose keys begin with a prefix, by key.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If the index cannot be read.
        """
        from cachestore.index.selection import begins
        from cachestore.index.tables import entries

        return self._read(entries.select().where(begins(entries.c.key, prefix)).order_by(entries.c.key))

    def forget(self, keys: Iterable[str], evicted: Iterable[Evicted] = ()) -> int:
        """Delete rows with their uses; keys without a row are no error.

        Parameters
        ----------
        keys
            Whose rows.
        evicted
            What is to be remembered of those that were given up on purpose.

        Returns
        -------
        int
            How many rows there were.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If they cannot be deleted.
        """
        from cachestore.index import rows

        keys = list(keys)
        database = self._place.database()
        if not keys or database is None or not database.is_made():
            return 0
        with database.writing() as connection:
            return rows.forget(connection, keys, evicted)

    def select(self, selection: Selection) -> list[Entry]:
        """Return the entries that a selection names, in its order.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If the index cannot be read.
        """
        return self._read(selection)

    def statistics(self) -> Statistics:
        """Sum up all entries and their uses.

        Raises
        ------
        IndexUnavailable, SchemaMismatch
            If the index cannot be read.
        """
        from cachestore.index.statistics import Statistics, gather

        with reading(self._place) as connection:
            return Statistics() if connection is None else gather(connection)

    def version(self) -> str | None:
        """Return the revision of the tables; None when there are none yet.

        Raises
        ------
        IndexUnavailable
            If the index cannot be read.
        """
        database = self._place.database()
        return None if database is None else database.version()

    def migrate(self) -> str:
        """Bring the tables to the newest revision, and return it.

        Raises
        ------
        IndexUnavailable
            If the tables cannot be changed.
        SchemaMismatch
            If they are newer than this cachestore; nothing is changed then.
        """
        return placed(self._place).migrate()

    def close(self) -> None:
        """Hand on what was noted, and close what was opened; the next use opens it again."""
        self._buffer.flush_quietly()
        self._place.close()

    def _read(self, what: Selection | sa.Select[tuple[object, ...]]) -> list[Entry]:
        from cachestore.index import rows
        from cachestore.index.selection import Selection

        with reading(self._place) as connection:
            if connection is None:
                return []
            if isinstance(what, Selection):
                what = what.statement(connection.dialect.name)
            return rows.read(connection, what)

    def _note(self, note: Note) -> None:
        if not self._exit_noted:
            self._note_exit()
        self._buffer.add(note)

    def _note_exit(self) -> None:
        # A process that multiprocessing forked ends without running what was to run at exit, but for this.
        self._exit_noted = True
        multiprocessing = sys.modules.get("multiprocessing.util")
        if multiprocessing is not None:
            known = weakref.ref(self._buffer)
            multiprocessing.Finalize(None, _flush, args=(known,), exitpriority=0)

    def _after_fork(self) -> None:
        self._exit_noted = False
        self._buffer.after_fork()
        self._place.after_fork()


def _deliver(place: Place, noted: list[Note]) -> None:
    spool = place.spool()
    if spool is not None:
        try:
            spool.append(noted)
        except OSError as error:
            raise IndexUnavailable(
                f"Uses and misses could not be noted beside the index {place.url}: {error}"
            ) from error
        return
    from cachestore.index import notes

    database = place.database()
    if database is not None:
        with database.writing() as connection:
            notes.apply(connection, noted)


def _flush(known: weakref.ref[NoteBuffer]) -> None:
    buffer = known()
    if buffer is not None:
        buffer.flush_quietly()


_live: weakref.WeakSet[Index] = weakref.WeakSet()


def _after_fork() -> None:
    for index in list(_live):
        index._after_fork()


os.register_at_fork(after_in_child=_after_fork)
