"""`Memory`, with joblib's signature and meaning, over a store and an index that a team shares."""

from __future__ import annotations

import functools
import inspect
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Never

from cachestore.cache import Cache, inside, located, open_at, open_settled
from cachestore.cache.mode import Mode, restricted
from cachestore.errors import SettingsError
from cachestore.keys import Declared
from cachestore.memory.async_memorized_func import AsyncNotMemorizedFunc, memorized
from cachestore.memory.keeping import Keeping
from cachestore.memory.logged import Logged
from cachestore.memory.memorized_func import MemorizedFunc, NotMemorizedFunc
from cachestore.memory.validation import ValidationCallback
from cachestore.settings import MinSeconds, Settings, is_url, parse_size, without_password


class Memory(Logged):
    """Has functions computed once, by whoever calls them first.

    Parameters
    ----------
    location
        A directory, or any fsspec URL (`s3://bucket/prefix`, `memory://`, `gs://`, `abfs://`). A directory given as
        `str` gets a subfolder `cachestore`, as joblib's gets `joblib`; a `Path` or URL is taken as it is.
        None does not cache.
    backend
        Kept for joblib's sake: `"local"` or `"cachestore"`.
    mmap_mode
        Gives arrays as files in memory instead of loading them: `"r"` read-only, `"c"` so that what is written to them
        stays in this process. A stored result is never edited, so `"r+"` and `"w+"` mean `"c"`. Results are then stored
        raw, unless `compress` is given.
    compress
        None looks at the data; False or 0 stores raw; True, a level of 1 to 9, a codec (`"zstd"`) or both
        (`("zstd", 5)`) ask for compression.
    verbose
        Above 0 computations are printed, above 4 loads too.
    backend_options
        `{"storage_options": {...}}` are the options of the fsspec filesystem.
    index
        The team's index: an SQLAlchemy URL (`postgresql://...`), or the path of an SQLite file. By default a local
        store has its own, and a remote one a private one for each user.
    near
        A directory of this machine for copies of what a remote store holds; False keeps none. By default what the
        settings say. `near_limit`, `write_behind` and `durable` are settings too.

    Raises
    ------
    SettingsError, MissingExtra
        If the location or the index have no meaning, or need a package that is not installed.

    Examples
    --------
    >>> memory = Memory("memory://example", verbose=0)
    >>> @memory.cache
    ... def square(x):
    ...     print("computing")
    ...     return x * x
    >>> square(3)
    computing
    9
    >>> square(x=3)
    9
    """

    def __init__(
        self,
        location: str | Path | None = None,
        backend: str = "local",
        mmap_mode: str | None = None,
        compress: Any = None,
        verbose: float = 1,
        backend_options: Mapping[str, Any] | None = None,
        *,
        index: str | None = None,
        near: str | Path | Literal[False] | None = None,
    ) -> None:
        if backend not in ("local", "cachestore"):
            raise TypeError(
                f"Unknown location {location} or backend {backend}. Leave the backend out: the location decides."
            )
        if _checked_mode(mmap_mode) is not None and compress:
            warnings.warn("Compressed results cannot be memmapped", UserWarning, stacklevel=2)
        self.backend = backend
        # What no store reads is not kept: it may be a secret.
        options = (backend_options or {}).get("storage_options")
        self.backend_options = {} if options is None else {"storage_options": options}
        self.mmap_mode = mmap_mode
        self.compress = compress
        self.location = location
        self.timestamp: float | None = time.time()
        self._verbose = verbose
        self.store_backend: Cache | None = None
        if location is None:
            return
        if not isinstance(location, str | Path):
            warnings.warn(
                f"A {type(location).__name__} as location is not supported: nothing is cached. "
                "Give a path or a URL.",
                UserWarning,
                stacklevel=2,
            )
            return
        if location == "":
            raise SettingsError("The location is empty. Give a directory or a URL, or None to cache nothing.")
        if isinstance(location, str) and not is_url(location):
            place = str(inside(location))
        else:
            place = located(location)
        self.store_backend = open_at(
            place, index=index, near=near, storage_options=options, compress=compress, verbose=verbose
        )

    @classmethod
    def over(cls, cache: Cache) -> Memory:
        """Make a Memory over a cache that is open already."""
        settings = cache.settings
        memory = cls(None, compress=settings.compress, verbose=settings.verbose)
        memory.location = cache.location
        memory.store_backend = cache
        return memory

    # ---- joblib's methods

    def cache(
        self,
        func: Callable[..., Any] | None = None,
        ignore: list[str] | None = None,
        verbose: float | None = None,
        mmap_mode: Any = False,
        cache_validation_callback: ValidationCallback | None = None,
        *,
        version: str | None = None,
        depends_on: Iterable[Any] = (),
        ignore_globals: Iterable[str] = (),
        key: Mapping[str, Callable[[Any], object]] | None = None,
        check_arguments: bool | None = None,
        lazy: bool = False,
        expires: timedelta | None = None,
        min_seconds: MinSeconds = None,
    ) -> Any:
        """Have the calls of a function computed once; also a decorator, with or without arguments.

        Parameters
        ----------
        func
            The function, or coroutine function.
        ignore
            Names of arguments that do not tell calls apart.
        verbose
            In place of the Memory's.
        mmap_mode
            In place of the Memory's; None loads results.
        cache_validation_callback
            Told of each entry found; where it returns a false value, the entry is computed again.
        version
            Stands for the code in place of the function's source and all that it reaches, until you give another
            one. In a script or a notebook it counts beside the source.
        depends_on
            What counts too: functions, classes and modules by their code, files by their content (a relative path
            begins at the function's file), other objects by their value.
        ignore_globals
            Names of globals that change no result, wherever the function or what it calls reads them.
        key
            For a parameter, a function of the argument that returns what to digest in its place:
            `key={"df": lambda df: df.attrs["snapshot"]}`.
        check_arguments
            Whether arguments are digested again after a computation, to find functions that change theirs: their
            results are not stored. None leaves it to the setting.
        lazy
            Whether a result that is an array stays in the store: calls return a `LazyArray`, and a slice of it fetches
            what holds it. Any other result comes as it is, and so does one that could not be stored.
        expires
            How long a result answers: a call after that computes, and `cachestore gc` removes the result.
        min_seconds
            A result that is computed in less is not stored; `"measured"` does not store what takes longer to be read
            than to be computed, as far as this process has seen. None leaves it to the setting; 0 stores everything.

        Returns
        -------
        MemorizedFunc or NotMemorizedFunc
            The latter where the Memory has no location.

        Raises
        ------
        TypeError, ValueError, SettingsError
            If something here has no meaning.
        """
        declared = Declared.of(version=version, depends_on=depends_on, ignore_globals=ignore_globals, key=key)
        if cache_validation_callback is not None and not callable(cache_validation_callback):
            raise ValueError(
                f"cache_validation_callback needs to be callable. Got {cache_validation_callback}."
            )
        if lazy and mmap_mode:
            raise ValueError(
                f"A result is either lazy or mapped. Leave out lazy, or mmap_mode={mmap_mode!r}."
            )
        keeping = Keeping(expires, min_seconds)
        again = functools.partial(
            self.cache,
            ignore=ignore,
            verbose=verbose,
            mmap_mode=mmap_mode,
            cache_validation_callback=cache_validation_callback,
            version=version,
            depends_on=declared.depends_on,
            ignore_globals=declared.ignore_globals,
            key=key,
            check_arguments=check_arguments,
            lazy=lazy,
            expires=expires,
            min_seconds=min_seconds,
        )
        if func is None:
            return again
        if isinstance(func, staticmethod | classmethod):
            # Below the other decorator: what it holds is memorised, and it goes on being what it is.
            return type(func)(again(func.__func__))
        mode = self.mmap_mode if mmap_mode is False else _checked_mode(mmap_mode)
        if isinstance(func, MemorizedFunc | NotMemorizedFunc):
            func = func.func
        if self.store_backend is None:
            return (AsyncNotMemorizedFunc if inspect.iscoroutinefunction(func) else NotMemorizedFunc)(func)
        return memorized(
            func,
            self.store_backend,
            ignore=ignore,
            verbose=self._verbose if verbose is None else verbose,
            cache_validation_callback=cache_validation_callback,
            declared=declared,
            check_arguments=check_arguments,
            mmap_mode=None if lazy else mode,
            compress=self.compress,
            timestamp=self.timestamp,
            lazy=lazy,
            keeping=keeping,
        )

    def clear(self, warn: bool = True, *, everyone: bool = False) -> None:
        """Drop every result.

        Parameters
        ----------
        everyone
            Also where others use the cache: a remote store, or an index that was named.

        Raises
        ------
        CachestoreError
            If others may use the cache and `everyone` was not said.
        """
        if self.store_backend is None:
            return
        from cachestore.cache.clearing import clear_all

        clear_all(self.store_backend, everyone=everyone)
        if warn:
            self.warn("Cleared the whole cache")

    def flush(self) -> None:
        """Wait until all that this process stored is where others find it; with write-behind it may be on its way.

        Raises
        ------
        StorageError
            If the store does not take one; what it may take later is sent again.
        """
        if self.store_backend is not None:
            self.store_backend.flush()

    def reduce_size(
        self,
        bytes_limit: int | str | None = None,
        items_limit: int | None = None,
        age_limit: timedelta | None = None,
    ) -> None:
        """Drop the least recently used results until the cache fits.

        Parameters
        ----------
        bytes_limit
            Bytes that the cache may take: a number, or a text such as `"500M"` or `"10GB"`.
        items_limit
            How many results there may be.
        age_limit
            Results unused for longer are dropped.

        Raises
        ------
        SettingsError
            If a limit has no meaning, or the index is a private one of a shared store.
        """
        from cachestore.cache import gc
        from cachestore.cache.eviction import Limits

        size = parse_size(bytes_limit) if isinstance(bytes_limit, str) else bytes_limit
        limits = Limits(older_than=age_limit, max_size=size, max_entries=items_limit)
        if self.store_backend is None or not limits.given:
            return
        gc.refuse_private(self.store_backend)
        gc.run(self.store_backend, gc.plan(self.store_backend, limits))

    def eval(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function through the cache."""
        return self.cache(func)(*args, **kwargs)

    # ---- ours

    def parallel(
        self, inner: str = "loky", *, n_jobs: int = -1, **options: Any
    ) -> AbstractContextManager[Any]:
        """Have joblib tasks inside the block looked up first, and the missing ones computed and stored by workers.

        Parameters
        ----------
        inner
            The joblib backend that computes: `"dask"`, `"loky"`, `"threading"` or any that is registered.
        n_jobs
            How many tasks run at a time; -1 is all that the backend has.
        **options
            Further options of the inner backend.

        Raises
        ------
        MissingExtra
            If the inner backend needs a package that is not installed.

        Examples
        --------
        >>> from joblib import Parallel, delayed
        >>> memory = Memory("memory://parallel", verbose=0)
        >>> with memory.parallel("threading"):
        ...     Parallel()(delayed(divmod)(n, 3) for n in range(3))
        [(0, 0), (0, 1), (0, 2)]
        """
        from cachestore.parallel import parallel_config

        return parallel_config(self.store_backend, inner=inner, n_jobs=n_jobs, **options)

    def bypass(self) -> AbstractContextManager[None]:
        """Have calls inside the block computed, as if there were no cache: nothing is read or stored.

        As with `read_only` and `offline`, the block is one of this thread, or of this task of an event loop and those
        that it starts. Tasks of `parallel` take it with them.

        Examples
        --------
        >>> memory = Memory("memory://bypassed", verbose=0)
        >>> double = memory.cache(lambda x: print("computing") or 2 * x)
        >>> double(1)
        computing
        2
        >>> with memory.bypass():
        ...     double(1)
        computing
        2
        """
        return self._restricted(Mode(reads=False, writes=False))

    def read_only(self) -> AbstractContextManager[None]:
        """Have calls inside the block use what is stored, and store nothing.

        For a whole process there is the setting `read_only`. What is asked for by name (`clear`, `reduce_size`) is
        still done.
        """
        return self._restricted(Mode(writes=False))

    def offline(self) -> AbstractContextManager[None]:
        """Have calls inside the block ask nothing of a remote store: what lies near answers them.

        What is computed is stored only where results are written behind, and waits near. A store in a directory is
        used as ever.
        """
        return self._restricted(Mode(offline=True))

    def _restricted(self, mode: Mode) -> AbstractContextManager[None]:
        return nullcontext() if self.store_backend is None else restricted(self.store_backend.location, mode)

    def __repr__(self) -> str:
        """Show where the results are."""
        return f"{type(self).__name__}(location={self.store_backend and self.store_backend.location})"

    def _repr_html_(self) -> str | None:
        from cachestore.memory.notebook import memory_html

        return memory_html(self)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the time and without secrets: an estimator that is stored may hold a Memory."""
        state = self.__dict__.copy()
        state["timestamp"] = None
        options = self.backend_options.get("storage_options") or {}
        public = Settings(storage_options=options).without_secrets()
        state["backend_options"] = {"storage_options": dict(public.storage_options)} if options else {}
        if isinstance(self.location, str):
            state["location"] = without_password(self.location)
        return state

    def __deepcopy__(self, memo: dict[int, Any]) -> Memory:
        """Copy over the same open cache, with its secrets: scikit-learn copies the parameters of what it clones."""
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __cachestore_digest__(self) -> str:
        """Digest as a constant: where results are kept does not change them."""
        return "cachestore.Memory"


def _checked_mode(mmap_mode: str | None) -> str | None:
    if mmap_mode is None:
        return None
    from cachestore.cache.mapping import checked_mode

    return checked_mode(mmap_mode, stacklevel=3)


def open_memory(
    location: str | Path | None = None, *, near: str | Path | Literal[False] | None = None, **unknown: Never
) -> Memory:
    """Open the `Memory` that the project's settings name.

    Settings are sought in the environment (`CACHESTORE_LOCATION`, `CACHESTORE_INDEX`, ...), then in `cachestore.toml`
    or `[tool.cachestore]` of the nearest `pyproject.toml`, upward from the calling module's file, then from the
    working directory; without any, the cache is `./.cachestore`.

    Parameters
    ----------
    location
        In place of the one that the settings name.
    near
        A directory of this machine for copies of what a remote store holds, in place of the one that the settings
        name; False keeps no copies.

    Raises
    ------
    SettingsError, MissingExtra
        If a setting has no meaning, or needs a package that is not installed.
    TypeError
        If there is no such argument.
    """
    for name in unknown:
        # Python's own error would name this function, and nobody typed that: renamed, it would change keys.
        raise TypeError(
            f"cachestore.open() got an unexpected keyword argument {name!r}. It takes location and near; the rest are "
            "settings."
        )
    return Memory.over(open_settled(location, near=near))
