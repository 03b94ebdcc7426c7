"""What a worker runs in place of a task's function: it computes, and stores what it computed."""

from __future__ import annotations

import random
import socket
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import Token
from datetime import UTC, datetime
from typing import Any

from cachestore.cache import Cache, open_cache
from cachestore.cache.mode import Mode, entered
from cachestore.errors import CachestoreError, CachestoreWarning
from cachestore.keys import Rules, differing_parts
from cachestore.parallel.task_call import TaskCall, bare_function
from cachestore.settings import Settings, adopt, give_back

Nested = Callable[[Cache], AbstractContextManager[object]]

# Between two tasks nothing else in a worker holds the cache: its connections, and what it has told already, stay.
_kept: deque[Cache] = deque(maxlen=4)


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
    modes
        What the client's calls may do with which cache.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        looked_up: TaskCall | None,
        settings: Settings,
        nested: Nested,
        modes: Mapping[str, Mode],
    ) -> None:
        self.function = function
        self.looked_up = looked_up
        self.settings = settings
        self.nested = nested
        self.modes = modes
        # Dashboards show it.
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings first: loading the function may import a module that calls `cachestore.open()`."""
        return _arrived, (
            _Luggage(self.settings),
            self.function,
            self.looked_up,
            self.settings,
            self.nested,
            self.modes,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute, store and return the value."""
        adopted = adopt(self.settings)
        try:
            cache = self._open()
            if cache is None:
                return self.function(*args, **kwargs)
            try:
                with entered(self.modes), self.nested(cache):
                    if self.looked_up is None:
                        return self.function(*args, **kwargs)
                    return self._compute(self.looked_up, cache, args, kwargs)
            finally:
                # A worker may be ended at any moment: what nested calls used is written now.
                cache.keep_books(cache.index.flush)
        finally:
            give_back(adopted)

    def _open(self) -> Cache | None:
        try:
            cache = open_cache(self.settings)
        except CachestoreError as error:
            warnings.warn(
                f"The cache cannot be opened on {socket.gethostname()}: what is computed there is returned, and not "
                f"stored. {error}",
                CachestoreWarning,
                stacklevel=4,
            )
            return None
        if cache not in _kept:
            _kept.append(cache)
        return cache

    def _compute(self, looked_up: TaskCall, cache: Cache, args: Any, kwargs: Any) -> Any:
        whose = None if looked_up.is_fold else bare_function(self.function)
        before = _random_state(whose)
        started_at, started = datetime.now(UTC), time.perf_counter()
        value = self.function(*args, **kwargs)
        seconds = time.perf_counter() - started
        drew = _random_state(whose) != before
        if self._may_store(looked_up, cache.rules, args, kwargs, value, drew):
            # libsvm's draws alone decide nothing: then nothing unseeded is named.
            drew_random = drew and bool(looked_up.unseeded)
            cache.put(looked_up.call, value, started_at=started_at, seconds=seconds, drew_random=drew_random)
        return value

    def _may_store(
        self, looked_up: TaskCall, rules: Rules, args: Any, kwargs: Any, value: Any, drew: bool
    ) -> bool:
        if drew and not looked_up.is_fold:
            # Many such tasks have equal arguments, and each is to draw for itself.
            return False
        if not looked_up.is_storable(self.function, args, kwargs, value, rules=rules):
            return False
        differing = differing_parts(looked_up.call.code_parts, rules=rules)
        if differing:
            asked = looked_up.call.code_parts
            named = ", ".join(
                f"{name} ({_short(asked[name])} there, {_short(here)} here)"
                for name, here in differing.items()
            )
            warnings.warn(
                f"The code on {socket.gethostname()} differs from that of the client in {named}: "
                f"results of {looked_up.call.function} computed here are returned, and not stored. "
                "Install the client's version on the workers.",
                CachestoreWarning,
                stacklevel=4,
            )
        return not differing


def _short(version: str | None) -> str:
    return "none" if version is None else version[:8]


class _Luggage:
    """Is the part of a task that is unpickled first, so that a worker has the settings when it imports code."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __reduce__(self) -> tuple[Any, ...]:
        return adopt, (self.settings,)


def _arrived(adopted: Token[Settings | None], *parts: Any) -> Task:
    give_back(adopted)
    return Task(*parts)


def _random_state(function: Any) -> Any:
    """Return where the process's unseeded random numbers stand: a task that moves them drew from them.

    Those of Python itself are looked at only for a function whose module knows them: other threads of a worker, such
    as its heartbeat, draw from them all the time.
    """
    states: list[Any] = []
    if "random" in getattr(getattr(function, "__code__", None), "co_names", ()) or any(
        value is random or getattr(value, "__self__", None) is random._inst
        for value in getattr(function, "__globals__", {}).values()
    ):
        states.append(random.getstate())
    if "numpy" in sys.modules:
        # numpy loads this part of itself when it is first used: not between the two looks at it.
        import numpy.random

        legacy: Any = numpy.random.get_state()
        states.append((legacy[0], legacy[1].tobytes(), legacy[2:]))
    return states
