"""Work on many items at once, a bounded number at a time, and hand the results on in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], items: Iterable[T], *, at_once: int) -> Generator[R]:
    """Iterate over `work(item)` of each item, worked on by `at_once` threads.

    Items are taken as results are: no more than two for each thread are ever between the two. The first error is
    raised in its turn; what has not begun by then does not begin. No thread outlives the iteration.

    Parameters
    ----------
    work
        Is called in any of the threads.
    items
        Is iterated over by the thread that asks for the results.
    at_once
        1 works in that thread itself.

    Examples
    --------
    >>> list(in_order(abs, [-3, 2, -1], at_once=2))
    [3, 2, 1]
    """
    if at_once == 1:
        yield from map(work, items)
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    begun: deque[Future[R]] = deque()
    with ThreadPoolExecutor(at_once, thread_name_prefix="cachestore") as threads:
        try:
            for item in items:
                begun.append(threads.submit(work, item))
                if len(begun) >= 2 * at_once:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()


def processors() -> int:
    """Return how many processors this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
