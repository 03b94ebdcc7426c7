"""The revision of a database: read, compared with ours, brought up to date."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from cachestore.errors import IndexUnavailable, SchemaMismatch

if TYPE_CHECKING:
    import sqlalchemy as sa

# Every revision, oldest first. Importing Alembic takes longer than opening an index; this list saves it, and
# a test compares it with the migrations themselves.
REVISIONS = ("0001", "0002", "0003")
HEAD = REVISIONS[-1]

_VERSION_TABLE = "alembic_version"
# Any number that no other application is likely to lock on the same server: "cachesto".
_ADVISORY_LOCK = int.from_bytes(b"cachesto")

# Alembic hands the connection to the migrations through module globals: one upgrade at a time in a process.
_upgrading = threading.RLock()
_under_way = False


def _renew_lock() -> None:
    global _upgrading, _under_way
    _upgrading = threading.RLock()
    _under_way = False


os.register_at_fork(after_in_child=_renew_lock)


def folder() -> Path:
    """Return the folder of the migrations: inside the installed package, or beside it in a checkout.

    Raises
    ------
    IndexUnavailable
        If the installation lacks it.
    """
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "migrations", package.parent / "migrations"):
        if (candidate / "env.py").is_file():
            return candidate
    raise IndexUnavailable(
        f"The migrations of the index are neither in {package} nor beside it, so this installation of "
        "cachestore is incomplete and cannot make an index. Install it again."
    )


def current(connection: sa.Connection) -> str | None:
    """Return the revision of a database; None for one that holds no index yet."""
    import sqlalchemy as sa

    if not sa.inspect(connection).has_table(_VERSION_TABLE):
        return None
    revision: str | None = connection.scalar(sa.text(f"SELECT version_num FROM {_VERSION_TABLE}"))
    return revision


def check(revision: str, name: str) -> None:
    """Compare the revision of the index `name` with ours.

    Raises
    ------
    SchemaMismatch
        If it is another; the text says what to do.
    """
    if revision == HEAD:
        return
    if revision in REVISIONS:
        raise SchemaMismatch(
            f"The index {name} has revision {revision}, made by an older cachestore; this one works with "
            f"{HEAD}. Run `cachestore migrate`."
        )
    raise SchemaMismatch(
        f"The index {name} has revision {revision}, which this cachestore (revision {HEAD}) does not know: a "
        "newer one made it. Upgrade cachestore; nothing was changed."
    )


def create_or_check(connection: sa.Connection, name: str) -> None:
    """Make the tables in an empty database, or check those of another.

    Raises
    ------
    SchemaMismatch
        If the tables are of another revision.
    """
    revision = current(connection)
    if revision is None:
        _lock(connection)
        # Another process may have made them while this one waited.
        revision = current(connection)
    if revision is None:
        _to_head(connection)
    else:
        check(revision, name)


def upgrade(connection: sa.Connection, name: str) -> None:
    """Bring the tables to the newest revision; they may be missing, or up to date already.

    Raises
    ------
    SchemaMismatch
        If the tables are newer than this cachestore.
    """
    _lock(connection)
    revision = current(connection)
    if revision is not None and revision not in REVISIONS:
        check(revision, name)
    _to_head(connection)


def _lock(connection: sa.Connection) -> None:
    # In SQLite the transaction itself, begun with BEGIN IMMEDIATE, keeps all other writers out.
    if connection.dialect.name == "postgresql":
        import sqlalchemy as sa

        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))


def _to_head(connection: sa.Connection) -> None:
    global _under_way
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(folder()).replace("%", "%%"))
    with _upgrading:
        if _under_way:
            # Whatever is collected as garbage in the middle runs in this thread, and may hand on what it has noted.
            raise IndexUnavailable("The tables of another index are being made by this thread just now.")
        _under_way = True
        try:
            command.upgrade(config, "head")
        finally:
            _under_way = False
