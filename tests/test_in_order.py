"""Work in order: a bounded number at a time, the first error ends it, and no thread stays."""

from __future__ import annotations

import contextvars
import itertools
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from cachestore.in_order import in_order, processors

AT_ONCE = [1, 2, 7]


class Failed(Exception):
    pass


@pytest.mark.parametrize("at_once", AT_ONCE)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 13, 100])
def test_results_come_in_the_order_of_the_items(at_once: int, count: int) -> None:
    assert list(in_order(lambda item: item * 3, range(count), at_once=at_once)) == list(
        range(0, 3 * count, 3)
    )


def test_the_order_is_that_of_the_items_even_if_the_first_takes_longest() -> None:
    others = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert others.wait(20)
        elif item == 2:
            others.set()
        return item

    assert list(in_order(work, range(3), at_once=2)) == [0, 1, 2]


def test_one_at_once_works_in_the_thread_that_asks_and_no_item_too_early() -> None:
    worked = []

    def work(item: int) -> threading.Thread:
        worked.append(item)
        return threading.current_thread()

    results = in_order(work, itertools.count(), at_once=1)
    for number in range(1, 4):
        assert next(results) is threading.current_thread()
        assert worked == list(range(number))
    results.close()


@pytest.mark.parametrize("at_once", [2, 5])
def test_so_many_work_at_once_and_no_more(at_once: int) -> None:
    together = threading.Barrier(at_once)
    lock, working, most = threading.Lock(), 0, 0

    def work(_: int) -> None:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        together.wait(20)  # breaks unless so many are here
        with lock:
            working -= 1

    list(in_order(work, range(6 * at_once), at_once=at_once))
    assert most == at_once


@pytest.mark.parametrize("at_once", [2, 5])
def test_items_are_taken_as_results_are_and_by_the_thread_that_asks(at_once: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while True:
            assert threading.current_thread() is threading.main_thread()
            taken += 1
            yield taken

    results = in_order(str, items(), at_once=at_once)
    assert taken == 0
    for number in range(1, 50):
        assert next(results) == str(number)
        assert number <= taken < number + 2 * at_once
    results.close()


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_the_first_error_is_raised_in_its_turn_and_ends_the_rest(at_once: int) -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        if item >= 20:
            raise Failed(item)
        return item

    before = threading.active_count()
    results = in_order(work, itertools.count(), at_once=at_once)
    assert [next(results) for _ in range(20)] == list(range(20))
    with pytest.raises(Failed) as caught:
        next(results)
    assert caught.value.args == (20,)
    assert len(begun) <= 20 + 2 * at_once
    assert threading.active_count() == before
    assert list(results) == []


def test_what_has_not_begun_when_an_error_is_raised_never_begins() -> None:
    begun, other, released = [], threading.Event(), threading.Event()

    def work(item: int) -> None:
        begun.append(item)
        if item == 0:
            assert other.wait(20)
            raise Failed
        other.set()
        assert released.wait(20)  # until long after the error was raised

    threading.Timer(1, released.set).start()
    with pytest.raises(Failed):
        list(in_order(work, range(4), at_once=2))
    # Not even by the thread that failed, and that could go on before anybody sees the error.
    assert sorted(begun) == [0, 1]


def test_what_comes_before_an_error_is_done_even_if_it_begins_after(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()

    class Context:
        def run(self, begin, number: int, item: str) -> str:
            assert item == "bad" or failed.wait(20)
            try:
                return begin(number, item)
            finally:
                failed.set()

    def work(item: str) -> str:
        if item == "bad":
            raise Failed
        return item

    monkeypatch.setattr(contextvars, "copy_context", Context)
    results = in_order(work, ["good", "bad"], at_once=2)
    assert next(results) == "good"
    with pytest.raises(Failed):
        next(results)


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_an_error_of_the_items_is_raised_and_no_thread_stays(at_once: int) -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise Failed

    before = threading.active_count()
    with pytest.raises(Failed):
        list(in_order(str, items(), at_once=at_once))
    assert threading.active_count() == before


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_whoever_stops_asking_leaves_no_thread_behind(at_once: int) -> None:
    before = threading.active_count()
    results = in_order(str, itertools.count(), at_once=at_once)
    next(results)
    results.close()
    assert threading.active_count() == before


def test_work_sees_the_context_of_whoever_asks() -> None:
    variable: ContextVar[int] = ContextVar("variable", default=0)
    token = variable.set(7)
    assert list(in_order(lambda _: variable.get(), range(5), at_once=3)) == 5 * [7]
    variable.reset(token)


def test_work_may_ask_for_work() -> None:
    def inner(number: int) -> int:
        return sum(in_order(lambda item: item * number, range(5), at_once=3))

    assert list(in_order(inner, range(6), at_once=2)) == [10 * number for number in range(6)]


def test_the_processors_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 6}, raising=False)
    assert processors() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processors() == 1


@pytest.mark.parametrize("imported", [False, True], ids=["not imported", "imported"])
def test_a_thread_that_outlives_the_main_one_works_alone(imported: bool) -> None:
    # Once the main thread has ended Python begins no other; whoever still computes wants the results all the same.
    code = (
        "import threading, time\n"
        f"{'import concurrent.futures.thread' if imported else ''}\n"
        "from cachestore.in_order import in_order\n"
        "def work():\n"
        "    threading.main_thread().join()\n"
        "    print(list(in_order(lambda item: 2 * item, range(5), at_once=3)))\n"
        "threading.Thread(target=work).start()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ran.stdout, ran.stderr) == ("[0, 2, 4, 6, 8]\n", "")
