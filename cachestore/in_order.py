"""Work on many items at once, a bounded number of them, and hand the results on in order."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

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
    from contextvars import copy_context

    threads = _threads(at_once)
    if threads is None:
        yield from map(work, items)
        return
    under_way: deque[Future[Result]] = deque()
    failed = math.inf

    def begin(number: int, item: Item) -> Result:
        nonlocal failed
        # Items before the one that failed may not have begun yet, and their results are still asked for.
        if number > failed:
            # Nobody sees this one: the error is raised in its turn, and this item comes after it.
            raise RuntimeError("work before this one failed")
        try:
            return work(item)
        except BaseException:
            # Set here, for the thread takes its next item before anybody has seen the error.
            failed = min(failed, number)
            raise

    try:
        for number, item in enumerate(items):
            try:
                under_way.append(threads.submit(copy_context().run, begin, number, item))
            except RuntimeError:
                # The process is ending, and this thread is not yet done: no other one begins any more.
                while under_way:
                    yield under_way.popleft().result()
                yield work(item)
                continue
            # Those in front that are done are given at once, else the window is full of them.
            while under_way and (len(under_way) > at_once or under_way[0].done()):
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        threads.shutdown(wait=True, cancel_futures=True)


def _threads(at_once: int) -> ThreadPoolExecutor | None:
    """Return threads, or None where the process is ending and there are none to be had."""
    try:
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(at_once, thread_name_prefix="cachestore")
    except RuntimeError:
        return None


def processors() -> int:
    """Return how many processors this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
