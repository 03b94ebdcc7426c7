"""Where an index is; its database is opened when it is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cachestore.errors import IndexUnavailable, StorageError
from cachestore.index.spool import Spool

if TYPE_CHECKING:
    import sqlalchemy as sa

    from cachestore.index.engine import Database


class Place(Protocol):
    """Gives an index its database, and the spool beside it where there is one."""

    @property
    def url(self) -> str:
        """Where it is, without a password."""

    # Whether touching may take long, so that touches leave from a thread of their own.
    remote: bool
    # Whether anybody can read it once the index is gone.
    lasting: bool

    def database(self) -> Database | None:
        """Return the database; None while it has no place yet."""

    def spool(self) -> Spool | None:
        """Return the spool; None where touches go straight to the database."""

    def close(self) -> None:
        """Close what was opened."""

    def after_fork(self) -> None:
        """Leave to the parent process what is the parent's."""


@contextmanager
def reading(place: Place) -> Iterator[sa.Connection | None]:
    """Run a block in a transaction that reads; without a connection where there is nothing yet to read.

    Raises
    ------
    IndexUnavailable, SchemaMismatch
        If the index cannot be read.
    """
    database = place.database()
    if database is None:
        yield None
        return
    with database.reading() as connection:
        yield connection


def placed(place: Place) -> Database:
    """Return the database of a place that is to be written.

    Raises
    ------
    IndexUnavailable
        If it has no name yet.
    """
    database = place.database()
    if database is None:
        raise _unnamed(place.url)
    return database


def _unnamed(url: str) -> IndexUnavailable:
    return IndexUnavailable(
        f"The private index {url} has no name yet: it is named by the store's id, and nothing was written to the store "
        "so far."
    )


class _Place:
    remote = False
    lasting = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._database: Database | None = None

    def spool(self) -> Spool | None:
        return None

    def database(self) -> Database | None:
        with self._lock:
            if self._database is None:
                self._database = self._open()
            return self._database

    def _open(self) -> Database | None:
        raise NotImplementedError

    def close(self) -> None:
        if self._database is not None:
            self._database.close()

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        if self._database is not None:
            self._database.after_fork()


class FilePlace(_Place):
    """Is an SQLite file with its spool beside it.

    Parameters
    ----------
    locate
        Returns the path, or None while it cannot be known; asked when the index is first used.
    url
        What to show as long as the path is not known.
    timeout
        Seconds that one operation may take in all.
    """

    def __init__(self, locate: Callable[[], Path | None], *, url: str, timeout: float) -> None:
        super().__init__()
        self._locate = locate
        self._url = url
        self._timeout = timeout
        self._path: Path | None = None

    @property
    def url(self) -> str:
        """Where the file is, as an SQLAlchemy URL."""
        return self._url if self._path is None else f"sqlite:///{self._path}"

    def spool(self) -> Spool | None:
        """Return the spool beside the file."""
        path = self._found()
        if path is None:
            raise _unnamed(self._url)
        return Spool(path.with_name(path.name + ".spool"), timeout=self._timeout)

    def _open(self) -> Database | None:
        from cachestore.index.sqlite_file import FileDatabase

        path = self._found()
        return None if path is None else FileDatabase(path, timeout=self._timeout)

    def _found(self) -> Path | None:
        if self._path is None:
            try:
                self._path = self._locate()
            except StorageError as error:
                raise IndexUnavailable(
                    "The private index of the store cannot be found, since the store does not answer: "
                    f"{error}"
                ) from error
        return self._path


class MemoryPlace(_Place):
    """Is the memory of this process."""

    url = "sqlite://"
    lasting = False

    def __init__(self, *, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout

    def _open(self) -> Database:
        from cachestore.index.sqlite_file import MemoryDatabase

        return MemoryDatabase(timeout=self._timeout)


class ServerPlace(_Place):
    """Is a PostgreSQL server.

    Parameters
    ----------
    address
        Its SQLAlchemy URL, with password.
    url
        The same without.
    timeout
        Seconds that one operation may take in all.
    """

    remote = True

    def __init__(self, address: str, *, url: str, timeout: float) -> None:
        super().__init__()
        self._address = address
        self.url = url
        self._timeout = timeout

    def _open(self) -> Database:
        from cachestore.index.server import ServerDatabase

        return ServerDatabase(self._address, self.url, timeout=self._timeout)
