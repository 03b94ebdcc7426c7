"""Transactions on a database of either kind: begun late, bounded in time, with errors in our own words."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from cachestore.errors import IndexUnavailable
from cachestore.index import migration

logger = logging.getLogger(__name__)

# Engines of the parent of a forked process. Closing one here could drop the parent's locks or end its session
# on the server, and so could collecting it.
_inherited: list[sa.Engine] = []

# Somebody waits for a migration on purpose, and a large table takes its time.
_MIGRATION_TIMEOUT = 3600.0


class Database(ABC):
    """Runs transactions on one database, which it opens at the first one and makes at the first write.

    Parameters
    ----------
    name
        How messages call it; without a password.
    timeout
        Seconds that one operation may take in all.
    """

    def __init__(self, name: str, *, timeout: float) -> None:
        self.name = name
        self.timeout = timeout
        self._lock = threading.RLock()
        self._engine: sa.Engine | None = None
        # The engine whose schema was found to be ours.
        self._checked: sa.Engine | None = None

    @contextmanager
    def reading(self) -> Iterator[sa.Connection | None]:
        """Run a block in a transaction that reads; without a connection when there is nothing yet to read.

        Raises
        ------
        IndexUnavailable
            If the database does not answer.
        SchemaMismatch
            If another version of cachestore made it.
        """
        with self._in_our_words():
            engine = self._engine_of_existing()
            if engine is None:
                yield None
                return
            with self._begin(engine, writes=False) as connection:
                if engine is not self._checked:
                    revision = migration.current(connection)
                    if revision is None:
                        yield None
                        return
                    migration.check(revision, self.name)
                    self._checked = engine
                yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Run a block in a transaction that writes; an empty database gets its tables first.

        Raises
        ------
        IndexUnavailable
            If the database does not answer, or cannot be written.
        SchemaMismatch
            If another version of cachestore made it.
        """
        with self._in_our_words():
            engine = self._engine_of_made()
            with self._begin(engine, writes=True) as connection:
                if engine is not self._checked:
                    migration.create_or_check(connection, self.name)
                yield connection
            # Only now are the tables there for good.
            self._checked = engine

    def is_made(self) -> bool:
        """Say whether there are tables, of whatever revision."""
        with self._in_our_words():
            engine = self._engine_of_existing()
        return engine is not None and (engine is self._checked or self.version() is not None)

    def version(self) -> str | None:
        """Return the revision of the tables; None when there are none."""
        with self._in_our_words():
            engine = self._engine_of_existing()
            if engine is None:
                return None
            with self._begin(engine, writes=False) as connection:
                return migration.current(connection)

    def migrate(self) -> str:
        """Bring the tables to the newest revision, and return it."""
        with self._in_our_words():
            with self._begin(self._engine_of_made(), writes=True, timeout=_MIGRATION_TIMEOUT) as connection:
                migration.upgrade(connection, self.name)
            return migration.HEAD

    def close(self) -> None:
        """Close all connections; the next transaction opens them again."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
            self._engine = None

    def after_fork(self) -> None:
        """Leave to the parent process what is the parent's."""
        self._lock = threading.RLock()
        if self._engine is not None:
            _inherited.append(self._engine)
        self._engine = None

    @abstractmethod
    def _engine_of_existing(self) -> sa.Engine | None:
        """Return the engine; None when there is no database."""

    @abstractmethod
    def _engine_of_made(self) -> sa.Engine:
        """Return the engine, after making the database if need be."""

    @abstractmethod
    def _describe(self, error: BaseException) -> str:
        """Say in one paragraph what is wrong with the database and what to do."""

    @contextmanager
    def _begin(
        self, engine: sa.Engine, *, writes: bool, timeout: float | None = None
    ) -> Iterator[sa.Connection]:
        with engine.connect().execution_options(writes=writes) as connection, connection.begin():
            yield connection

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.SQLAlchemyError, OSError) as error:
            # What was found to be right may have gone: a server may have been set up anew.
            self._checked = None
            cause = getattr(error, "orig", None) or error
            logger.debug("The index %s failed", self.name, exc_info=True)
            raise IndexUnavailable(self._describe(cause)) from error
