"""A coroutine function whose awaited calls are answered from a cache where it has them."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cachestore.cache import Cache, CallKey, Hit, Miss
from cachestore.memory import call_stack
from cachestore.memory.memorized_func import MemorizedFunc, NotMemorizedFunc
from cachestore.memory.results import NotMemorizedResult

if TYPE_CHECKING:
    from cachestore.cache.single_flight import Computed


class AsyncNotMemorizedFunc(NotMemorizedFunc):
    """Awaits a coroutine function, where there is no cache."""

    async def call_and_shelve(self, *args: Any, **kwargs: Any) -> NotMemorizedResult:
        """Await the function and hold its value."""
        return NotMemorizedResult(await self.func(*args, **kwargs))

    async def call(self, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Await the function; nothing is known of the call."""
        return await self.func(*args, **kwargs), {}


class AsyncMemorizedFunc(MemorizedFunc):
    """Awaits a coroutine function, or loads what an equal call gave before."""

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what awaiting the function gives, computed at most once."""
        started = time.perf_counter()
        call = self.call_key(*args, **kwargs)
        found = self._load(call, args, kwargs, since=started)
        if isinstance(found, Hit):
            return found.value
        from cachestore.cache.single_flight import once_awaited  # a hit does without

        compute = functools.partial(self._await, call, args, kwargs)
        ask = functools.partial(self._load, call, args, kwargs, counts=False)
        return self._value(await once_awaited(self._flight(call), found, compute=compute, ask=ask))

    async def call_and_shelve(self, *args: Any, **kwargs: Any) -> Any:
        """Return a reference to the result, awaited if need be."""
        started = time.perf_counter()
        call = self.call_key(*args, **kwargs)
        found = self._peek(call, args, kwargs, counts=True, since=started)
        if not isinstance(found, Miss):
            return self._shelved(found)
        from cachestore.cache.single_flight import once_awaited

        compute = functools.partial(self._await, call, args, kwargs)
        ask = functools.partial(self._peek, call, args, kwargs)
        return self._shelved(await once_awaited(self._flight(call), found, compute=compute, ask=ask))

    async def call(self, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Await, store and return `(value, metadata)`, whatever is stored already."""
        computed = await self._await(self.call_key(*args, **kwargs), args, kwargs)
        return self._value(computed), self._told(computed.metadata, args, kwargs)

    async def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Await and return the value, and put it in the place of one that is stored."""
        return self._value(await self._await(self.call_key(*args, **kwargs), args, kwargs))

    async def _await(self, call: CallKey, args: Any, kwargs: Any) -> Computed:
        self._print_call(args, kwargs)
        summaries = self._summaries(args, kwargs)
        started_at, started = datetime.now(UTC), time.perf_counter()
        with call_stack.computing() as used:
            call_stack.note_arguments((*args, *kwargs.values()))
            value = await self.func(*args, **kwargs)
        seconds = time.perf_counter() - started
        return self._store(call, value, started_at, seconds, used.values(), summaries, args, kwargs)


def memorized(func: Callable[..., Any], cache: Cache, **options: Any) -> MemorizedFunc:
    """Wrap a function, or a coroutine function; the options are those of `MemorizedFunc`."""
    kind = AsyncMemorizedFunc if inspect.iscoroutinefunction(func) else MemorizedFunc
    return kind(func, cache, **options)
