"""Which cache some settings mean, and the caches that this process has open."""

from __future__ import annotations

import copyreg
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from cachestore.blob import codec_chooser
from cachestore.cache.cache import Cache
from cachestore.cache.store_file import read_store_id
from cachestore.cache.trouble import Trouble
from cachestore.errors import SettingsError, StorageError
from cachestore.index import open_index
from cachestore.settings import Settings, is_url, settings_here
from cachestore.storage import STORE_FILE, open_store, with_near

_opened: weakref.WeakValueDictionary[str, Cache] = weakref.WeakValueDictionary()
_lock = threading.Lock()
# A copy may be a quarter of the limit, and the blob of a small number has nearly 1 KiB.
_LEAST_NEAR = 4 * 2**10


def _take_turns_anew() -> None:
    global _lock
    _lock = threading.Lock()


# Another thread of the parent may be opening a cache at the fork, and is not there to finish.
os.register_at_fork(after_in_child=_take_turns_anew)


def located(location: str | Path) -> str:
    """Return a location as it is taken: a URL as it is, a directory absolute.

    Where only the subfolder `cachestore` of a directory holds a store (as `Memory("directory")` makes it), that is
    meant.
    """
    text = str(location)
    if not text.strip():
        raise SettingsError("The location is empty. Name a directory or a URL such as s3://bucket/prefix.")
    if isinstance(location, str) and is_url(location):
        return location
    directory = _absolute(text)
    inner = inside(directory)
    return str(inner if _holds_store(inner) and not _holds_store(directory) else directory)


def inside(directory: str | Path) -> Path:
    """Return where a store lies in a directory that is not its own, as joblib has a subfolder there."""
    return _absolute(directory) / "cachestore"


def _absolute(directory: str | Path) -> Path:
    """Return a directory's absolute path: the process may change its working directory later."""
    try:
        return Path(os.path.abspath(Path(directory).expanduser()))  # noqa: PTH100 - takes `..` out, leaves links
    except FileNotFoundError as error:
        raise SettingsError(
            f"{directory} is relative, and the working directory was removed. Set an absolute path, or work elsewhere."
        ) from error


def _holds_store(directory: Path) -> bool:
    try:
        return (directory / STORE_FILE).exists()
    except OSError:  # a directory that may not be entered: opening it says so
        return False


def open_cache(settings: Settings) -> Cache:
    """Open the cache that settings name; the same settings give the same cache in one process.

    Raises
    ------
    SettingsError, MissingExtra
        If the location or the index have no meaning, or need a package that is not installed.
    """
    if settings.location is None:
        raise SettingsError("The location is None: there is no cache to open. Name a directory or a URL.")
    name = settings.identity()
    with _lock:
        cache = _opened.get(name)
        if cache is None:
            cache = _opened[name] = _open(settings)
        return cache


def open_at(
    location: str,
    *,
    index: str | None = None,
    near: str | Path | Literal[False] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    compress: Any = None,
    verbose: float = 0,
) -> Cache:
    """Open the cache at a place that code names; what it does not say is left to the settings of whoever calls.

    Raises
    ------
    SettingsError, MissingExtra
        If the location or the index have no meaning, or need a package that is not installed.
    """
    settings = settings_at(location, index=index, near=near, storage_options=storage_options)
    return open_cache(replace(settings, compress=compress, verbose=int(verbose)))


