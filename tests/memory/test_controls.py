import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cachestore import Memory


@pytest.fixture
def memory(tmp_path):
    return Memory(tmp_path / "store", verbose=0)


def together(number, work):
    """Do the work in so many threads that begin at once; return what each gave."""
    ready = threading.Barrier(number)
    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(lambda which: (ready.wait(), work(which))[1], range(number)))


# ---- one at a time


def test_many_threads_compute_a_call_once_and_each_has_a_value_of_its_own(memory):
    calls = []

    @memory.cache
    def slow(x):
        calls.append(x)
        time.sleep(0.1)
        return [x]

    values = together(8, lambda _: slow(3))
    assert calls == [3]
    assert values == 8 * [[3]]
    assert len({id(value) for value in values}) == 8


def test_many_threads_shelve_a_call_once(memory):
    calls = []

    @memory.cache
    def slow(x):
        calls.append(x)
        time.sleep(0.1)
        return [x]

    results = together(6, lambda which: slow.call_and_shelve(3) if which % 2 else slow(3))
    assert calls == [3]
    assert [result.get() for result in results[1::2]] == 3 * [[3]]


def test_a_function_that_changes_its_arguments_is_called_by_each_thread(memory):
    calls = []

    @memory.cache(check_arguments=True)
    def grow(values):
        calls.append(1)
        time.sleep(0.1)
        values.append(1)
        return len(values)

    def work(_):
        mine = []
        return grow(mine), mine

    with pytest.warns(UserWarning, match="changed its argument"):
        assert together(3, work) == 3 * [(1, [1])]
    assert len(calls) == 3


def test_concurrent_awaits_run_once(memory):
    calls = []

    @memory.cache
    async def slow(x):
        calls.append(x)
        await asyncio.sleep(0.05)
        return [x]

    async def main():
        shelved = [slow.call_and_shelve(2) for _ in range(2)]
        return await asyncio.gather(*(slow(2) for _ in range(4)), *shelved)

    *values, one, other = asyncio.run(main())
    assert calls == [2]
    assert values == 4 * [[2]]
    assert one.get() == other.get() == [2]


def test_a_recursive_function_recurses_as_deep_as_with_joblib(memory):
    @memory.cache
    def depth(n):
        return 0 if n == 0 else 1 + depth(n - 1)

    assert depth(150) == 150


def test_the_warning_names_the_line_that_called(memory):
    @memory.cache(check_arguments=True)
    def grow(values):
        values.append(1)

    for call in (grow, grow.call, grow.call_and_shelve):
        with pytest.warns(UserWarning, match="changed its argument") as told:
            call([])
        assert {each.filename for each in told} == {__file__}
