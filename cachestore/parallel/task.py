"""What a worker runs in place of a task's function: it computes, and stores what it computed."""

from __future__ import annotations

import os
import socket
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

from cachestore.cache import Cache, open_cache
from cachestore.errors import CachestoreWarning
from cachestore.keys import differing_parts
from cachestore.parallel.task_call import TaskCall
from cachestore.settings import Settings, adopt

Nested = Callable[[Cache], AbstractContextManager[object]]


class Task:
    """Calls a function in a worker, with the client's settings, and stores the value under its key.

    Nested calls of joblib inside the function are looked up in the same cache, whichever backend the worker opened.

    Parameters
    ----------
    function
        What joblib would have called.
    looked_up
        The key that was looked up and missed; None where the value is not to be stored.
    settings
        Of the client, with the secrets that its workers need. They travel with the task, never into a blob.
    nested
        Puts the cache around the joblib backend that is active in the worker.
    """

    def __init__(
        self, function: Callable[..., Any], looked_up: TaskCall | None, settings: Settings, nested: Nested
    ) -> None:
        self.function = function
        self.looked_up = looked_up
        self.settings = settings
        self.nested = nested
        # Dashboards show it.
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings first: loading the function may import a module that calls `cachestore.open()`."""
        origin = (socket.gethostname(), os.getpid())
        luggage = _Luggage(self.settings, origin)
        return _arrived, (luggage, self.function, self.looked_up, self.settings, self.nested)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute, store and return the value."""
        cache = open_cache(self.settings)
        try:
            with self.nested(cache):
                if self.looked_up is None:
                    return self.function(*args, **kwargs)
                return self._compute(self.looked_up, cache, args, kwargs)
        finally:
            # A worker may be ended at any moment: what nested calls used is written now.
            cache.keep_books(cache.index.flush)

    def _compute(self, looked_up: TaskCall, cache: Cache, args: Any, kwargs: Any) -> Any:
        before = _random_state()
        started_at, started = datetime.now(UTC), time.perf_counter()
        value = self.function(*args, **kwargs)
        seconds = time.perf_counter() - started
        drew = _random_state() != before
        if self._may_store(looked_up, args, kwargs, value):
            cache.put(looked_up.call, value, started_at=started_at, seconds=seconds, drew_random=drew)
        return value

    def _may_store(self, looked_up: TaskCall, args: Any, kwargs: Any, value: Any) -> bool:
        storable = looked_up.storable
        if storable is not None and not storable(args, kwargs, value):
            return False
        differing = differing_parts(looked_up.call.code_parts)
        if differing:
            warnings.warn(
                f"The code of {', '.join(differing)} on {socket.gethostname()} differs from that of the client: "
                f"results of {looked_up.call.function} computed here are returned, and not stored. "
                "Install the client's version on the workers.",
                CachestoreWarning,
                stacklevel=3,
            )
        return not differing


class _Luggage:
    """Is the part of a task that is unpickled first, so that the worker has the settings when it imports code."""

    def __init__(self, settings: Settings, origin: tuple[str, int]) -> None:
        self.settings = settings
        self.origin = origin

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpack, (self.settings, self.origin)


def _unpack(settings: Settings, origin: tuple[str, int]) -> None:
    # A worker thread of the client's own process has its settings already.
    if origin != (socket.gethostname(), os.getpid()):
        adopt(settings)


def _arrived(_: None, *parts: Any) -> Task:
    return Task(*parts)


def _random_state() -> Any:
    """Tell whether the process's unseeded random numbers moved: what an estimator without a seed draws from."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is None:
        return None
    name, state, position, *rest = numpy_random.get_state()
    return name, state.tobytes(), position, rest
