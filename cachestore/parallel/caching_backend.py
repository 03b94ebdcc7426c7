"""A joblib backend around another: hits are answered from the cache, and only misses are sent."""

from __future__ import annotations

import functools
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from joblib.parallel import (
    BatchedCalls,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
    get_active_backend,
    parallel_config,
)

from cachestore.cache import Cache, Hit, Metadata
from cachestore.errors import CachestoreWarning, KeyingError
from cachestore.parallel.digests import Digests
from cachestore.parallel.loky_engine import loky_reducer
from cachestore.parallel.task import Task
from cachestore.parallel.task_call import TaskCall, task_call, unwrapped

_logger = logging.getLogger(__name__)

# Lookups wait for the store; joblib itself bounds how many batches are under way.
_LOOKUPS = 8

# Where tasks run one at a time, one after the other, there is nobody to share them out to.
_ONE_BY_ONE_BATCH = 16

Item = tuple[Any, tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Is what a batch came to: its results, or the error that ended it."""

    results: list[Any]
    error: BaseException | None = None


class _Call:
    """Is one call of `Parallel`: the digests that its tasks share, and the threads that look them up."""

    def __init__(self, lookups: int) -> None:
        self.digests = Digests()
        self.pool = ThreadPoolExecutor(lookups, thread_name_prefix="cachestore-lookup")
        self.closed = False

    def close(self) -> None:
        self.closed = True
        self.pool.shutdown(wait=False, cancel_futures=True)


class CachingBackend(ParallelBackendBase):  # type: ignore[misc]
    """Looks every task of a batch up, answers the hits, and has the inner backend compute the rest.

    joblib calls `submit` while it holds its lock, and completions dispatch the next batch: so a batch is looked up
    and delivered by a thread of its own, which waits until `submit` has returned, and a run of hits never recurses.

    Parameters
    ----------
    inner
        The joblib backend that computes.
    cache
        Where the answers are.
    """

    supports_retrieve_callback = True
    # joblib gives tasks that write into shared memory to plain threads then: they must never be answered.
    supports_sharedmem = False

    def __init__(self, inner: ParallelBackendBase, cache: Cache) -> None:
        self.inner = inner
        self.cache = cache
        self._has_workers = False
        self._lookups = _LOOKUPS
        self._call: _Call | None = None
        self._sending = threading.Lock()
        self._delivering = threading.local()
        self._messages: dict[str, str] = {}
        self._told: set[str] = set()

    # ---- what the inner backend decides

    @property
    def nesting_level(self) -> int | None:
        """How deep in nested calls."""
        level: int | None = self.inner.nesting_level
        return level

    @nesting_level.setter
    def nesting_level(self, level: int | None) -> None:
        self.inner.nesting_level = level

    @property
    def default_n_jobs(self) -> int:
        """How many jobs there are where nobody says."""
        return int(self.inner.default_n_jobs)

    @property
    def supports_inner_max_num_threads(self) -> bool:
        """Whether workers' native threads can be limited."""
        return bool(self.inner.supports_inner_max_num_threads)

    @property
    def inner_max_num_threads(self) -> int | None:
        """How many native threads a worker may have."""
        threads: int | None = self.inner.inner_max_num_threads
        return threads

    @inner_max_num_threads.setter
    def inner_max_num_threads(self, threads: int | None) -> None:
        self.inner.inner_max_num_threads = threads

    @property
    def supports_return_generator(self) -> bool:
        """Whether results can be handed out as they come."""
        return bool(self.inner.supports_return_generator)

    def get_nested_backend(self) -> Any:
        """Return the inner one's; each task puts the cache around it where it runs."""
        return self.inner.get_nested_backend()

    def retrieval_context(self) -> AbstractContextManager[None]:
        """Wait as the inner backend waits: a dask worker steps aside."""
        context: AbstractContextManager[None] = self.inner.retrieval_context()
        return context

    # ---- the life of a call

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Return how many tasks run at a time, but at least 2: with one worker joblib bypasses its backend."""
        return _at_least_two(self.inner.effective_n_jobs(n_jobs))

    def configure(self, n_jobs: int = 1, parallel: Any = None, **options: Any) -> int:
        """Make the inner backend ready; where it has no workers, tasks run here, one at a time."""
        self.parallel = parallel
        try:
            jobs = self.inner.configure(n_jobs=n_jobs, parallel=parallel, **options)
        except FallbackToBackend:
            self._has_workers, jobs = False, 1
        else:
            self._has_workers = not isinstance(self.inner, SequentialBackend)
        self._lookups = max(_LOOKUPS, 2 * jobs)
        return _at_least_two(jobs)

    def start_call(self) -> None:
        """Begin a call of `Parallel`."""
        self._call = _Call(self._lookups)
        if self._has_workers:
            self.inner.start_call()

    def stop_call(self) -> None:
        """End a call of `Parallel`, and say what there is to say of it, in the thread of the caller."""
        self._close_call()
        if self._has_workers:
            self.inner.stop_call()
        for kind in self._messages.keys() - self._told:
            self._told.add(kind)
            warnings.warn(self._messages[kind], CachestoreWarning, stacklevel=2)

    def terminate(self) -> None:
        """Let the inner backend's workers go."""
        if self._has_workers:
            self.inner.terminate()
        self._has_workers = False

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Give up what is under way."""
        self._close_call()
        if self._has_workers:
            self.inner.abort_everything(ensure_ready=ensure_ready)

    def compute_batch_size(self) -> int:
        """Return how many tasks make a batch."""
        return int(self.inner.compute_batch_size()) if self._has_workers else _ONE_BY_ONE_BATCH

    def batch_completed(self, batch_size: int, duration: float) -> None:
        """Tell the inner backend how long a batch took; one with hits says nothing of how long tasks take."""
        if self._has_workers and not getattr(self._delivering, "hits", True):
            self.inner.batch_completed(batch_size, duration)

    def _close_call(self) -> None:
        if self._call is not None:
            self._call.close()
            self._call = None

    # ---- one batch

    def submit(self, func: BatchedCalls, callback: Callable[[_Outcome], None]) -> Future[None]:
        """Have a batch looked up, and what is missing computed."""
        call = self._call
        if call is None:  # aborted meanwhile: nobody waits for it
            return Future()
        return call.pool.submit(self._answer, call, func, callback)

    def retrieve_result_callback(self, out: _Outcome) -> list[Any]:
        """Return the results of a batch, or raise the error that ended it."""
        if out.error is not None:
            raise out.error
        return out.results

    def _answer(self, call: _Call, batch: BatchedCalls, callback: Callable[[_Outcome], None]) -> None:
        """Look a batch up, and deliver it or send what is missing; runs in a thread of the call."""
        try:
            answers = [self._look_up(call, item) for item in batch.items]
            missing = [answer for answer in answers if not isinstance(answer, Hit)]
            deliver = functools.partial(self._deliver, answers, callback)
            if not missing:
                deliver(_Outcome([]))
            elif not call.closed:
                self._compute(_with_items(batch, missing, loky_reducer(self.inner)), deliver)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread that waits must hear of it
            callback(_Outcome([], error))

    def _compute(self, batch: BatchedCalls, deliver: Callable[[_Outcome], None]) -> None:
        if not self._has_workers:
            with self._sending:
                outcome = _outcome(batch)
            deliver(outcome)
        elif self.inner.supports_retrieve_callback:

            def retrieve(out: Any) -> None:
                deliver(_outcome(lambda: self.inner.retrieve_result_callback(out)))

            # Backends count on joblib's lock: none of them expects two submissions at once.
            with self._sending:
                self.inner.submit(batch, callback=retrieve)
        else:
            with self._sending:
                job = self.inner.submit(batch)
            deliver(_outcome(lambda: self.inner.retrieve_result(job)))

    def _deliver(
        self, answers: list[Hit | Item], callback: Callable[[_Outcome], None], computed: _Outcome
    ) -> None:
        """Put what was computed among the hits, in the order of the tasks."""
        if computed.error is not None:
            callback(computed)
            return
        rest = iter(computed.results)
        results = [answer.value if isinstance(answer, Hit) else next(rest) for answer in answers]
        # joblib calls `batch_completed` from within the callback.
        self._delivering.hits = len(computed.results) < len(answers)
        callback(_Outcome(results))

    # ---- one task

    def _look_up(self, call: _Call, item: Item) -> Hit | Item:
        """Return the answer to a task, or the task as it is sent."""
        function, args, kwargs = item
        memorised = getattr(unwrapped(function), "lookup", None)
        if memorised is not None:
            found = memorised(*args, **kwargs)
            return found if isinstance(found, Hit) else (self._task(function, None), args, kwargs)
        looked_up = self._key(call, item)
        if looked_up is not None:
            found = self.cache.get(looked_up.call.key, accept=self._acceptance(looked_up))
            if isinstance(found, Hit):
                self._mention_unseeded(looked_up, found)
                return found
        return self._task(function, looked_up), args, kwargs

    def _task(self, function: Any, looked_up: TaskCall | None) -> Task:
        return Task(function, looked_up, self.cache.settings, around_active_backend)

    def _key(self, call: _Call, item: Item) -> TaskCall | None:
        try:
            return task_call(*item, call.digests)
        except KeyingError as error:
            self._messages.setdefault("keying", f"A task is computed and not stored: {error}")
        except Exception as error:  # noqa: BLE001 - a task that cannot be called so says it itself, where it runs
            _logger.info("A task has no key: %s", error)
        return None

    def _acceptance(self, looked_up: TaskCall) -> Callable[[Metadata], bool] | None:
        if self.cache.settings.reuse_unseeded or not looked_up.unseeded:
            return None
        return lambda metadata: not metadata.drew_random

    def _mention_unseeded(self, looked_up: TaskCall, found: Hit) -> None:
        if looked_up.unseeded and found.metadata.drew_random:
            names = ", ".join(looked_up.unseeded)
            self._messages.setdefault(
                f"unseeded {names}",
                f"Folds of {names} are reused, though random_state=None would draw other random numbers each time. "
                "Give a random_state, or set reuse_unseeded = false to compute such folds anew.",
            )


@contextmanager
def around_active_backend(cache: Cache) -> Iterator[None]:
    """Put a cache around the joblib backend that is active in this thread.

    In a worker joblib's batches open their inner backend by its own name: nested calls would lose the cache.
    """
    backend, _ = get_active_backend()
    if isinstance(backend, CachingBackend):
        yield
        return
    with parallel_config(backend=CachingBackend(backend, cache)):
        yield


def _with_items(batch: BatchedCalls, items: list[Item], reducer: Callable[[], None] | None) -> BatchedCalls:
    return BatchedCalls(items, (batch._backend, batch._n_jobs), reducer, batch._pickle_cache)


def _outcome(compute: Callable[[], list[Any]]) -> _Outcome:
    try:
        return _Outcome(compute())
    except BaseException as error:  # noqa: BLE001 - as in `_answer`
        return _Outcome([], error)


def _at_least_two(jobs: int) -> int:
    # No worker at all is joblib's to complain about.
    return max(2, jobs) if jobs else 0
