import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cachestore.cache import Miss, single_flight
from cachestore.cache.single_flight import Computed, once, once_awaited

ABSENT = Miss("absent")


class Shelf:
    """Stands in for a cache: what is computed is kept, if it is to be."""

    def __init__(self, *, keeps=True, seconds=0.05, value=lambda: [1]):
        self.kept = {}
        self.computed = []
        self.keeps = keeps
        self.seconds = seconds
        self.value = value
        self.inside = lambda name: None

    def compute(self, name):
        self.computed.append(name)
        time.sleep(self.seconds)
        self.inside(name)
        value = self.value()
        if self.keeps:
            self.kept[name] = value
        return Computed(value, object() if self.keeps else None)

    def ask(self, name):
        return Computed(self.kept[name], None) if name in self.kept else ABSENT

    def call(self, name):
        found = self.ask(name)
        if not isinstance(found, Miss):
            return found.value
        return once((name,), ABSENT, compute=lambda: self.compute(name), ask=lambda: self.ask(name)).value


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(single_flight, "_PATIENCE", 0.2)


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    assert not single_flight._under_way
    assert not single_flight._aboard.get()


def together(number, work):
    """Do the work in so many threads that begin at once; return what each came to."""
    ready = threading.Barrier(number)

    def begin(which):
        ready.wait()
        try:
            return work(which)
        except Exception as error:
            return error

    with ThreadPoolExecutor(number) as threads:
        futures = [threads.submit(begin, which) for which in range(number)]
        return [future.result(timeout=20) for future in futures]


# ---- threads


def test_one_call_of_many_threads_is_computed_once():
    shelf = Shelf()
    assert together(8, lambda _: shelf.call("a")) == 8 * [[1]]
    assert shelf.computed == ["a"]


def test_other_calls_do_not_wait():
    shelf = Shelf(seconds=0.3)
    began = time.perf_counter()
    together(8, lambda which: shelf.call(which))
    assert sorted(shelf.computed) == list(range(8))
    assert time.perf_counter() - began < 1.5


def test_who_looked_before_it_landed_and_boards_after_looks_again():
    shelf = Shelf()
    shelf.call("late")
    again = once(("late",), ABSENT, compute=lambda: shelf.compute("late"), ask=lambda: shelf.ask("late"))
    assert (again.value, shelf.computed) == ([1], ["late"])
    # Other misses are computed without a second look: somebody said that the entry is not good enough.
    once(("late",), Miss("refused"), compute=lambda: shelf.compute("late"), ask=lambda: shelf.ask("late"))
    assert shelf.computed == ["late", "late"]


def test_what_is_not_stored_is_computed_by_each_at_once():
    shelf = Shelf(keeps=False, seconds=0.3)
    began = time.perf_counter()
    assert len({id(value) for value in together(6, lambda _: shelf.call("a"))}) == 6
    assert len(shelf.computed) == 6
    assert time.perf_counter() - began < 1.5


def test_where_the_first_raises_the_next_one_computes():
    shelf = Shelf()

    def fail_once(name):
        if len(shelf.computed) == 1:
            raise OSError("the first one")

    shelf.inside = fail_once
    results = together(6, lambda _: shelf.call("a"))
    assert len(shelf.computed) == 2
    assert [type(each) for each in results].count(OSError) == 1
    assert results.count([1]) == 5


def test_where_all_raise_nobody_queues_for_long():
    shelf = Shelf(seconds=0.2)

    def fail(name):
        raise OSError(name)

    shelf.inside = fail
    began = time.perf_counter()
    results = together(10, lambda _: shelf.call("a"))
    assert {type(each) for each in results} == {OSError}
    assert len(shelf.computed) == 10
    assert time.perf_counter() - began < 1.5


def test_a_computation_that_is_interrupted_lets_the_next_one_go():
    with pytest.raises(KeyboardInterrupt):
        once(("a",), ABSENT, compute=lambda: (_ for _ in ()).throw(KeyboardInterrupt), ask=lambda: ABSENT)
    assert Shelf().call("a") == [1]


def test_a_call_inside_the_same_call_is_computed():
    shelf = Shelf()
    shelf.inside = lambda name: shelf.call(name) if len(shelf.computed) < 3 else None
    assert shelf.call("a") == [1]
    assert shelf.computed == ["a", "a", "a"]


