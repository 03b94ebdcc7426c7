"""From a location to the store that keeps it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachestore.errors import MissingExtra, SettingsError
from cachestore.settings.settings import without_password
from cachestore.storage.local_store import LocalStore
from cachestore.storage.object_store import ObjectStore

if TYPE_CHECKING:
    from cachestore.storage.near_directory import Tell

_log = logging.getLogger(__name__)

_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_LOCAL = {"file", "local"}
_EXTRAS = {"s3": "'cachestore[s3]'", "s3a": "'cachestore[s3]'"}


def open_store(
    location: str,
    *,
    storage_options: Mapping[str, Any] | None = None,
    timeout: float = 5.0,
    durable: bool = True,
) -> ObjectStore:
    """Open the store at a location, without asking it anything yet.

    Parameters
    ----------
    location
        A directory, which need not be there yet, or an fsspec URL: `s3://bucket/prefix`, `memory://name`.
    storage_options
        The options of the fsspec filesystem; a directory has none.
    timeout
        Seconds that one operation on a remote store may take in all.
    durable
        Whether a put into a directory waits until it is on the disk.

    Returns
    -------
    ObjectStore
        Guarded by a deadline, retries and a breaker when it is remote.

    Raises
    ------
    SettingsError
        If the location has no meaning, or names a protocol that nobody knows.
    MissingExtra
        If the package for the protocol is not installed.

    Examples
    --------
    >>> store = open_store("memory://team")
    >>> store.put("marks/a", [b"1"])
    >>> store.get("marks/a")
    b'1'
    """
    shown = without_password(location)
    if not location.strip() or "\0" in location:
        raise SettingsError(
            f"{location!r} is no location. Give a directory or a URL such as s3://bucket/prefix."
        )
    if "::" in location and "://" in location:
        raise SettingsError(
            f"{shown!r} chains filesystems, and a chained cache may answer with what is long gone. "
            "Give the plain URL."
        )
    match = _PROTOCOL.match(location)
    if match is None:
        return _open_directory(location, location, durable)
    if not location.startswith("//", match.end() - 1):
        raise SettingsError(f"{shown!r} is neither a path nor a URL. Write {match[1]}://, with two slashes.")
    protocol = match[1].lower()
    rest = location[match.end() + 1 :]
    if protocol in _LOCAL:
        return _open_directory(rest, location, durable)
    return _open_url(protocol, f"{protocol}://{rest}", storage_options or {}, timeout)


def with_near(
    far: ObjectStore,
    near: str | os.PathLike[str],
    *,
    location: str,
    storage_options: Mapping[str, Any],
    limit: int,
    write_behind: bool,
    tell: Tell,
) -> ObjectStore:
    """Put a near directory before the store at a location; a store that is of this machine is near already.

    Parameters
    ----------
    far
        What `open_store` opened.
    near
        A directory, in which each remote store has a folder of its own.
    location, storage_options
        What the store was opened with.
    limit, write_behind, tell
        As of `TieredStore`.
    """
    if not far.remote:
        _log.debug("%s is near: no copies of it are kept in %s", far.url, near)
        return far
    from cachestore.storage.address import address_of
    from cachestore.storage.tiered_store import TieredStore

    folder = Path(near).expanduser() / address_of(location, storage_options)
    return TieredStore(far, folder, limit=limit, write_behind=write_behind, tell=tell)


def _open_directory(path: str, location: str, durable: bool) -> LocalStore:
    if not path:
        raise SettingsError(f"{location!r} names no directory. Write file:///path/to/it.")
    root = Path(path).expanduser()
    # Where nobody may look, the first operation says so, as a failure of the store.
    with suppress(OSError):
        if root.exists() and not root.is_dir():
            raise SettingsError(f"{root} is a file, and a store is a directory. Choose another location.")
    return LocalStore(root, durable=durable)


def _open_url(
    protocol: str, location: str, storage_options: Mapping[str, Any], timeout: float
) -> ObjectStore:
    from cachestore.storage.fsspec_store import Capabilities, FsspecStore
    from cachestore.storage.guarded_store import GuardedStore
    from cachestore.storage.s3_store import S3Store

    s3 = (S3Store, Capabilities(suffix_ranges=True, whole_puts=True, exclusive_creates=True))
    gcs = (FsspecStore, Capabilities(suffix_ranges=True, whole_puts=True, exclusive_creates=True))
    azure = (FsspecStore, Capabilities(whole_puts=True, exclusive_creates=True))
    known: dict[str, tuple[type[FsspecStore], Capabilities]] = {
        "memory": (FsspecStore, Capabilities(remote=False, suffix_ranges=True, whole_puts=True)),
        "s3": s3, "s3a": s3, "gs": gcs, "gcs": gcs, "abfs": azure, "abfss": azure, "az": azure,
    }  # fmt: skip
    _check_installed(protocol)
    kind, capabilities = known.get(protocol, (FsspecStore, Capabilities()))
    store = kind(location, storage_options=storage_options, capabilities=capabilities, timeout=timeout)
    return GuardedStore(store, timeout=timeout) if store.remote else store


def _check_installed(protocol: str) -> None:
    """Refuse a protocol now rather than at the first operation, without importing its package."""
    from importlib.util import find_spec

    from fsspec.registry import known_implementations, registry

    if protocol in registry:
        return
    if protocol not in known_implementations:
        raise SettingsError(
            f"Nobody knows the protocol {protocol}://. Give a directory, or a URL that fsspec understands: "
            "s3://, gs://, abfs://, memory://, ..."
        )
    package = known_implementations[protocol]["class"].partition(".")[0]
    if find_spec(package) is None:
        what = _EXTRAS.get(protocol, package)
        raise MissingExtra(f"{protocol}:// needs the package {package}: pip install {what}")
