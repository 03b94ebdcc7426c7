"""The name "cachestore" among joblib's backends."""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from cachestore.cache import Cache, open_settled
from cachestore.errors import MissingExtra, SettingsError

if TYPE_CHECKING:
    from joblib.parallel import ParallelBackendBase


def register() -> None:
    """Make the backend "cachestore" known to joblib.

    Examples
    --------
    >>> import joblib
    >>> register()
    >>> with joblib.parallel_config(backend="cachestore", memory=None, inner="threading"):
    ...     joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(n) for n in (-1, -2))
    [1, 2]
    """
    import joblib

    joblib.register_parallel_backend("cachestore", make_backend)


def parallel_config(memory: Any, *, inner: str = "loky", **options: Any) -> AbstractContextManager[Any]:
    """Open joblib's configuration with the backend "cachestore" around an inner one.

    Parameters
    ----------
    memory
        A cache, or what has one as its `store_backend`; where that is None, nothing is cached.
    inner
        The joblib backend that computes.
    **options
        What `joblib.parallel_config` and the inner backend understand.
    """
    import joblib

    register()
    config: AbstractContextManager[Any] = joblib.parallel_config(
        backend="cachestore", memory=memory, inner=inner, **options
    )
    return config


def make_backend(
    memory: Any = ..., inner: str = "loky", nesting_level: int | None = None, **options: Any
) -> ParallelBackendBase:
    """Make the backend; without a `memory` it works on the cache that the settings name."""
    from cachestore.parallel.caching_backend import CachingBackend

    backend = _inner_backend(inner, nesting_level, options)
    if memory is ...:
        return CachingBackend(backend, open_settled())
    cache = getattr(memory, "store_backend", memory)
    if cache is None:
        return backend
    if not isinstance(cache, Cache):
        raise SettingsError(
            f"The memory {memory!r} is none of cachestore's. Give a cachestore.Memory, or cachestore.open()."
        )
    return CachingBackend(backend, cache)


def _inner_backend(name: str, nesting_level: int | None, options: dict[str, Any]) -> ParallelBackendBase:
    import joblib

    if not isinstance(name, str) or name == "cachestore":
        raise SettingsError(
            f"The inner backend is {name!r}. Name the joblib backend that computes: 'loky', 'threading', 'dask', ..."
        )
    if name == "dask" and importlib.util.find_spec("distributed") is None:
        raise MissingExtra("The backend 'dask' needs dask's distributed: pip install 'cachestore[dask]'")
    # joblib alone knows how its backends are found by name and made.
    try:
        with joblib.parallel_config(backend=name, **options) as config:
            backend: ParallelBackendBase = config["backend"]
    except ValueError as error:
        if "Invalid backend" not in str(error):
            raise
        known = sorted({"dask", *joblib.parallel.BACKENDS} - {"cachestore"})
        raise SettingsError(
            f"joblib has no backend {name!r}. Name one of {', '.join(known)}, or register yours first."
        ) from None
    if nesting_level is not None:
        backend.nesting_level = nesting_level
    return backend
