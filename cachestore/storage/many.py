"""Many requests under way at once, a bounded number, their results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(function: Callable[[Item], Result], items: Iterable[Item], *, at_once: int) -> Iterator[Result]:
    """Call `function` with each item and give the results in the order of the items.

    At most `at_once` calls are under way or wait with a result that was not yet taken, and no more items are taken
    than that. The first error ends it: no more are begun, and when this ends, by an error or
    because nobody asks for more, no call is still under way and no thread is left. The items are taken in the
    caller's thread.

    Parameters
    ----------
    function
        Called from other threads, each call in a copy of the caller's context; in the caller's own where `at_once`
        is 1.
    items
        May be endless: they are taken as results are.
    at_once
        How many requests are worth having under way: `ObjectStore.at_once`.

    Examples
    --------
    >>> list(each(abs, [-1, 2, -3], at_once=2))
    [1, 2, 3]
    """
    if at_once <= 1:
        return map(function, items)
    return _side_by_side(function, items, at_once)


def _side_by_side(
    function: Callable[[Item], Result], items: Iterable[Item], at_once: int
) -> Iterator[Result]:
    # A local store needs none of this.
    from concurrent.futures import Future, ThreadPoolExecutor
    from contextvars import copy_context

    under_way: deque[Future[Result]] = deque()
    threads = ThreadPoolExecutor(at_once, thread_name_prefix="cachestore-many")
    try:
        for item in items:
            under_way.append(threads.submit(copy_context().run, function, item))
            # Those in front that are done are given at once, else the window is full of them.
            while under_way and (len(under_way) >= at_once or under_way[0].done()):
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        threads.shutdown()
