"""The name "cachestore" among joblib's backends."""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from cachestore.cache import Cache, open_cache
from cachestore.errors import MissingExtra
from cachestore.settings import adopted, find_settings

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
    cache: Cache | None = getattr(memory, "store_backend", memory)
    if memory is ...:
        cache = open_cache(adopted() or find_settings()[0])
    return backend if cache is None else CachingBackend(backend, cache)


def _inner_backend(name: str, nesting_level: int | None, options: dict[str, Any]) -> ParallelBackendBase:
    import joblib

    if name == "dask" and importlib.util.find_spec("distributed") is None:
        raise MissingExtra("The backend 'dask' needs dask's distributed: pip install 'cachestore[dask]'")
    # joblib alone knows how its backends are found by name and made.
    with joblib.parallel_config(backend=name, **options) as config:
        backend: ParallelBackendBase = config["backend"]
    if nesting_level is not None:
        backend.nesting_level = nesting_level
    return backend
