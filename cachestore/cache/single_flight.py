"""One computation of a call at a time in this process: who asks for what is being computed waits, and takes it.

Nobody waits for ever. Who would wait for a computation that waits for his own, in a circle of any length, computes too.
So does who has waited long for one that does not move: it may wait for something that he holds, as a lock, or the
thread of a pool. A computation moves while its thread uses the processor; where that cannot be seen (of coroutines, or
on some systems) it has twice as long after each time that somebody gave up.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from cachestore.cache.cache import Miss

if TYPE_CHECKING:
    from cachestore.blob import Metadata

_Found = TypeVar("_Found")

# Seconds without a move until one who waits computes too.
_PATIENCE: Final = 30.0
# What a thread uses of a processor while it only looks now and then whether others are done is less.
_MOVING: Final = 0.01
# Where what one waited for came to nothing so often, all who wait compute at once: no queue grows long.
_TRIES: Final = 2
# Names of what landed lately: whoever looked before it landed, and boards after, looks again.
_REMEMBERED: Final = 1024


class Computed(NamedTuple):
    """Is what a computation came to.

    Attributes
    ----------
    value
        What the function returned.
    metadata
        What was stored of it besides; None where nothing was stored.
    """

    value: Any
    metadata: Metadata | None


class _Flight:
    """Is a computation under way, and later whether it came to something for those who waited for it."""

    __slots__ = (
        "_clock",
        "_name",
        "ended",
        "failed",
        "patience",
        "stored",
        "waits_for",
    )

    def __init__(self, name: tuple[Any, ...], ended: Any, *, clock: int | None, patience: float) -> None:
        self._name = name
        self._clock = clock
        # Of the threading or of the asyncio kind.
        self.ended = ended
        self.failed = True
        self.patience = patience
        self.stored = False
        self.waits_for: list[_Flight] = []

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Be aboard; afterwards it has ended, whatever happened."""
        token = _aboard.set((*_aboard.get(), self))
        try:
            yield
        finally:
            with _lock:
                self._leave()
            # First of all: a coroutine that is thrown away may end in another context.
            self.ended.set()
            _aboard.reset(token)

    def land(self, computed: Computed) -> Computed:
        """Have those who wait take what was stored."""
        self.stored = computed.metadata is not None
        self.failed = False
        with _lock:
            # Who comes from now on finds it in the cache, or computes.
            self._leave()
            if self.stored:
                _remember(self._name)
        return computed

    def _leave(self) -> None:
        if _under_way.get(self._name) is self:
            del _under_way[self._name]

    @contextmanager
    def awaited(self) -> Iterator[bool]:
        """Wait for it inside the block, unless that would never end: then False is given."""
        mine = _aboard.get()
        with _lock:
            ends = self._ahead().isdisjoint(mine)
            for each in mine:
                each.waits_for.append(self)
        try:
            yield ends
        finally:
            with _lock:
                for each in mine:
                    each.waits_for.remove(self)

    def progress(self) -> tuple[set[_Flight], float]:
        """Say where it is: all that must land before it, and the seconds of a processor that they used."""
        with _lock:
            ahead = self._ahead()
        return ahead, sum(each._used() for each in ahead)

    def moved(self, before: tuple[set[_Flight], float], now: tuple[set[_Flight], float]) -> bool:
        """Say whether it moved in the time of its patience."""
        return now[0] != before[0] or now[1] - before[1] > _MOVING * self.patience

    def _ahead(self) -> set[_Flight]:
        ahead, to_see = {self}, [self]
        while to_see:
            new = set(to_see.pop().waits_for) - ahead
            ahead |= new
            to_see += new
        return ahead

    def _used(self) -> float:
        if self._clock is None:
            return 0.0
        try:
            return time.clock_gettime(self._clock)
        except OSError:  # the thread is gone
            return 0.0


_aboard: ContextVar[tuple[_Flight, ...]] = ContextVar("cachestore_aboard", default=())
_under_way: dict[tuple[Any, ...], _Flight] = {}
_landed: dict[tuple[Any, ...], None] = {}
# What is collected while it is held may call a memorised function too.
_lock = threading.RLock()


def _renew() -> None:
    """Hold nothing in the child of a fork: the threads that compute are not there."""
    global _lock
    _lock = threading.RLock()
    _under_way.clear()
    _landed.clear()


