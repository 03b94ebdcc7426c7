"""An index on a PostgreSQL server, shared by a team."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from cachestore.index.deadline import Deadline
from cachestore.index.engine import Database

# Seconds for which a server that did not answer in time is not asked again.
_SILENCE = 10.0


class ServerDatabase(Database):
    """Runs transactions on a PostgreSQL server, each within its time whatever the server does.

    Parameters
    ----------
    address
        Its SQLAlchemy URL, with password.
    name
        The same without, for messages.
    timeout
        Seconds that one operation may take in all.
    """

    def __init__(self, address: str, name: str, *, timeout: float) -> None:
        super().__init__(name, timeout=timeout)
        self._address = address
        self._silent_until = 0.0
        # The deadline of the operation that this thread is in, for the connections it makes or takes.
        self._current = threading.local()

    def _engine_of_existing(self) -> sa.Engine:
        return self._engine_of_made()

    def _engine_of_made(self) -> sa.Engine:
        with self._lock:
            if self._engine is None:
                self._engine = sa.create_engine(
                    self._address,
                    # A process needs one connection, and its thread of touches another. A team has many
                    # processes.
                    pool_size=2,
                    max_overflow=3,
                    pool_timeout=self.timeout,
                    pool_recycle=1800,
                    connect_args={"connect_timeout": max(2, math.ceil(self.timeout))},
                )
                sa.event.listen(self._engine, "do_connect", self._connect)
                sa.event.listen(self._engine, "checkout", self._watch)
            return self._engine

    @contextmanager
    def _begin(
        self, engine: sa.Engine, *, writes: bool, timeout: float | None = None
    ) -> Iterator[sa.Connection]:
        timeout = self.timeout if timeout is None else timeout
        if time.monotonic() < self._silent_until:
            raise TimeoutError("it did not answer a moment ago")
        deadline = self._current.deadline = Deadline(timeout)
        try:
            with self._alive(engine, timeout) as connection:
                yield connection
                connection.commit()
        except (sa.exc.DBAPIError, TimeoutError) as error:
            if not deadline.passed:
                raise
            # A refusal costs nothing, and may be over the next moment. Waiting costs, and must not add up.
            self._silent_until = time.monotonic() + _SILENCE
            raise TimeoutError(f"no answer within {timeout:g} s") from error
        finally:
            deadline.end()

    def _alive(self, engine: sa.Engine, timeout: float) -> sa.Connection:
        # A connection of the pool may be dead since the server was restarted: the first statement tells, and
        # SQLAlchemy then drops all of them. It sets a limit on the server's side too, so that a statement
        # given up here does not go on there; for this transaction only, which a connection pooler between
        # understands.
        limit = f"SET LOCAL statement_timeout = {max(1, round(timeout * 1000))}"
        connection = engine.connect()
        try:
            connection.exec_driver_sql(limit)
        except sa.exc.DBAPIError as error:
            connection.close()
            if not error.connection_invalidated or self._current.deadline.passed:
                raise
            self._checked = None
            connection = engine.connect()
            connection.exec_driver_sql(limit)
        return connection

    def _connect(
        self, dialect: sa.Dialect, _record: object, arguments: list[Any], options: dict[str, Any]
    ) -> Any:
        # The driver's own connect_timeout counts whole seconds, from 2, per address, and not the name
        # service.
        connection = self._current.deadline.within(
            lambda: dialect.connect(*arguments, **options), discard=lambda late: late.close()
        )
        # SQLAlchemy asks the server some questions before the connection is checked out.
        self._watch(connection)
        return connection

    def _watch(self, connection: Any, *_more: object) -> None:
        self._current.deadline.add(connection)

    def _describe(self, error: BaseException) -> str:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return (
            f"The index {self.name} does not answer as it should: {reason}. Check that the server runs, and "
            "that the address, the name and the password (PGPASSWORD or ~/.pgpass) are right; until then, "
            "results are found and stored, but not counted."
        )
