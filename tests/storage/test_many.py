from __future__ import annotations

import itertools
import threading
from contextvars import ContextVar

import pytest

from cachestore.storage.many import each

AT_ONCE = [1, 2, 5, 100]


def names():
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("cachestore-many")}


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_results_come_in_the_order_of_the_items(at_once):
    turns = [threading.Event() for _ in range(3)]

    def slow_first(number):
        if at_once > 1 and number < 2:
            turns[number + 1].wait(10)
        if number < 3:
            turns[number].set()
        return -number

    assert list(each(slow_first if at_once > 2 else lambda n: -n, range(50), at_once=at_once)) == [
        -n for n in range(50)
    ]
    assert names() == set()


def test_so_many_are_under_way_and_no_more():
    gate, lock = threading.Barrier(4), threading.Lock()
    now = most = 0

    def work(number):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        gate.wait(10)
        with lock:
            now -= 1
        return number

    assert list(each(work, range(40), at_once=4)) == list(range(40))
    assert most == 4


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_items_are_taken_as_results_are(at_once):
    taken = []

    def items():
        for number in itertools.count():
            taken.append(number)
            yield number

    results = each(lambda number: number, items(), at_once=at_once)
    assert [next(results) for _ in range(10)] == list(range(10))
    assert len(taken) <= 10 + at_once
    results.close() if hasattr(results, "close") else None
    assert names() == set()


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_the_first_error_ends_it(at_once):
    begun = []

    def work(number):
        begun.append(number)
        if number == 3:
            raise ValueError("three")
        return number

    results = []
    with pytest.raises(ValueError, match="three"):
        results.extend(each(work, range(1000), at_once=at_once))
    assert len(begun) <= 4 + at_once
    assert names() == set()


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_an_error_of_the_items_ends_it(at_once):
    done = []

    def items():
        yield from range(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(each(done.append, items(), at_once=at_once))
    assert names() == set()
    assert sorted(done) in ([0, 1], [0, 1, 2])


def test_a_call_sees_the_context_of_the_caller():
    variable = ContextVar("variable", default=0)
    token = variable.set(7)
    assert list(each(lambda _: variable.get(), range(5), at_once=3)) == 5 * [7]
    variable.reset(token)


def test_it_works_from_within_itself_and_from_any_thread():
    def inner(number):
        return sum(each(lambda n: n * number, range(5), at_once=3))

    assert list(each(inner, range(6), at_once=2)) == [10 * number for number in range(6)]


def test_alone_it_runs_in_the_callers_thread():
    assert list(each(lambda _: threading.current_thread(), range(2), at_once=1)) == 2 * [
        threading.current_thread()
    ]
