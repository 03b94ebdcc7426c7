"""Work on many items at once, a bounded number of them, and hand the results on in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(work: Callable[[Item], Result], items: Iterable[Item], *, at_once: int) -> Generator[Result]:
    """Iterate over what `work` returns for each item, worked on by `at_once` threads.

    At most one item more than threads is under way, or waits with a result that was not yet taken. The first error is
    raised in its turn and ends it: work that has not begun is dropped. When this ends, by an error or because
    nobody asks for more, nothing is still under way and no thread is left.

    Parameters
    ----------
    work
        Called in other threads, each time in a copy of the caller's context; in the caller's own where `at_once` is 1.
    items
        May be endless: they are taken in the caller's thread, as results are.
    at_once
        How many are worked on at the same time.

    Examples
    --------
    >>> list(in_order(abs, [-3, 2, -1], at_once=2))
    [3, 2, 1]
    """
    if at_once == 1:
        yield from map(work, items)
        return
    # A hit in a local store needs none of this.
    from concurrent.futures import Future, ThreadPoolExecutor
    from contextvars import copy_context

    under_way: deque[Future[Result]] = deque()
    threads = ThreadPoolExecutor(at_once, thread_name_prefix="cachestore")
    try:
        for item in items:
            under_way.append(threads.submit(copy_context().run, work, item))
            # Those in front that are done are given at once, else the window is full of them.
            while under_way and (len(under_way) > at_once or under_way[0].done()):
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        threads.shutdown(wait=True, cancel_futures=True)


def processors() -> int:
    """Return how many processors this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
