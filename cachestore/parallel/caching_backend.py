"""A joblib backend around another: hits are answered from the cache, and only misses are sent."""

from __future__ import annotations

import functools
import itertools
import logging
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from joblib.parallel import (
    BatchCompletionCallBack,
    BatchedCalls,
    FallbackToBackend,
    Parallel,
    ParallelBackendBase,
    SequentialBackend,
    get_active_backend,
    parallel_config,
)

from cachestore.cache import Cache, Hit, Metadata, Miss
from cachestore.cache.mode import Mode, entered, modes_here
from cachestore.errors import CachestoreWarning, KeyingError
from cachestore.parallel.digests import Digests
from cachestore.parallel.fold import is_fold
from cachestore.parallel.loky_engine import loky_reducer
from cachestore.parallel.task import Task
from cachestore.parallel.task_call import TaskCall, ask_memorised, bare_function, task_call

_logger = logging.getLogger(__name__)

# Lookups wait for the store; joblib itself bounds how many batches are under way.
_LOOKUPS = 8

Item = tuple[Any, tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Is what a batch came to: its results, or the error that ended it."""

    results: list[Any]
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class _Asking:
    """Is what the tasks of one call of `Parallel` share, whichever thread looks them up."""

    digests: Digests
    modes: Mapping[str, Mode]


class CachingBackend(ParallelBackendBase):  # type: ignore[misc]
    """Looks every task of a batch up, answers the hits, and has the inner backend compute the rest.

    joblib calls `submit` while it holds its lock, and completions dispatch the next batch: so a batch is looked up
    and delivered by a thread of its own, which waits until `submit` has returned, and a run of hits never recurses.
    Where the inner backend has no workers, joblib runs the tasks one by one in the caller's thread: there folds are
    looked up ahead, and each other task in place.

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
        self._threads: ThreadPoolExecutor | None = None
        self._lookups = _LOOKUPS
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._delivering = threading.local()
        # Several calls of `Parallel` may be under way at once.
        self._calls: WeakKeyDictionary[Parallel, tuple[str, _Asking]] = WeakKeyDictionary()
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
        """Return how many tasks run at a time; at least 2 where there are workers, or joblib bypasses its backend."""
        jobs = int(self.inner.effective_n_jobs(n_jobs))
        return max(2, jobs) if jobs and self._has_workers else jobs

    def configure(self, n_jobs: int = 1, parallel: Any = None, **options: Any) -> int:
        """Make the inner backend ready."""
        self.parallel = parallel
        try:
            jobs = int(self.inner.configure(n_jobs=n_jobs, parallel=parallel, **options))
        except FallbackToBackend:
            self._has_workers, jobs = False, 1
        else:
            self._has_workers = not isinstance(self.inner, SequentialBackend)
        self._lookups = max(_LOOKUPS, 2 * jobs)
        if not self._has_workers:
            # Where there is one job joblib asks no backend: it goes through the tasks itself, with this method.
            parallel._get_sequential_output = functools.partial(self._one_by_one, type(parallel), parallel)
        return max(2, jobs) if jobs and self._has_workers else jobs

    def start_call(self) -> None:
        """Begin a call of `Parallel`."""
        # What joblib had ready for a call that was aborted would be given to this one.
        ready = getattr(self.parallel, "_ready_batches", None)
        while ready is not None and not ready.empty():
            ready.get(block=False)
        if self._has_workers:
            self.inner.start_call()

    def stop_call(self) -> None:
        """End a call of `Parallel`, and say what there is to say of it, in the thread of the caller."""
        if self._has_workers and self._is_idle():
            self.inner.stop_call()
        for kind in self._messages.keys() - self._told:
            self._told.add(kind)
            warnings.warn(self._messages[kind], CachestoreWarning, stacklevel=2)

    def terminate(self) -> None:
        """Let the inner backend's workers go, when the last of several calls under way is done."""
        if self._has_workers and self._is_idle():
            self.inner.terminate()

    def _is_idle(self) -> bool:
        with self._lock:
            return not any(parallel._running for parallel in self._calls)

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Give up what is under way."""
        if self._has_workers:
            self.inner.abort_everything(ensure_ready=ensure_ready)

    def compute_batch_size(self) -> int:
        """Return how many tasks make a batch."""
        return int(self.inner.compute_batch_size())

    def batch_completed(self, batch_size: int, duration: float) -> None:
        """Tell the inner backend how long a batch took; one with hits says nothing of how long tasks take."""
        if not getattr(self._delivering, "hits", True):
            self.inner.batch_completed(batch_size, duration)

    def _one_by_one(self, kind: type[Parallel], parallel: Parallel, tasks: Iterable[Item]) -> Iterator[Any]:
        try:
            yield from kind._get_sequential_output(parallel, self._looked_up(tasks))
        finally:
            self.stop_call()

    def _looked_up(self, tasks: Iterable[Item]) -> Iterator[Item]:
        """Give what is to be run one after the other in place of the tasks."""
        look_up = functools.partial(self._look_up, _Asking(Digests(self.cache.rules), modes_here()))
        for folds, run in itertools.groupby(tasks, lambda task: is_fold(bare_function(task[0]))):
            if folds:
                # Nobody writes into what folds share.
                yield from ((_finish, (answer,), {}) for answer in self.cache.ask_each(look_up, run))
            else:
                # Whatever runs before a task, and whoever makes the next one, may write into its arguments: it is
                # looked up when it would run, and only then the next one is taken.
                yield from ((lambda task: _finish(look_up(task)), (task,), {}) for task in run)

    # ---- one batch

    def submit(self, func: BatchedCalls, callback: BatchCompletionCallBack) -> Future[None]:
        """Have a batch looked up, and what is missing computed."""
        self._asking(callback)  # the first one comes in the thread of whoever calls
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._lookups, thread_name_prefix="cachestore-lookup")
        return self._threads.submit(self._answer, func, callback)

    def retrieve_result_callback(self, out: _Outcome) -> list[Any]:
        """Return the results of a batch, or raise the error that ended it."""
        if out.error is not None:
            raise out.error
        return out.results

    def _answer(self, batch: BatchedCalls, callback: BatchCompletionCallBack) -> None:
        """Look a batch up, and deliver it or send what is missing."""
        try:
            asking = self._asking(callback)
            if asking is None:
                return
            look_up = functools.partial(self._look_up, asking)
            # Several batches are looked up at a time.
            answers = [*self.cache.ask_each(look_up, batch.items, callers=4)]
            missing = [answer for answer in answers if not isinstance(answer, Hit)]
            deliver = functools.partial(self._deliver, answers, callback)
            if not missing:
                deliver(_Outcome([]))
            elif self._asking(callback) is not None:
                self._compute(_with_items(batch, missing, loky_reducer(self.inner)), deliver)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the thread that waits must hear of it
            callback(_Outcome([], error))

    def _asking(self, callback: BatchCompletionCallBack) -> _Asking | None:
        """Return what a call's tasks share; None for a call that was given up: nobody waits for it."""
        parallel, call = callback.parallel, callback.parallel_call_id
        if parallel._aborting or parallel._call_id != call:
            return None
        with self._lock:
            known = self._calls.get(parallel)
            if known is None or known[0] != call:
                known = self._calls[parallel] = call, _Asking(Digests(self.cache.rules), modes_here())
            return known[1]

    def _compute(self, batch: BatchedCalls, deliver: Callable[[_Outcome], None]) -> None:
        if self.inner.supports_retrieve_callback:

            def retrieve(out: Any) -> None:
                deliver(_outcome(lambda: self.inner.retrieve_result_callback(out)))

            # Backends count on joblib's lock: none of them expects two submissions at once.
            with self._sending:
                self.inner.submit(batch, callback=retrieve)
        else:
            with self._sending:
                job = self.inner.submit(batch)
            # A job of a call that was given up may never end: neither other lookups nor the process's exit wait for it.
            waits = threading.Thread(
                target=lambda: deliver(_outcome(lambda: self.inner.retrieve_result(job))),
                name="cachestore-wait",
                daemon=True,
            )
            waits.start()

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

    def _look_up(self, asking: _Asking, item: Item) -> Hit | Item:
        """Return the answer to a task, or the task as it is sent."""
        with entered(asking.modes):
            return self._look_up_there(asking, item)

    def _look_up_there(self, asking: _Asking, item: Item) -> Hit | Item:
        function, args, kwargs = item
        found = self._ask_memorised(item)
        if isinstance(found, Hit):
            return found
        looked_up = self._key(asking.digests, item) if found is None else None
        if looked_up is not None:
            found = self.cache.look_up(looked_up.call, accept=self._acceptance(looked_up))
            if isinstance(found, Hit):
                self._mention_unseeded(looked_up, found)
                return found
            self._mention_memory_of_others()
        return self._task(function, looked_up, asking.modes), args, kwargs

    def _ask_memorised(self, item: Item) -> Hit | Miss | None:
        try:
            return ask_memorised(*item)
        except TypeError as error:  # a call that has no key, or cannot be made, says so where it runs
            _logger.info("A memorised function has no key for its task: %s", error)
            return Miss("absent")

    def _task(self, function: Any, looked_up: TaskCall | None, modes: Mapping[str, Mode]) -> Task:
        return Task(function, looked_up, self.cache.settings, around_active_backend, modes)

    def _key(self, digests: Digests, item: Item) -> TaskCall | None:
        try:
            return task_call(*item, digests)
        except KeyingError as error:
            self._messages.setdefault("keying", f"A task is computed and not stored: {error}")
        except TypeError as error:  # a task that cannot be called so says it itself, where it runs
            _logger.info("A task has no key: %s", error)
        except Exception as error:
            _logger.info("A task has no key", exc_info=True)
            self._messages.setdefault(
                "key",
                f"A task is computed and not stored, as its key failed: {type(error).__name__}: {error}",
            )
        return None

    def _acceptance(self, looked_up: TaskCall) -> Callable[[Metadata], bool] | None:
        if self.cache.settings.reuse_unseeded or not looked_up.unseeded:
            return None
        return lambda metadata: not metadata.drew_random

    def _mention_memory_of_others(self) -> None:
        local = not self.cache.store.remote and self.cache.store.directory() is None
        if local and self._has_workers and not getattr(self.inner, "supports_sharedmem", False):
            self._messages.setdefault(
                "process",
                f"{self.cache.location} is in the memory of this process: what workers of other processes compute is "
                "returned, and not stored there. Name a directory or a URL, or use the backend 'threading'.",
            )

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


def _finish(answer: Hit | Item) -> Any:
    if isinstance(answer, Hit):
        return answer.value
    function, args, kwargs = answer
    return function(*args, **kwargs)


def _with_items(batch: BatchedCalls, items: list[Item], reducer: Callable[[], None] | None) -> BatchedCalls:
    return BatchedCalls(items, (batch._backend, batch._n_jobs), reducer, batch._pickle_cache)


def _outcome(compute: Callable[[], list[Any]]) -> _Outcome:
    try:
        return _Outcome(compute())
    except BaseException as error:  # noqa: BLE001 - as in `_answer`
        return _Outcome([], error)