def test_calls_that_need_each_other_in_a_circle_do_not_wait():
    shelf = Shelf(seconds=0.1)
    following = {"a": "b", "b": "c", "c": "a"}
    # Each of three threads computes one, and then needs that of the next thread.
    shelf.inside = lambda name: shelf.call(following[name]) if len(shelf.computed) < 8 else None
    began = time.perf_counter()
    assert together(3, lambda which: shelf.call("abc"[which])) == 3 * [[1]]
    assert time.perf_counter() - began < 5


def test_who_holds_what_the_computation_waits_for_computes_himself(impatient):
    held = threading.RLock()
    begun = threading.Event()
    shelf = Shelf()

    def inside(name):
        begun.set()
        with held:
            pass

    shelf.inside = inside

    def work(which):
        if which == 0:
            with held:
                begun.wait()
                return shelf.call("a")
        time.sleep(0.05)
        return shelf.call("a")

    assert together(2, work) == [[1], [1]]


def test_a_pool_all_of_whose_threads_wait_for_one_that_waits_for_the_pool_goes_on(impatient):
    with ThreadPoolExecutor(1) as pool:
        shelf = Shelf()
        begun = threading.Event()

        def inside(name):
            if threading.current_thread() is threading.main_thread():
                begun.set()
                other = pool.submit(time.sleep, 0)
                other.result(timeout=20)

        shelf.inside = inside
        waits = pool.submit(lambda: begun.wait() and shelf.call("a"))
        shelf.seconds = 0.2
        assert shelf.call("a") == [1]
        assert waits.result(timeout=20) == [1]


@pytest.mark.skipif(
    not hasattr(time, "pthread_getcpuclockid"), reason="the processor time of a thread is not told"
)
def test_a_computation_that_uses_the_processor_is_waited_for(impatient):
    shelf = Shelf(seconds=0)

    def inside(name):
        end = time.perf_counter() + 1
        while time.perf_counter() < end:
            pass

    shelf.inside = inside
    assert together(3, lambda _: shelf.call("a")) == 3 * [[1]]
    assert shelf.computed == ["a"]


@pytest.mark.skipif(
    not hasattr(time, "pthread_getcpuclockid"), reason="the processor time of a thread is not told"
)
def test_one_that_waits_for_another_moves_as_that_one_does(impatient):
    shelf = Shelf(seconds=0)

    def inside(name):
        if name == "outer":
            shelf.call("inner")
        else:
            end = time.perf_counter() + 1
            while time.perf_counter() < end:
                pass

    shelf.inside = inside

    def work(which):
        time.sleep(0.1 * which)
        return shelf.call(["inner", "outer", "outer"][which])

    together(3, work)
    assert sorted(shelf.computed) == ["inner", "outer"]


def test_where_no_progress_is_seen_each_has_twice_the_patience(impatient, monkeypatch):
    monkeypatch.setattr(single_flight, "_clock_of_thread", lambda: None)
    shelf = Shelf(seconds=0.9)
    together(6, lambda _: shelf.call("a"))
    # One gives up after 0.2 s and takes over; the others after another 0.4 s, and compute too.
    assert shelf.computed[:2] == ["a", "a"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_nothing_is_held_in_the_child_of_a_fork():
    begun, go_on = threading.Event(), threading.Event()
    shelf = Shelf()
    shelf.inside = lambda name: (begun.set(), go_on.wait())
    thread = threading.Thread(target=shelf.call, args=("a",))
    thread.start()
    begun.wait()
    single_flight._lock.acquire()  # as another thread may, at any moment
    child = os.fork()
    if child == 0:
        shelf.inside = lambda name: None
        os._exit(0 if shelf.call("a") == [1] else 1)
    single_flight._lock.release()
    deadline = time.monotonic() + 10
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.02)
    if done == (0, 0):
        os.kill(child, 9)
        os.waitpid(child, 0)
    go_on.set()
    thread.join()
    assert done == (child, 0)


# ---- coroutines


