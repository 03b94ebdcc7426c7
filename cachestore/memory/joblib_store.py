"""joblib's own `Memory` over our storage and index: `joblib.Memory(location, backend="cachestore")`.

For programs that cannot change the line that imports `Memory`. Importing this module makes the backend known to joblib;
so does unpickling what uses it, as workers do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import joblib
from joblib.disk import memstr_to_bytes
from joblib.logger import format_time
from joblib.memory import StoreBackendBase

from cachestore.cache import Hit, Miss, inside, located, open_cache, settings_at
from cachestore.cache.eviction import Limits
from cachestore.cache.joblib_entries import JoblibEntries
from cachestore.errors import SettingsError, StorageError
from cachestore.memory.results import mapping
from cachestore.memory.validation import joblib_metadata
from cachestore.settings import is_url, without_password

if TYPE_CHECKING:
    from cachestore.cache import Metadata

# What joblib gives, and what a user may.
_OPTIONS = {"compress", "mmap_mode", "storage_options", "index", "near"}
_MOST_STARTED = 1000

# joblib's name of a function, and its digest of the arguments.
_Name = tuple[str, str]


class CacheItem(NamedTuple):
    """Says of an entry what joblib lists: its key, its bytes, and its last use in local time."""

    path: str
    size: int
    last_access: datetime


class JoblibStore:
    """Keeps what joblib memorises as entries of a cache.

    joblib decides: by its own key, and with its way to clear what a function has once its source is another one.

    Attributes
    ----------
    location
        What joblib was given, with the folder `joblib` that it adds, and without a password. The store is beside that
        folder, where `cachestore.Memory` has it: in `<directory>/cachestore`, or at the URL.
    mmap_mode
        How large arrays are mapped from files; None loads them.

    Examples
    --------
    >>> import joblib
    >>> memory = joblib.Memory("memory://joblib-store", backend="cachestore", verbose=0)
    >>> @memory.cache
    ... def square(x):
    ...     print("computing")
    ...     return x * x
    >>> square(3), square(3)
    computing
    (9, 9)
    """

    location: str
    mmap_mode: str | None
    verbose: float

    def configure(
        self, location: str, verbose: float = 0, backend_options: Mapping[str, Any] | None = None
    ) -> None:
        """Open the cache.

        Parameters
        ----------
        location
            A directory or an fsspec URL, as joblib gives it.
        verbose
            joblib's verbosity.
        backend_options
            `storage_options`, `index` and `near` are those of `cachestore.Memory`; joblib adds `compress`, where False
            looks at the data, and `mmap_mode`.

        Raises
        ------
        SettingsError, MissingExtra
            If the location or an option has no meaning, or needs a package that is not installed.
        """
        options = dict(backend_options or {})
        unknown = sorted(options.keys() - _OPTIONS)
        if unknown:
            raise SettingsError(
                f"The backend option {unknown[0]!r} has no meaning. Give {', '.join(sorted(_OPTIONS))}."
            )
        self.location = without_password(location) or ""
        self.mmap_mode = options.get("mmap_mode")
        self.verbose = verbose
        named = {name: options.get(name) for name in ("index", "near", "storage_options")}
        settings = settings_at(_place(location), **named)
        settings = replace(settings, compress=options.get("compress") or settings.compress)
        self._cache = open_cache(settings)
        self._entries = JoblibEntries(self._cache)
        self._told = _Told()

    # ---- one entry

    def contains_item(self, call_id: Sequence[str]) -> bool:
        """Say whether a call has an entry."""
        name = _name(call_id)
        found = self._entries.find(*name)
        self._told.found = None if isinstance(found, Miss) else (name, found)
        self._told.computing(name, isinstance(found, Miss))
        return not isinstance(found, Miss)

    def load_item(
        self,
        call_id: Sequence[str],
        verbose: float = 1,
        timestamp: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Any:
        """Load the value of a call.

        Raises
        ------
        KeyError
            If there is none, or it cannot be read.
        """
        if verbose > 1:
            self._print_loading(call_id, verbose, timestamp, metadata)
        found = self._entries.get(*_name(call_id), load=mapping(self._cache, self.mmap_mode))
        if isinstance(found, Hit):
            return found.value
        raise KeyError(
            f"The result {call_id[1]} of {call_id[0]} cannot be loaded from {self._cache.location}: it is "
            f"{found.reason}. Call the function again to compute it."
        )

    def dump_item(self, call_id: Sequence[str], item: Any, verbose: float = 1) -> None:
        """Store the value of a call; or take it until joblib says more of the call, where that is needed."""
        if verbose > 10:
            print(f"Persisting in {self._path(call_id)}")
        name = _name(call_id)
        started = self._told.start_of(name)
        if started is None or self._cache.settings.value_summaries:
            self._told.value = (name, item)
        else:
            # At once: joblib would take the time for that of writing the arguments, and warn of it.
            self._put(name, item, time.perf_counter() - started, {})

    def store_metadata(self, call_id: Sequence[str], metadata: Mapping[str, Any]) -> None:
        """Store the value that was taken; texts of the arguments only where `value_summaries` is set."""
        taken, self._told.value = self._told.value, None
        if taken is not None and taken[0] == _name(call_id):
            self._put(*taken, metadata["duration"], metadata["input_args"])

    def get_metadata(self, call_id: Sequence[str]) -> dict[str, Any]:
        """Return what joblib's callbacks are told; nothing where there is no entry."""
        # Mostly it has just been asked whether there is one.
        known, self._told.found = self._told.found, None
        found = known[1] if known and known[0] == _name(call_id) else self._entries.find(*_name(call_id))
        return {} if isinstance(found, Miss) else joblib_metadata(found, found.summaries)

    def clear_item(self, call_id: Sequence[str]) -> None:
        """Remove the entry of a call."""
        self._entries.drop(*_name(call_id))

    # ---- one function

    def store_cached_func_code(self, call_id: Sequence[str], func_code: str | None = None) -> None:
        """Write down the code of a function; there are no folders to make when it is decorated."""
        if func_code is not None:
            self._entries.write_code(call_id[0], func_code)

    def get_cached_func_code(self, call_id: Sequence[str]) -> str:
        """Return the code that a function had.

        Raises
        ------
        OSError
            If it is not known; joblib then writes down the present one, and computes.
        """
        try:
            return self._entries.read_code(call_id[0])
        except StorageError as error:
            raise OSError(str(error)) from error

    def get_cached_func_info(self, call_id: Sequence[str]) -> dict[str, str]:
        """Say where the entries of a function are, for joblib's messages; it asks so at the start of each call."""
        self._told.calls[call_id[0]] = time.perf_counter()
        return {"location": self._path(call_id)}

    def clear_path(self, call_id: Sequence[str]) -> None:
        """Remove the entries of a function."""
        self._entries.clear_function(call_id[0])

    # ---- all

    def clear(self) -> None:
        """Remove all that joblib stored here.

        Raises
        ------
        CachestoreError
            If others may use the cache.
        """
        self._entries.clear()

    def get_items(self) -> list[CacheItem]:
        """List the entries."""
        return [
            CacheItem(entry.key, entry.stored_size, entry.last_used_at.astimezone().replace(tzinfo=None))
            for entry in self._entries.entries()
        ]

    def enforce_store_limits(
        self,
        bytes_limit: int | str | None,
        items_limit: int | None = None,
        age_limit: timedelta | None = None,
    ) -> None:
        """Remove the least recently used entries until the others fit.

        Raises
        ------
        SettingsError
            If a limit has no meaning, or the index is a private one of a shared store.
        """
        size = memstr_to_bytes(bytes_limit) if isinstance(bytes_limit, str) else bytes_limit
        self._entries.reduce(Limits(older_than=age_limit, max_size=size, max_entries=items_limit))

    # ---- how

    def _put(self, name: _Name, value: Any, seconds: float, summaries: Mapping[str, str]) -> None:
        function, arguments = name
        raw = self.mmap_mode is not None
        self._entries.put(function, arguments, value, seconds=seconds, summaries=summaries, raw=raw)

    def _path(self, call_id: Sequence[str]) -> str:
        return "/".join((self.location, *call_id))

    def _print_loading(
        self,
        call_id: Sequence[str],
        verbose: float,
        timestamp: float | None,
        metadata: Mapping[str, Any] | None,
    ) -> None:
        age = "" if timestamp is None else format_time(time.time() - timestamp).ljust(16)
        given = (metadata or {}).get("input_args", {})
        signature = PurePath(call_id[0]).name + f"({', '.join(f'{k}={v}' for k, v in given.items())})" * bool(
            given
        )
        print(
            f"[Memory]{age}: Loading {signature}"
            + ("..." if verbose < 10 else f" from {self._path(call_id)}")
        )

    def __repr__(self) -> str:
        """Show where the entries are."""
        return f'{type(self).__name__}(location="{self.location}")'

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without what was told in this process."""
        return {name: value for name, value in self.__dict__.items() if name != "_told"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore it in another process."""
        self.__dict__.update(state)
        self._told = _Told()


