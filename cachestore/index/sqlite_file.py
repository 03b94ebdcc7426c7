"""An index in one SQLite file, shared by the processes of one machine; or in memory."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cachestore.index.engine import Database
from cachestore.index.files import locked, make_folder, share


class FileDatabase(Database):
    """Runs transactions on an SQLite file, and notices when the file is deleted or replaced."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        super().__init__(str(path), timeout=timeout)
        self._path = path
        self._identity: tuple[int, ...] | None = None

    def _engine_of_existing(self) -> sa.Engine | None:
        with self._lock:
            still = self._lies_still()
            identity = _identity(self._path, still=still)
            # The connections of the pool keep the old file, and with it its inode number, from being used
            # again.
            if identity != self._identity:
                self.close()
                self._identity = identity
            if identity is None:
                return None
            if self._engine is None:
                url = _url(self._path.as_uri(), uri="true", immutable="1") if still else _url(str(self._path))
                self._engine = _engine(
                    url,
                    _leave_transactions_alone if still else self._prepare,
                    connect_args={"timeout": self.timeout, "check_same_thread": False},
                    poolclass=sa.pool.QueuePool,
                    pool_timeout=self.timeout,
                )
            return self._engine

    def _lies_still(self) -> bool:
        """Tell whether nobody has the file open, and this process can make no journals beside it to open it so.

        SQLite then reads it when told that it does not change. Should somebody begin to write it meanwhile, the next
        transaction notices.
        """
        return not os.access(self._path.parent, os.W_OK) and not _journal(self._path, "-wal").exists()

    def _engine_of_made(self) -> sa.Engine:
        with self._lock:
            if (engine := self._engine_of_existing()) is None:
                self._make_file()
                engine = self._engine_of_existing()
            if engine is None:
                raise FileNotFoundError(f"{self._path} was deleted at once")
            return engine

    def _make_file(self) -> None:
        make_folder(self._path.parent)
        # Otherwise a second process would delete the journals that the first has just made.
        with self._folder_locked():
            if self._path.exists():
                return
            # A process that still has the deleted file open has these open too. A new database that shared
            # them with it would be damaged.
            for ending in ("-wal", "-shm", "-journal"):
                _journal(self._path, ending).unlink(missing_ok=True)
            file = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            share(file, self._path.parent)
            os.close(file)

    def _prepare(self, connection: sqlite3.Connection, _record: object) -> None:
        _leave_transactions_alone(connection)
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            # Of two that change it at once one is told "locked", whatever its timeout.
            with self._folder_locked():
                connection.execute("PRAGMA journal_mode = WAL")
        # Safe in WAL mode: a power cut may lose the last transactions, and never damages the file.
        connection.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def _folder_locked(self) -> Iterator[None]:
        # This lock leaves no file behind.
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            with locked(folder, timeout=self.timeout) as held:
                if not held:
                    raise TimeoutError(f"the folder {self._path.parent} is locked by another process")
                yield
        finally:
            os.close(folder)

    def _describe(self, error: BaseException) -> str:
        return describe(self._path, error, timeout=self.timeout)


class MemoryDatabase(Database):
    """Runs transactions, one at a time, on a database that ends with the process."""

    def __init__(self, *, timeout: float) -> None:
        super().__init__("in memory", timeout=timeout)

    def _engine_of_existing(self) -> sa.Engine | None:
        return self._engine

    def _engine_of_made(self) -> sa.Engine:
        with self._lock:
            if self._engine is None:
                self._engine = _engine(
                    _url(":memory:"),
                    _leave_transactions_alone,
                    connect_args={"check_same_thread": False},
                    poolclass=sa.pool.StaticPool,
                )
            return self._engine

    def close(self) -> None:
        """Keep the connection: closing it would empty the database."""

    @contextmanager
    def _begin(
        self, engine: sa.Engine, *, writes: bool, timeout: float | None = None
    ) -> Iterator[sa.Connection]:
        # All threads share the one connection.
        with self._lock, super()._begin(engine, writes=writes, timeout=timeout) as connection:
            yield connection

    def _describe(self, error: BaseException) -> str:
        return f"The index in memory failed: {error}. `cachestore rebuild` makes another from the blobs."


def describe(path: Path, error: BaseException, *, timeout: float) -> str:
    """Say in one paragraph what is wrong with an SQLite file and what to do.

    Parameters
    ----------
    path
        The file.
    error
        What SQLite or the operating system said.
    timeout
        How long was waited for a lock, in seconds.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        return (
            f"The index {path} is not a database, or it is damaged ({error}). If it is the index of a store, it "
            "may be deleted: no value is lost, and `cachestore rebuild` makes it again from the blobs. If it is "
            "something else, name another file as the index."
        )
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return (
            f"The index {path} was locked by another process for more than {timeout:g} s. "
            "Try again when that process is done."
        )
    if code == sqlite3.SQLITE_FULL:
        return f"The index {path} cannot grow: the disk is full. Free some space: `cachestore gc`."
    return (
        f"The index {path} cannot be opened or written: {error}. Check that its folder exists and may be "
        "written, or name another place with index= or CACHESTORE_INDEX."
    )


def _identity(path: Path, *, still: bool) -> tuple[int, ...] | None:
    """Return what differs once the file is another one; or, for one that is taken to lie still, has changed."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino, *((found.st_mtime_ns, found.st_size) if still else ()))


def _journal(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _url(database: str, **query: str) -> sa.URL:
    return sa.URL.create("sqlite", database=database, query=query)


def _engine(url: sa.URL, prepare: Callable[[sqlite3.Connection, object], None], **options: Any) -> sa.Engine:
    engine = sa.create_engine(url, **options)
    sa.event.listen(engine, "connect", prepare)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _leave_transactions_alone(connection: sqlite3.Connection, _record: object = None) -> None:
    # The driver would begin them on its own, and only before some statements.
    connection.isolation_level = None


def _begin(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later could not wait for the lock: SQLite answers "locked" at
    # once.
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