class Awaited(Shelf):
    async def await_(self, name):
        self.computed.append(name)
        await asyncio.sleep(self.seconds)
        await self.inner(name)
        value = self.value()
        if self.keeps:
            self.kept[name] = value
        return Computed(value, object() if self.keeps else None)

    async def inner(self, name):
        return None

    async def acall(self, name):
        found = self.ask(name)
        if not isinstance(found, Miss):
            return found.value
        taken = await once_awaited(
            (name,), ABSENT, compute=lambda: self.await_(name), ask=lambda: self.ask(name)
        )
        return taken.value


def run(coroutine):
    async def limited():
        return await asyncio.wait_for(coroutine, 20)

    return asyncio.run(limited())


def test_concurrent_awaits_of_one_call_run_once():
    shelf = Awaited()

    async def main():
        return await asyncio.gather(*(shelf.acall("a") for _ in range(8)))

    assert run(main()) == 8 * [[1]]
    assert shelf.computed == ["a"]


def test_what_is_not_stored_is_computed_by_each_that_awaits():
    shelf = Awaited(keeps=False)

    async def main():
        return await asyncio.gather(*(shelf.acall("a") for _ in range(4)))

    assert len({id(value) for value in run(main())}) == 4
    assert len(shelf.computed) == 4


def test_a_first_one_that_is_cancelled_lets_the_next_one_compute():
    shelf = Awaited(seconds=0.2)

    async def main():
        first, second, third = (asyncio.ensure_future(shelf.acall("a")) for _ in range(3))
        await asyncio.sleep(0.05)
        first.cancel()
        assert await second == await third == [1]
        assert first.cancelled()

    run(main())
    assert shelf.computed == ["a", "a"]


def test_one_that_waits_and_is_cancelled_disturbs_nobody():
    shelf = Awaited(seconds=0.2)

    async def main():
        first, second = (asyncio.ensure_future(shelf.acall("a")) for _ in range(2))
        await asyncio.sleep(0.05)
        second.cancel()
        assert await first == [1]

    run(main())
    assert shelf.computed == ["a"]


def test_a_coroutine_that_raises_lets_the_next_one_compute():
    shelf = Awaited()

    async def inner(name):
        if len(shelf.computed) == 1:
            raise OSError(name)

    shelf.inner = inner

    async def main():
        return await asyncio.gather(*(shelf.acall("a") for _ in range(5)), return_exceptions=True)

    results = run(main())
    assert len(shelf.computed) == 2
    assert results.count([1]) == 4


def test_a_task_of_the_computation_that_makes_the_same_call_computes():
    shelf = Awaited(seconds=0.01)

    async def inner(name):
        if len(shelf.computed) < 3:
            await asyncio.gather(shelf.acall(name))

    shelf.inner = inner
    assert run(shelf.acall("a")) == [1]
    assert shelf.computed == ["a", "a", "a"]


def test_coroutines_that_need_each_other_do_not_wait():
    shelf = Awaited(seconds=0.02)

    async def inner(name):
        if len(shelf.computed) < 6:
            await shelf.acall({"a": "b", "b": "a"}[name])

    shelf.inner = inner

    async def main():
        return await asyncio.gather(shelf.acall("a"), shelf.acall("b"))

    assert run(main()) == [[1], [1]]


def test_a_task_that_holds_the_lock_that_the_computation_wants_computes(impatient):
    shelf = Awaited(seconds=0.05)

    async def main():
        lock = asyncio.Lock()

        async def inner(name):
            if len(shelf.computed) == 1:
                async with lock:
                    pass

        shelf.inner = inner

        async def holder():
            async with lock:
                await asyncio.sleep(0.02)
                return await shelf.acall("a")

        return await asyncio.gather(holder(), shelf.acall("a"))

    assert run(main()) == [[1], [1]]


def test_loops_of_two_threads_compute_each():
    shelf = Awaited(seconds=0.1)
    assert together(2, lambda _: asyncio.run(shelf.acall("a"))) == [[1], [1]]
    assert shelf.computed == ["a", "a"]


def test_without_asyncio_a_coroutine_is_computed():
    shelf = Awaited()

    async def await_(name):
        return Computed([2], None)

    shelf.await_ = await_
    with pytest.raises(StopIteration) as ended:
        shelf.acall("a").send(None)
    assert ended.value.value == [2]
