"""What a cache relies on, tried on a store: each promise kept or broken, and how far and how fast the store is.

Everything is put under names of its own, which look like what an interrupted put leaves: if even the clean-up is
killed, a collection sweeps them. No entry is touched.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import repeat
from statistics import median

from cachestore.cache.diagnosis import (
    Diagnosis,
    Result,
    judge_clock,
    judge_conditional_put,
    judge_latency,
    judge_throughput,
)
from cachestore.errors import ObjectNotFound, StorageError
from cachestore.storage import (
    PROBES,
    STORE_FILE,
    ObjectInfo,
    ObjectStore,
    probe_conditional_put,
    probe_path,
    remove_probes,
)

_SMALL = 1000
_LARGE = 8 * 2**20
# Up to 16 MiB are gathered before the first of them leave for a server; only what is beyond can be left there.
_BROKEN_AT = 17 * 2**20
_TIMES = 9


def examine(
    store: ObjectStore,
    *,
    progress: Callable[[int, int], object] = lambda done, total: None,
    clock: Callable[[], float] = time.perf_counter,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[Diagnosis]:
    """Check a store for what a cache relies on.

    Where nobody may write, or what was put may not be removed again, only reading is checked.

    Parameters
    ----------
    progress
        Told how many of how many checks are done.
    clock, now
        The time, for tests.

    Raises
    ------
    StorageError
        If the store does not even answer whether something is there.
    """
    bench = _Bench(store, clock, now)
    found: list[Diagnosis] = []
    try:
        found += bench.settle()
        checks = [check for check in _CHECKS if bench.writable or not check.writes]
        for done, check in enumerate(checks):
            progress(done, len(checks))
            found += _outcome(check, bench)
    finally:
        left = bench.clean()
    return [*found, *left]


class _Bench:
    """Is where the checks are made: a store, an object to read, the time, and what is to be removed afterwards."""

    def __init__(self, store: ObjectStore, clock: Callable[[], float], now: Callable[[], datetime]) -> None:
        self.store = store
        self.clock = clock
        self.now = now
        self.writable = False
        self.sample: tuple[str, bytes] | None = None
        self._made: list[str] = []

    def fresh(self) -> str:
        """Name an object that is not there yet, and will not be when all is done."""
        path = probe_path()
        self._made.append(path)
        return path

    def settle(self) -> Iterator[Diagnosis]:
        """Find out what may be done here."""
        with suppress(ObjectNotFound):
            self.sample = (STORE_FILE, self.store.get(STORE_FILE))
        path, data = self.fresh(), os.urandom(_SMALL)
        try:
            self.store.put(path, [data])
        except StorageError as error:
            yield Diagnosis(
                "write",
                Result.FAILURE,
                f"Nothing can be stored here; what is there can be used, and only reading is checked. {error}",
            )
            return
        yield Diagnosis("write", Result.OK, "Results can be stored here.")
        try:
            # Before there is more to remove: the policy of a writer need not allow it.
            self.store.delete([path])
        except StorageError as error:
            yield Diagnosis(
                "remove",
                Result.WARNING,
                "Nothing can be removed here, which only `cachestore gc` needs. So that no more stays behind, "
                f"only reading is checked: run `cachestore doctor` again as somebody who may. {error}",
            )
            return
        yield Diagnosis("remove", Result.OK, "What is given up can be removed.")
        self.sample = (path, data)
        self.store.put(path, [data])
        self.writable = True

    def clean(self) -> list[Diagnosis]:
        """Remove everything that was made."""
        try:
            remove_probes(self.store, self._made)
        except StorageError as error:
            if self.writable:
                return [
                    Diagnosis(
                        "clean-up",
                        Result.WARNING,
                        f"Some of the checks' objects stay behind; `cachestore gc` sweeps them in a week. {error}",
                    )
                ]
        return []


@dataclass(frozen=True, slots=True)
class _Promise:
    """Is kept, or broken in a way that `test` tells."""

    check: str
    test: Callable[[_Bench], str | None]
    kept: str
    consequence: str
    writes: bool = True

    def __call__(self, bench: _Bench) -> list[Diagnosis]:
        broken = self.test(bench)
        if broken is None:
            return [Diagnosis(self.check, Result.OK, self.kept)]
        return [Diagnosis(self.check, Result.FAILURE, f"{broken} {self.consequence}")]


@dataclass(frozen=True, slots=True)
class _Measurement:
    """Is a value, or two, and what is to be thought of it."""

    check: str
    measure: Callable[[_Bench], list[Diagnosis]]
    writes: bool = True

    def __call__(self, bench: _Bench) -> list[Diagnosis]:
        return self.measure(bench)


def _outcome(check: _Promise | _Measurement, bench: _Bench) -> list[Diagnosis]:
    try:
        return check(bench)
    except StorageError as error:
        return [Diagnosis(check.check, Result.FAILURE, f"This could not be checked. {error}")]


# ---- promises: each test returns how the promise is broken


class _BrokenOff(Exception):
    """Says that the parts of a put ended too early."""


def _break_off() -> Iterator[bytes]:
    yield from repeat(2**20 * b"x", _BROKEN_AT // 2**20)
    raise _BrokenOff


def _torn_put(bench: _Bench) -> str | None:
    store, path = bench.store, bench.fresh()
    old = 300_000 * b"0"
    store.put(path, [old])
    with suppress(_BrokenOff):
        store.put(path, _break_off())
    found = _content(store, path)
    if found is None:
        return "A put that broke off destroyed what was there."
    if found != old:
        return "A put that broke off left a part behind, in place of what was there."
    if not _whole_for_readers(store, path, len(old)):
        return "Somebody who read during a put saw neither the old object nor the new one."
    return None


def _whole_for_readers(store: ObjectStore, path: str, size: int) -> bool:
    done = threading.Event()

    def read() -> bool:
        while not done.is_set():
            data = _content(store, path)
            if data is None or data != size * data[:1]:
                return False
        return True

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        try:
            for number in range(1, 6):
                store.put(path, [b"%d" % number * (size // 2)] * 2)
        finally:
            done.set()
        return reading.result()


def _unread_put(bench: _Bench) -> str | None:
    for _ in range(5):
        path, data = bench.fresh(), os.urandom(_SMALL)
        # Asked for first: some stores remember for a while that something was absent.
        if _content(bench.store, path) is not None:
            return "An object is read that nobody put."
        bench.store.put(path, [data])
        if _content(bench.store, path) != data:
            return "What was put is not read at once."
    return None


def _unreplaced(bench: _Bench) -> str | None:
    path = bench.fresh()
    for size in (_SMALL, 10, 2 * _SMALL):
        data = os.urandom(size)
        bench.store.put(path, [data])
        if _content(bench.store, path) != data:
            return "After a second put the first object is still read, or a mixture."
    return None


def _wrong_range(bench: _Bench) -> str | None:
    store = bench.store
    with suppress(ObjectNotFound):
        store.get_suffix(probe_path(), 10)
        return "A range of an absent object is read."
    if bench.writable:
        empty = bench.fresh()
        store.put(empty, [])
        if store.get_suffix(empty, 10) or store.get_range(empty, 0, 10):
            return "An empty object has bytes."
    if bench.sample is None:
        return None
    path, data = bench.sample
    size = len(data)
    for length in (1, size // 2, size, size + 10):
        if store.get_suffix(path, length) != data[-length:]:
            return f"The last {length} bytes of an object of {size} are others."
    for start, stop in ((0, 1), (size // 3, size // 2), (size // 2, size + 10), (size, size + 10)):
        if store.get_range(path, start, stop) != data[start:stop]:
            return f"The bytes from {start} to {stop} of an object of {size} are others."
    return None


def _stale_listing(bench: _Bench) -> str | None:
    store, path = bench.store, bench.fresh()
    # Listed first: a listing that is remembered shows.
    if _info(store, path) is not None:
        return "What nobody put is listed."
    store.put(path, [_SMALL * b"x"])
    info = _info(store, path)
    if info is None:
        return "What was put is not listed at once."
    if info.size != _SMALL:
        return f"An object of {_SMALL} bytes is listed with {info.size}."
    store.delete([path])
    if _info(store, path) is not None:
        return "What was deleted is still listed."
    return None


def _unlistable(bench: _Bench) -> str | None:
    for _ in bench.store.list(PROBES):
        break
    return None


def _undeleted(bench: _Bench) -> str | None:
    store, path = bench.store, bench.fresh()
    store.delete([path])
    store.put(path, [b"x"])
    store.delete([path, probe_path()])
    if _content(store, path) is not None:
        return "What was deleted is still read."
    return None


def _content(store: ObjectStore, path: str) -> bytes | None:
    try:
        return store.get(path)
    except ObjectNotFound:
        return None


def _info(store: ObjectStore, path: str) -> ObjectInfo | None:
    return next((info for info in store.list(path) if info.path == path), None)


# ---- measurements


def _conditional_put(bench: _Bench) -> list[Diagnosis]:
    return [judge_conditional_put(probe_conditional_put(bench.store))]


def _put_latency(bench: _Bench) -> list[Diagnosis]:
    data = os.urandom(_SMALL)
    paths = [bench.fresh() for _ in range(_TIMES)]
    return [
        judge_latency(
            "put", median(_seconds(bench, partial(bench.store.put, path, [data])) for path in paths)
        )
    ]


def _get_latency(bench: _Bench) -> list[Diagnosis]:
    # A miss asks the store once as well.
    path = bench.sample[0] if bench.sample else probe_path()
    return [
        judge_latency(
            "get", median(_seconds(bench, partial(_content, bench.store, path)) for _ in range(_TIMES))
        )
    ]


def _throughput(bench: _Bench) -> list[Diagnosis]:
    # Random: what lies between may compress.
    path, data = bench.fresh(), os.urandom(_LARGE)
    putting = _seconds(bench, lambda: bench.store.put(path, [data]))
    getting = _seconds(bench, lambda: bench.store.get(path))
    return [judge_throughput("put", _LARGE / putting), judge_throughput("get", _LARGE / getting)]


def _clock_offset(bench: _Bench) -> list[Diagnosis]:
    path = bench.fresh()
    before = bench.now()
    bench.store.put(path, [b"x"])
    here = before + (bench.now() - before) / 2
    info = _info(bench.store, path)
    if info is None:
        return [
            Diagnosis("clock offset", Result.WARNING, "What was put is not listed, so nobody knows its age.")
        ]
    return [judge_clock((info.modified - here).total_seconds())]


def _seconds(bench: _Bench, work: Callable[[], object]) -> float:
    begin = bench.clock()
    work()
    # A clock may stand still for a moment.
    return max(bench.clock() - begin, 1e-9)


_STALE = "Look for a cache or a mirror between here and the store, and go round it."
_CHECKS = (
    _Promise(
        "atomic put",
        _torn_put,
        "A put is whole or absent, also for readers, and when it breaks off after 17 MiB.",
        "Digests find damaged results, but other objects of the store are lost. Use another store.",
    ),
    _Promise(
        "read after write",
        _unread_put,
        "What was put is read at once.",
        f"Colleagues compute again what is there. {_STALE}",
    ),
    _Promise(
        "replace",
        _unreplaced,
        "A put replaces what was there, at once.",
        f"A result that was refreshed or repaired is not seen. {_STALE}",
    ),
    _Measurement("conditional put", _conditional_put),
    _Promise(
        "range reads",
        _wrong_range,
        "Pieces of an object are read as they are, and nothing beyond its end.",
        "No hit can be read. Upgrade the server, or use another store.",
        writes=False,
    ),
    _Promise(
        "list after write",
        _stale_listing,
        "What is put is listed at once, and what is deleted no more.",
        f"`cachestore gc`, `verify` and `rebuild` go by the listing: do not run them here. {_STALE}",
    ),
    _Promise(
        "list",
        _unlistable,
        "The store can be listed.",
        "`cachestore verify` and `rebuild` need that.",
        writes=False,
    ),
    _Promise(
        "delete",
        _undeleted,
        "What is deleted is gone at once, and absent objects are no error.",
        f"`cachestore gc` frees nothing, or too late. {_STALE}",
    ),
    _Measurement("latency of a put", _put_latency),
    _Measurement("latency of a get", _get_latency, writes=False),
    _Measurement("throughput", _throughput),
    _Measurement("clock offset", _clock_offset),
)