def settings_at(
    location: str,
    *,
    index: str | None = None,
    near: str | Path | Literal[False] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Settings:
    """Return the settings of whoever calls, for a place that code names.

    Raises
    ------
    SettingsError
        If one has no meaning.
    """
    return _keeping_near(settings_here(), near).at(location, index=index, storage_options=storage_options)


def cache_at(location: Cache | str | Path, *, compress: Any = None, verbose: float = 0) -> Cache:
    """Return a cache that is given, or open the one at a directory or URL.

    Raises
    ------
    SettingsError, MissingExtra
        If the location has no meaning, or needs a package that is not installed.
    """
    if isinstance(location, Cache):
        return location
    if not isinstance(location, str | Path):
        raise SettingsError(
            f"The location is a {type(location).__name__}. Give a directory, a URL, or the store_backend of a Memory."
        )
    return open_at(located(location), compress=compress, verbose=verbose)


def open_settled(
    location: str | Path | None = None, *, near: str | Path | Literal[False] | None = None
) -> Cache:
    """Open the cache that the settings of whoever calls name, or the one at a place.

    Parameters
    ----------
    location, near
        In place of what the settings name.

    Raises
    ------
    SettingsError, MissingExtra
        If a setting has no meaning, or needs a package that is not installed.
    """
    settings = _keeping_near(settings_here(), near)
    if location is not None:
        return open_cache(settings.at(located(location)))
    if settings.location is not None:
        settings = replace(settings, location=located(settings.location))
    return open_cache(settings)


def _keeping_near(settings: Settings, near: str | Path | Literal[False] | None) -> Settings:
    """Return settings with another near directory; False is none, and None leaves it to the settings."""
    if near is None:
        return settings
    named = isinstance(near, Path) or (isinstance(near, str) and near.strip() and not is_url(near))
    return replace(settings, near=str(_absolute(near)) if named else near)  # type: ignore[arg-type]


def open_existing(settings: Settings) -> Cache:
    """Open the cache that settings name if there is one, and leave nothing behind where there is none.

    Raises
    ------
    SettingsError, MissingExtra
        If the location or the index have no meaning, or need a package that is not installed.
    StorageError
        If there is no store at the location, or it cannot be read.
    """
    cache = open_cache(settings)
    if cache.store_id() is None:
        raise StorageError(
            f"There is no store at {cache.location}: nothing was ever stored there. Name the place that is meant "
            "(yours with `--location` or CACHESTORE_LOCATION; `cachestore config` shows what is set), or store a "
            "first result there."
        )
    return cache


def opened() -> list[Cache]:
    """Return the caches that this process has open."""
    with _lock:
        return list(_opened.values())


def _reduce(cache: Cache) -> tuple[Callable[[Settings], Cache], tuple[Settings]]:
    # The address without its secrets: a stored estimator may hold a cache.
    return reopen_cache, (cache.settings.without_secrets(),)


# Not a method of Cache, which does not know how it is opened.
copyreg.pickle(Cache, _reduce)


def reopen_cache(public: Settings) -> Cache:
    """Open the cache of a pickle, with the secrets that this process has for the same place."""
    for cache in opened():
        if cache.settings.without_secrets() == public:
            return cache
    try:
        known = settings_here()
    except SettingsError:
        return open_cache(public)  # what is wrong with the settings here is not the pickle's to say
    if known.near is not None:
        # A directory of this machine, not of the one where the pickle was made.
        public = replace(public, near=known.near, near_limit=known.near_limit)
    bare = known.without_secrets()
    if bare.location == public.location:
        public = replace(public, location=known.location, storage_options=known.storage_options)
    if bare.index == public.index:
        public = replace(public, index=known.index)
    return open_cache(public)


def _open(settings: Settings) -> Cache:
    assert settings.location is not None
    codec_chooser(
        settings.compress
    )  # what has no meaning is refused now, not when a result waits to be stored
    trouble = Trouble()
    store = open_store(
        settings.location,
        storage_options=settings.storage_options,
        timeout=settings.timeout,
        durable=settings.durable,
    )
    if store.remote:
        _tell_of_idle(settings, trouble)
    if settings.near:
        store = with_near(
            store,
            settings.near,
            location=settings.location,
            storage_options=settings.storage_options,
            limit=settings.near_bytes,
            write_behind=settings.write_behind,
            tell=trouble.tell,
        )

    named: list[str] = []

    def store_id() -> str | None:
        if not named:
            try:
                named.extend(filter(None, [read_store_id(store)]))
            except StorageError:
                return None  # no name, no private index: uses are not counted while the store is ill
        return named[0] if named else None

    index = open_index(
        settings.index,
        directory=store.directory(),
        store_id=store_id,
        remote=store.remote,
        timeout=settings.timeout,
    )
    return Cache(store, index, settings, name_index=store_id, trouble=trouble)


def _tell_of_idle(settings: Settings, trouble: Trouble) -> None:
    """Say which of the settings of a near directory do nothing for this remote store."""
    # False is somebody's wish to do without, for once: the command line's, which looks at the store itself.
    if settings.near is None and settings.write_behind:
        trouble.tell(
            "near setting",
            "Results are sent to the remote store at once.",
            SettingsError(
                "write_behind is true, but there is no near directory in which they could wait. Set near to a "
                "directory of this machine, or write_behind to false."
            ),
        )
    if settings.near and settings.near_bytes < _LEAST_NEAR:
        trouble.tell(
            "near setting",
            "Next to nothing is kept near, or waits there to be sent.",
            SettingsError(
                f"near_limit is {settings.near_bytes} bytes, and a copy may be a quarter of it. Give near, the "
                "directory, a limit such as 10GB."
            ),
        )