class _Told(threading.local):
    """Holds what joblib told in one thread, as it tells of one call in several steps.

    Attributes
    ----------
    calls
        When functions were called of which it is not known yet whether there is an entry.
    started
        When computations began that are under way.
    found
        The entry that there is.
    value
        What is to be stored once more is known of the call.
    """

    def __init__(self) -> None:
        self.calls: dict[str, float] = {}
        self.started: dict[_Name, float] = {}
        self.found: tuple[_Name, Metadata] | None = None
        self.value: tuple[_Name, Any] | None = None

    def computing(self, name: _Name, computes: bool) -> None:
        """Note whether a call is computed; who only asks whether it has an entry has not called."""
        called = self.calls.pop(name[0], None)
        if called is not None and computes:
            if len(self.started) >= _MOST_STARTED:
                self.started.clear()  # most of them failed, and of the others joblib knows the time too
            self.started[name] = time.perf_counter()

    def start_of(self, name: _Name) -> float | None:
        """Return when a computation began; None where joblib was told to compute whatever there is."""
        # It does not ask for an entry where the code is new.
        called = self.calls.pop(name[0], None)
        return self.started.pop(name, called)


def _name(call_id: Sequence[str]) -> _Name:
    function, arguments = call_id
    return function, arguments


def _place(location: str) -> str:
    """Return where the store is: where `cachestore.Memory` has it, for the same words."""
    # joblib adds a folder of its own to each text, and to a `Path` none.
    if is_url(location):
        url = location.removesuffix("joblib")
        return url if url.endswith("://") else url.removesuffix("/")
    path = Path(location)
    return str(inside(path.parent)) if path.name == "joblib" else located(location)


def register_joblib_store() -> None:
    """Make the store "cachestore" known to joblib.

    Examples
    --------
    >>> import cachestore, joblib
    >>> cachestore.register_joblib_store()
    >>> memory = joblib.Memory("memory://by-name", backend="cachestore", verbose=0)
    >>> memory.cache(divmod)(17, 5)
    (3, 2)
    """
    joblib.register_store_backend("cachestore", JoblibStore)


# Not a subclass: what joblib's base asks for besides are files and folders, and here are none.
StoreBackendBase.register(JoblibStore)
register_joblib_store()
