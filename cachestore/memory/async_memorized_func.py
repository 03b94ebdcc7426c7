"""A coroutine function whose awaited calls are answered from a cache where it has them."""

from __future__ import annotations

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
    from cachestore.cache import Metadata


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
        call = self.call_key(*args, **kwargs)
        found = self._load(call, args, kwargs)
        if isinstance(found, Hit):
            return found.value
        return self._as_hit(*await self._await(call, args, kwargs))

    async def call_and_shelve(self, *args: Any, **kwargs: Any) -> Any:
        """Return a reference to the result, awaited if need be."""
        call = self.call_key(*args, **kwargs)
        found = self._peek(call, args, kwargs, counts=True)
        if not isinstance(found, Miss):
            call_stack.note(found)
            return self._reference(found)
        return self._shelved(*await self._await(call, args, kwargs))

    async def call(self, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Await, store and return `(value, metadata)`, whatever is stored already."""
        value, metadata = await self._await(self.call_key(*args, **kwargs), args, kwargs)
        return self._as_hit(value, metadata), self._told(metadata, args, kwargs)

    async def _await(self, call: CallKey, args: Any, kwargs: Any) -> tuple[Any, Metadata | None]:
        self._print_call(args, kwargs)
        summaries = self._summaries(args, kwargs)
        started_at, started = datetime.now(UTC), time.perf_counter()
        with call_stack.computing() as used:
            call_stack.note_arguments((*args, *kwargs.values()))
            value = await self.func(*args, **kwargs)
        seconds = time.perf_counter() - started
        return value, self._store(call, value, started_at, seconds, used.values(), summaries, args, kwargs)


def memorized(func: Callable[..., Any], cache: Cache, **options: Any) -> MemorizedFunc:
    """Wrap a function, or a coroutine function; the options are those of `MemorizedFunc`."""
    kind = AsyncMemorizedFunc if inspect.iscoroutinefunction(func) else MemorizedFunc
    return kind(func, cache, **options)
