"""A store around a store across a network: one deadline, few tries, and a breaker."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.storage.breaker import Breaker
from cachestore.storage.deadline import allowance, deadline
from cachestore.storage.object_store import ObjectInfo, ObjectStore
from cachestore.storage.paths import STORE_FILE

_log = logging.getLogger(__name__)

_TRIES = 3
_FIRST_PAUSE = 0.1
# A whole object is of unknown size, and a first page may come after thousands of others on the server.
_UNKNOWN_SIZE = 64 * 2**20
_LISTING = 30.0
_LARGE = 4 * 2**20

T = TypeVar("T")


class GuardedStore:
    """Gives each operation of another store one total deadline, at most three tries, and a breaker.

    Only transient failures are tried again, only while `timeout` has not passed, and only they open the
    breaker: a store that refuses is a store that answers. While the breaker is open, operations fail at once.

    Parameters
    ----------
    inner
        The store that does the work and heeds `deadline.remaining`.
    timeout
        Seconds for one operation; those that move many bytes get more, by size.
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
        self._guard(lambda: self._inner.fetch(path, size), extra=allowance(size))

    def distrust(self, path: str) -> None:
        """Tell the inner store."""
        self._inner.distrust(path)

    def flush(self) -> None:
        """Wait for the inner store."""
        self._inner.flush()

    def close(self) -> None:
        """Close the inner store."""
        self._inner.close()

    def get(self, path: str) -> bytes:
        """Return the whole object."""
        return self._guard(lambda: self._inner.get(path), extra=allowance(_UNKNOWN_SIZE))

    def get_suffix(self, path: str, length: int) -> bytes:
        """Return the last `length` bytes."""
        return self._guard(lambda: self._inner.get_suffix(path, length), extra=allowance(length))

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`."""
        return self._guard(
            lambda: self._inner.get_range(path, start, stop), extra=allowance(max(0, stop - start))
        )

    def put(self, path: str, parts: Iterable[bytes | memoryview]) -> None:
        """Store the parts at `path`."""
        # Joined here, for a second try needs them again; putting the same bytes twice does no harm.
        data = b"".join(parts)
        if len(data) > _LARGE:
            # A store that hangs takes in some megabytes at once: find out before the long wait for the rest.
            self._guard(self._answer)
        self._guard(lambda: self._inner.put(path, [data]), extra=allowance(len(data)))

    def create(self, path: str, data: bytes) -> bool:
        """Store `data` at `path` unless something is there."""
        # A try whose reply was lost may have won; the next one then finds its own data and says so.
        return self._guard(lambda: self._inner.create(path, data), extra=allowance(len(data)))

    def delete(self, paths: Iterable[str]) -> None:
        """Remove the objects."""
        every = list(paths)
        # A thousand to a request.
        self._guard(lambda: self._inner.delete(every), extra=self._timeout * (len(every) // 1000))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Iterate over every object whose path begins with `prefix`; only the first page is tried again."""

        def begin() -> tuple[Iterable[ObjectInfo], Iterator[ObjectInfo]]:
            objects = self._inner.list(prefix)
            return [*islice(objects, 1)], objects

        first, rest = self._guard(begin, extra=_LISTING)
        return chain(first, rest)

    def _answer(self) -> None:
        with suppress(ObjectNotFound):
            self._inner.get_suffix(STORE_FILE, 1)

    def _guard(self, operation: Callable[[], T], *, extra: float = 0.0) -> T:
        pause = self._breaker.refuses()
        if pause:
            raise StorageError(
                f"{self.url} has failed again and again and is left alone for {pause:.0f} s more. "
                f"The last time: {self._breaker.reason}",
                transient=True,
            )
        begin = self._clock()
        with deadline(self._timeout + extra):
            for tries in range(1, _TRIES + 1):
                try:
                    result = operation()
                except StorageError as error:
                    if not error.transient:
                        self._breaker.succeeded()
                        raise
                    # Different for each client, else all come back at the same moment.
                    pause = _FIRST_PAUSE * 3 ** (tries - 1) * random.uniform(0.5, 1.5)
                    if tries == _TRIES or self._clock() - begin + pause >= self._timeout:
                        self._breaker.failed(str(error))
                        raise
                    _log.debug("try %d of %s failed: %s", tries, self.url, error)
                    self._sleep(pause)
                else:
                    self._breaker.succeeded()
                    return result
        raise AssertionError("the last try returns or raises")
