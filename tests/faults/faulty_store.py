"""A store around a store, of which single operations go wrong."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

from cachestore.errors import StorageError
from cachestore.storage import ObjectStore
from cachestore.storage.deadline import remaining


class Fault(StrEnum):
    """Says what goes wrong with an operation."""

    TRANSIENT = "transient"  # it fails; the next try may not
    PERMANENT = "permanent"  # it is refused
    SLOW = "slow"  # there is no answer before all time is used up
    TRUNCATED = "truncated"  # what is read ends half way; a put or a listing breaks off
    FLIPPED = "flipped"  # one bit of what is read or written is another
    LOST = "lost"  # it is done, and the reply does not come
    DIES = "dies"  # the process ends before it
    DIES_AFTER = "dies after"  # the process ends after it


DEATH = 77


class Clock:
    """A clock that only moves when somebody sleeps or waits."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class FaultyStore:
    """Does as another store does, but for what `fault` says of the operation with a number.

    Knows nothing of single operations: what reads gives bytes or fills a buffer, what writes takes parts or data.

    Parameters
    ----------
    inner
        The store that does the work.
    fault
        Told the number of the operation, from 0, and its name; None lets it be.
    remote
        In place of the inner store's.
    clock
        What `SLOW` moves, where there is one.
    seed
        Decides which bit is flipped.
    """

    def __init__(
        self,
        inner: ObjectStore,
        fault: Callable[[int, str], Fault | None],
        *,
        remote: bool | None = None,
        clock: Clock | None = None,
        seed: object = 0,
    ) -> None:
        self.inner = inner
        self.fault = fault
        self.url = inner.url
        self.remote = inner.remote if remote is None else remote
        self.clock = clock
        self.chance = random.Random(f"{seed}")
        self.asked: list[str] = []

    def directory(self) -> Any:
        return None if self.remote else self.inner.directory()

    def close(self) -> None:
        self.inner.close()

    def at_hand(self, _: str) -> None:
        """Have nothing at hand: that is never an error, and what is asked for instead can go wrong."""

    def __getattr__(self, name: str) -> Any:
        work = getattr(self.inner, name)
        if name in {"flush", "distrust"} or not callable(work):
            return work
        return self._listed if name == "list" else lambda *arguments: self._do(name, work, arguments)

    def _next(self, name: str) -> Fault | None:
        self.asked.append(name)
        return self.fault(len(self.asked) - 1, name)

    def _listed(self, prefix: str) -> Iterator[Any]:
        fault = self._next("list")
        self._fail_before(fault, "list")
        found = list(self.inner.list(prefix))
        if fault is Fault.TRUNCATED:
            yield from found[: len(found) // 2]
            raise StorageError("The list broke off.", transient=True)
        yield from found
        if fault is Fault.DIES_AFTER:
            os._exit(DEATH)

    def _do(self, name: str, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        fault = self._next(name)
        self._fail_before(fault, name)
        if name in {"put", "create"}:
            arguments = self._written(fault, *arguments)
        found = work(*arguments)
        if fault is Fault.DIES_AFTER:
            os._exit(DEATH)
        if fault is Fault.LOST:
            raise StorageError(f"The reply to {name} was lost.", transient=True)
        if isinstance(found, bytes):
            return self._damaged(fault, found)
        for filled in arguments:
            if isinstance(filled, memoryview) and not filled.readonly:
                damaged = self._damaged(fault, bytes(filled))
                filled.cast("B")[:] = damaged.ljust(filled.nbytes, b"\0")
        return found

    def _fail_before(self, fault: Fault | None, name: str) -> None:
        if fault is Fault.DIES:
            os._exit(DEATH)
        if fault is Fault.TRANSIENT:
            raise StorageError(f"The server is busy: {name}.", transient=True)
        if fault is Fault.PERMANENT:
            raise StorageError(f"Permission denied: {name}.")
        if fault is Fault.SLOW:
            if self.clock is not None:
                self.clock.sleep(remaining(5.0))
            raise StorageError(f"No answer in time: {name}.", transient=True)

    def _written(self, fault: Fault | None, path: str, data: Any) -> tuple[str, Any]:
        if fault is Fault.FLIPPED:
            whole = self._damaged(fault, bytes(data) if isinstance(data, bytes) else b"".join(data))
            return path, whole if isinstance(data, bytes) else [whole]
        if fault is Fault.TRUNCATED and not isinstance(data, bytes):
            return path, _broken_off(data)
        return path, data

    def _damaged(self, fault: Fault | None, data: bytes) -> bytes:
        if fault is Fault.TRUNCATED:
            return data[: len(data) // 2]
        if fault is Fault.FLIPPED and data:
            # The ends hold what is worth damaging.
            places = [0, len(data) - 1, self.chance.randrange(len(data))]
            places.append(max(0, len(data) - 1 - self.chance.randrange(1000)))
            damaged = bytearray(data)
            damaged[self.chance.choice(places)] ^= 1 << self.chance.randrange(8)
            return bytes(damaged)
        return data


def _broken_off(parts: Any) -> Iterator[Any]:
    for part in parts:
        yield part
        break
    raise StorageError("The connection broke in the middle of a put.", transient=True)
