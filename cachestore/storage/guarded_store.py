"""A store around a store across a network: one deadline, few tries, and a breaker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.in_order import in_order
from cachestore.storage.breaker import Breaker
from cachestore.storage.deadline import LISTING
from cachestore.storage.gathering import gathered
from cachestore.storage.object_store import ObjectInfo, ObjectStore
from cachestore.storage.stored_object import RangedObject, StoredObject
from cachestore.storage.tries import tried

T = TypeVar("T")


class GuardedStore:
    """Gives each operation of another store one total deadline, at most three tries, and a breaker.

    Only transient failures are tried again, only while `timeout` has not passed, and only they open the
    breaker: a store that refuses is a store that answers. While the breaker is open, operations fail at once.

    Parameters
    ----------
    inner
        The store that does the work, heeds `deadline.remaining`, and puts the deadline off for bytes that move.
    timeout
        Seconds for one operation; bytes that move add to them. A put of more than 8 MiB is made of operations, each
        of which the inner store gives as much: whoever makes its parts may take any time for them.
    clock, sleep
        The time, for tests.
    """

    def __init__(
        self,
        inner: ObjectStore,
        *,
        timeout: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._inner = inner
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep
        self._breaker = Breaker(clock=clock)

    @property
    def url(self) -> str:
        """Where the inner store is."""
        return self._inner.url

    @property
    def remote(self) -> bool:
        """Whether the inner store is across a network."""
        return self._inner.remote

    def directory(self) -> Path | None:
        """Return the inner store's directory."""
        return self._inner.directory()

    def fetch(self, path: str, size: int) -> None:
        """Tell the inner store."""
        self._guard(lambda: self._inner.fetch(path, size))

    def keep_near(self, path: str, parts: Iterable[bytes | memoryview], size: int) -> bool:
        """Return False: there is nothing nearer."""
        return False

    def distrust(self, path: str) -> None:
        """Tell the inner store."""
        self._inner.distrust(path)

    def flush(self) -> None:
        """Wait for the inner store."""
        self._inner.flush()

    def close(self) -> None:
        """Close the inner store."""
        self._inner.close()

    def open(self, path: str) -> StoredObject:
        """Return the object, to be read in pieces; the first of them says whether it is there."""
        return RangedObject(self, path)

    def open_near(self, path: str) -> StoredObject:
        """Find nothing: no object lies on this machine."""
        raise ObjectNotFound(f"{path} of {self.url} does not lie on this machine.")

    def put_near(self, path: str, parts: Iterable[bytes | memoryview]) -> bool:
        """Store nothing: nothing waits here."""
        return False

    @property
    def at_once(self) -> int:
        """How many requests to the inner store are worth having under way."""
        return self._inner.at_once

    @property
    def per_delete(self) -> int:
        """How many objects one request to the inner store deletes."""
        return self._inner.per_delete

    def at_hand(self, path: str) -> None:
        """Return nothing: no object is."""

    def get(self, path: str) -> bytes:
        """Return the whole object."""
        return self._guard(lambda: self._inner.get(path))

    def get_suffix(self, path: str, length: int) -> bytes:
        """Return the last `length` bytes."""
        return self._guard(lambda: self._inner.get_suffix(path, length))

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`."""
        return self._guard(lambda: self._inner.get_range(path, start, stop))

    def version(self, path: str) -> str:
        """Return what changes when another object takes this one's place."""
        return self._guard(lambda: self._inner.version(path))

    def put(self, path: str, parts: Iterable[bytes | memoryview]) -> None:
        """Store the parts at `path`."""
        every = gathered(parts)
        first = [*islice(every, 2)]
        if len(first) < 2:
            # Held here, for a second try needs them again; putting the same bytes twice does no harm.
            self._guard(lambda: self._inner.put(path, first))
        else:
            # Not held, and not to be made twice: the inner store tries each of its requests again.
            self._watch(lambda: self._inner.put(path, chain(first, every)))

    def create(self, path: str, data: bytes) -> bool:
        """Store `data` at `path` unless something is there."""
        # A try whose reply was lost may have won; the next one then finds its own data and says so.
        return self._guard(lambda: self._inner.create(path, data))

    def delete(self, paths: Iterable[str]) -> None:
        """Remove the objects: each request is an operation, and where one removes one, several are under way."""
        every, each = list(paths), self._inner.per_delete
        requests = [every[begin : begin + each] for begin in range(0, len(every), each)]
        at_once = max(1, min(self._inner.at_once, len(requests))) if each == 1 else 1

        def remove(batch: list[str]) -> None:
            self._guard(lambda: self._inner.delete(batch))

        for _ in in_order(remove, requests, at_once=at_once):
            pass

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Iterate over every object whose path begins with `prefix`; only the first page is tried again."""

        def begin() -> tuple[Iterable[ObjectInfo], Iterator[ObjectInfo]]:
            objects = self._inner.list(prefix)
            return [*islice(objects, 1)], objects

        first, rest = self._guard(begin, extra=LISTING)
        return chain(first, rest)

    def sweep_unfinished(self, older_than: timedelta, *, act: bool = True) -> int:
        """Remove what puts that died have left where no listing shows it."""
        return self._watch(lambda: self._inner.sweep_unfinished(older_than, act=act))

    def _guard(self, operation: Callable[[], T], *, extra: float = 0.0) -> T:
        """Do one operation: one deadline, few tries."""
        return self._watch(
            partial(
                tried, operation, timeout=self._timeout, extra=extra, clock=self._clock, sleep=self._sleep
            )
        )

    def _watch(self, work: Callable[[], T]) -> T:
        """Do what has deadlines of its own, unless the breaker is open."""
        pause = self._breaker.refuses()
        if pause:
            raise StorageError(
                f"{self.url} has failed again and again and is left alone for {pause:.0f} s more. "
                f"The last time: {self._breaker.reason}",
                transient=True,
            )
        try:
            result = work()
        except StorageError as error:
            if error.transient:
                self._breaker.failed(str(error))
            else:
                self._breaker.succeeded()
            raise
        self._breaker.succeeded()
        return result
