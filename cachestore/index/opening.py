"""Which index a store has, and what its address means."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from cachestore.errors import MissingExtra, SettingsError
from cachestore.index.index import Index
from cachestore.index.mounts import network_filesystem
from cachestore.index.place import FilePlace, MemoryPlace, Place, ServerPlace
from cachestore.settings.settings import is_url, without_password

_FILE_NAME = "index.sqlite"


def open_index(
    address: str | None,
    *,
    directory: Path | None,
    store_id: Callable[[], str | None],
    remote: bool,
    timeout: float,
) -> Index:
    """Return the index of a store; nothing is opened, and nothing asked of a network, before its first use.

    Parameters
    ----------
    address
        The path of an SQLite file, or an SQLAlchemy URL `sqlite:///...` or `postgresql://...`. None chooses
        by the store: `index.sqlite` in its local directory; a private file, named by the store's id, in the
        user's cache directory where there is none, or where it is on a network filesystem; memory for a store
        in memory.
    directory
        The local directory of the store, if it has one.
    store_id
        Returns the store's id, or None while it has none; called only for a private index.
    remote
        Whether the store is reached over a network.
    timeout
        Seconds that one operation may take in all.

    Raises
    ------
    SettingsError
        If the address has no meaning, or names an SQLite file on a network filesystem.
    MissingExtra
        If the address needs a driver that is not installed.
    """
    if address is not None:
        return Index(_named(address, timeout), private=False)
    if directory is None and not remote:
        return Index(MemoryPlace(timeout=timeout), private=False)
    if directory is None or network_filesystem(directory):
        return Index(_private(store_id, timeout), private=True)
    return Index(_file(directory / _FILE_NAME, timeout), private=False)


def _named(address: str, timeout: float) -> Place:
    if not is_url(address):
        return _local_file(Path(address), address, timeout)
    scheme, _, rest = address.partition("://")
    match scheme:
        case "sqlite" | "sqlite+pysqlite":
            if "?" in rest:
                raise SettingsError(
                    f"The index {address!r} has options after '?'. Name the file without any."
                )
            if rest in {"", "/", "/:memory:"}:
                return MemoryPlace(timeout=timeout)
            if rest.startswith("/"):
                return _local_file(Path(rest[1:]), address, timeout)
            raise SettingsError(
                f"The index {address!r} names a host, and an SQLite file has none. Write three slashes "
                "before a relative path, four for an absolute one: sqlite:////data/index.sqlite."
            )
        case "postgresql" | "postgres" | "postgresql+psycopg":
            if find_spec("psycopg") is None:
                raise MissingExtra(
                    f"The index {without_password(address)} is on PostgreSQL, and its driver is not "
                    "installed. Run: pip install 'cachestore[postgres]'."
                )
            address = f"postgresql+psycopg://{rest}"
            url = f"postgresql://{rest}"
            _check_server(address, url)
            return ServerPlace(address, url=without_password(url) or url, timeout=timeout)
    raise SettingsError(
        f"The index {without_password(address)!r} has a scheme that is not known. Name the path of an SQLite "
        "file, or postgresql://user@host/database."
    )


def _check_server(address: str, url: str) -> None:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        understood = make_url(address)
    except (ArgumentError, ValueError) as error:
        raise SettingsError(
            f"The index {without_password(url)!r} cannot be read as an address: {error}. "
            "Write postgresql://user@host:port/database."
        ) from error
    if not understood.database and not understood.query:  # options may name it: ?service=cache
        raise SettingsError(
            f"The index {without_password(url)!r} names no database. Write postgresql://user@host:port/database."
        )


def _local_file(path: Path, address: str, timeout: float) -> Place:
    path = path.expanduser().absolute()
    kind = network_filesystem(path)
    if kind is not None:
        raise SettingsError(
            f"The index {address!r} is an SQLite file on a network filesystem ({kind}), where SQLite's locks "
            "do not work and it would be damaged sooner or later. Name a file on a local disk, or a "
            "PostgreSQL database for the team: postgresql://user@host/database."
        )
    return _file(path, timeout)


def _file(path: Path, timeout: float) -> Place:
    path = path.absolute()
    return FilePlace(lambda: path, url=f"sqlite:///{path}", timeout=timeout)


def _private(store_id: Callable[[], str | None], timeout: float) -> Place:
    def locate() -> Path | None:
        known = store_id()
        if known is None:
            return None
        from platformdirs import user_cache_path

        return user_cache_path("cachestore") / f"{known}.sqlite"

    return FilePlace(locate, url="sqlite:///<user's cache directory>/<store id>.sqlite", timeout=timeout)