os.register_at_fork(after_in_child=_renew)


def once(
    name: tuple[Any, ...],
    missed: Miss,
    *,
    compute: Callable[[], Computed],
    ask: Callable[[], _Found | Miss],
) -> _Found | Computed:
    """Compute, unless another thread does so already: then wait, and take what it stored.

    Where it stored nothing, all of those who wait compute; where it raised, one of them does, and where that raises
    too, all.

    Parameters
    ----------
    name
        What is computed.
    missed
        What the cache said to the caller before.
    compute
        Computes and stores.
    ask
        Looks into the cache.

    Examples
    --------
    >>> once(("six",), Miss("absent"), compute=lambda: Computed(2 * 3, None), ask=lambda: Miss("absent")).value
    6
    """
    if missed.reason == "bypassed":
        return compute()  # as whoever calls wants it
    stuck = None
    for _ in range(_TRIES):
        flight, is_ours = _board((None, *name), threading.Event, _clock_of_thread(), instead_of=stuck)
        if is_ours:
            with flight.under_way():
                found = _landed_meanwhile(name, missed, ask)
                return flight.land(compute()) if isinstance(found, Miss) else found
        with flight.awaited() as ends:
            if not ends:
                break
            before = flight.progress()
            while not flight.ended.wait(flight.patience):
                now = flight.progress()
                if not flight.moved(before, now):
                    stuck = flight
                    break
                before = now
            else:
                found = ask() if flight.stored else missed
                if not isinstance(found, Miss):
                    return found
                if not flight.failed:
                    break
    return compute()


async def once_awaited(
    name: tuple[Any, ...],
    missed: Miss,
    *,
    compute: Callable[[], Awaitable[Computed]],
    ask: Callable[[], _Found | Miss],
) -> _Found | Computed:
    """Await a computation, unless another task of this event loop does so already: as `once`.

    Where the one that computes is cancelled, one of those who wait computes.
    """
    import asyncio

    if missed.reason == "bypassed":
        return await compute()
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return await compute()  # something else drives the coroutines, and knows nothing of asyncio's events
    stuck = None
    for _ in range(_TRIES):
        flight, is_ours = _board((loop, *name), asyncio.Event, None, instead_of=stuck)
        if is_ours:
            with flight.under_way():
                found = _landed_meanwhile(name, missed, ask)
                return flight.land(await compute()) if isinstance(found, Miss) else found
        with flight.awaited() as ends:
            if not ends:
                break
            before = flight.progress()
            while not flight.ended.is_set():
                try:
                    await asyncio.wait_for(flight.ended.wait(), flight.patience)
                except TimeoutError:
                    now = flight.progress()
                    if not flight.moved(before, now):
                        stuck = flight
                        break
                    before = now
            else:
                found = ask() if flight.stored else missed
                if not isinstance(found, Miss):
                    return found
                if not flight.failed:
                    break
    return await compute()


def _board(
    name: tuple[Any, ...], event: Callable[[], Any], clock: int | None, *, instead_of: _Flight | None
) -> tuple[_Flight, bool]:
    """Return the flight of that name, and whether it is the caller's to fly."""
    with _lock:
        flight = _under_way.get(name)
        if flight is not None and flight is not instead_of:
            return flight, False
        patience = _PATIENCE if instead_of is None else 2 * instead_of.patience
        flight = _under_way[name] = _Flight(name, event(), clock=clock, patience=patience)
        return flight, True


def _landed_meanwhile(name: tuple[Any, ...], missed: Miss, ask: Callable[[], _Found | Miss]) -> _Found | Miss:
    """Ask again for what may have landed since the caller looked; nearly nobody has to."""
    with _lock:
        landed = missed.reason == "absent" and name in _landed
    return ask() if landed else missed


def _remember(name: tuple[Any, ...]) -> None:
    _landed[name[1:]] = None
    if len(_landed) > _REMEMBERED:
        del _landed[next(iter(_landed))]


def _clock_of_thread() -> int | None:
    """Return the clock of the processor time of this thread, where others can read it."""
    clock_of = getattr(time, "pthread_getcpuclockid", None)
    return None if clock_of is None else clock_of(threading.get_ident())
