import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from joblib import Parallel, delayed

from cachestore import Memory, NotMemorizedResult, SettingsError, expires_after
from cachestore.cache import gc, open_cache
from cachestore.cache.eviction import Limits
from cachestore.index import Selection
from cachestore.settings import Settings
from tests.parallel.tasks import square


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


# ---- modes


@pytest.fixture
def triple(memory):
    """A memorised function that counts its calls, as the list `calls` of it."""
    calls = []

    def triple(x):
        calls.append(x)
        return [3 * x]

    memorised = memory.cache(triple)
    memorised.calls = calls
    return memorised


def test_a_refresh_computes_and_replaces(memory):
    @memory.cache(ignore=["today"])
    def day(x, today):
        return today

    assert day(1, "Monday") == day(1, "Tuesday") == "Monday"
    assert day.refresh(today="Tuesday", x=1) == "Tuesday"
    assert day(1, "Monday") == "Tuesday"


def test_a_refresh_gives_what_a_hit_gives(memory):
    zeros = memory.cache(np.zeros, mmap_mode="r")
    assert isinstance(zeros.refresh(1000), np.memmap)


def test_a_coroutine_function_is_refreshed(memory):
    calls = []

    @memory.cache
    async def double(x):
        calls.append(x)
        return 2 * x

    async def main():
        return await double(1), await double.refresh(1), await double(1)

    assert asyncio.run(main()) == (2, 2, 2)
    assert calls == [1, 1]


def test_who_bypasses_reads_and_stores_nothing(memory, triple):
    triple(1)
    with memory.bypass():
        assert triple(1) == [3]
        assert triple(2) == [6]
        assert not triple.check_call_in_cache(1)
        assert isinstance(triple.call_and_shelve(1), NotMemorizedResult)
    assert triple.calls == [1, 1, 2, 1]
    assert triple(1) == [3]
    assert not triple.check_call_in_cache(2)
    assert triple.calls == [1, 1, 2, 1]


def test_who_bypasses_waits_for_nobody(memory):
    calls = []

    @memory.cache
    def slow(x):
        calls.append(x)
        time.sleep(0.1)
        return x

    def work(which):
        with memory.bypass():
            return slow(1)

    assert together(3, work) == [1, 1, 1]
    assert calls == [1, 1, 1]


def test_a_bypass_counts_no_miss(memory, triple):
    with memory.bypass():
        triple(1)
    memory.store_backend.merge_uses()
    assert memory.store_backend.index.statistics().misses == 0


def test_who_only_reads_uses_what_is_there_and_stores_nothing(memory, triple):
    triple(1)
    with memory.read_only():
        assert triple(1) == [3]
        assert triple(2) == triple.refresh(2) == [6]
        assert isinstance(triple.call_and_shelve(2), NotMemorizedResult)
    assert triple.calls == [1, 2, 2, 2]
    assert not triple.check_call_in_cache(2)


def test_what_one_may_not_store_another_one_does(memory, triple):
    begun, reader_waits = threading.Event(), threading.Event()

    @memory.cache
    def slow(x):
        begun.set()
        assert reader_waits.wait(10)
        return x

    def read():
        with memory.read_only():
            return slow(1)

    with ThreadPoolExecutor(2) as threads:
        reading = threads.submit(read)
        begun.wait()
        writing = threads.submit(slow, 1)
        time.sleep(0.1)
        reader_waits.set()
        assert reading.result() == writing.result() == 1
    assert slow.check_call_in_cache(1)


def test_blocks_inside_blocks_allow_what_all_do(memory, triple):
    triple(1)
    with memory.read_only(), memory.offline():
        triple(1)
        triple(2)
        with memory.bypass():
            triple(1)
        triple(1)
    assert triple.calls == [1, 2, 1]
    assert not triple.check_call_in_cache(2)
    with memory.offline():  # a directory is here
        triple(2)
    assert triple.check_call_in_cache(2)


def test_a_block_is_of_one_cache(memory, triple, tmp_path):
    other = Memory(tmp_path / "other", verbose=0).cache(triple.func)
    with memory.bypass():
        other(1)
        other(1)
    assert triple.calls == [1]


def test_a_block_is_of_one_thread_and_of_the_tasks_of_a_loop(memory, triple):
    triple(1)
    with memory.bypass(), ThreadPoolExecutor(1) as threads:
        threads.submit(triple, 1).result()
    assert triple.calls == [1]

    @memory.cache
    async def double(x):
        triple.calls.append("double")
        return 2 * x

    async def main():
        await double(1)
        with memory.bypass():
            await asyncio.gather(double(1), asyncio.ensure_future(double(1)))
        await double(1)

    asyncio.run(main())
    assert triple.calls == [1, "double", "double", "double"]


def test_a_block_may_decorate_and_ends_where_something_raises(memory, triple):
    triple(1)

    @memory.bypass()
    def report():
        triple(1)
        raise OSError

    for _ in range(2):
        with pytest.raises(OSError):
            report()
    triple(1)
    assert triple.calls == [1, 1, 1]


def test_without_a_location_there_is_nothing_to_control():
    memory = Memory(None)
    double = memory.cache(lambda x: 2 * x)
    for block in (memory.bypass(), memory.read_only(), memory.offline()):
        with block:
            assert double(1) == double.refresh(1) == 2

    @memory.cache
    async def triple(x):
        return 3 * x

    assert asyncio.run(triple.refresh(1)) == 3


def test_a_whole_process_may_only_read(tmp_path, triple):
    location = str(tmp_path / "store")
    triple(1)
    reading = Memory.over(open_cache(Settings(location=location, read_only=True))).cache(triple.func)
    assert reading(1) == [3]
    assert reading(2) == [6]
    assert triple.calls == [1, 2]
    assert not reading.check_call_in_cache(2)


@pytest.mark.parametrize("inner", ["threading", "loky", "sequential"])
def test_tasks_take_the_mode_with_them(memory, inner):
    def run(*numbers):
        with memory.parallel(inner, n_jobs=2):
            return Parallel()(delayed(square)(number) for number in numbers)

    def stored():
        return len(list(memory.store_backend.store.list("blobs/")))

    with memory.read_only():
        assert run(1, 2) == [1, 4]
    assert stored() == 0
    assert run(1, 2) == [1, 4]
    assert stored() == 2
    memory.store_backend.merge_uses()
    with memory.bypass():
        assert run(*range(8)) == [n * n for n in range(8)]
    memory.store_backend.merge_uses()
    assert stored() == 2
    assert memory.store_backend.index.statistics().hits == 0


@pytest.mark.parametrize("inner", ["threading", "loky"])
def test_memorised_functions_in_tasks_take_the_mode_with_them(memory, inner):
    memorised = memory.cache(square)
    with memory.parallel(inner, n_jobs=2):
        with memory.read_only():
            Parallel()(delayed(memorised)(number) for number in range(4))
        assert not list(memory.store_backend.store.list("blobs/"))
        Parallel()(delayed(memorised)(number) for number in range(4))
    assert len(list(memory.store_backend.store.list("blobs/"))) == 4


# ---- expiry

SHORT = timedelta(seconds=0.8)


def counted(memory, **options):
    """Make a memorised function that counts its calls, as the list `calls` of it."""
    memory.eval(abs, -1)  # the first result of a store takes its time
    calls = []

    def times(x):
        calls.append(x)
        return np.full(x, 1) if x > 10 else 3 * x

    memorised = memory.cache(times, **options)
    memorised.calls = calls
    return memorised


@pytest.mark.parametrize(
    "options", [{}, {"mmap_mode": "r"}, {"lazy": True}, {"cache_validation_callback": bool}]
)
@pytest.mark.parametrize("x", [1, 200_000])
def test_a_result_expires_on_every_path(memory, options, x):
    times = counted(memory, expires=SHORT, **options)
    times(x)
    times(x)
    assert len(times.calls) == 1
    assert times.check_call_in_cache(x)
    assert times.explain(x).reason == "hit"
    reference = times.call_and_shelve(x)
    reference.get()
    time.sleep(0.9)
    assert not times.check_call_in_cache(x)
    assert times.explain(x).reason == "expired"
    assert "has expired" in str(times.explain(x))
    with pytest.raises(KeyError, match="expired"):
        reference.get()
    times(x)
    assert len(times.calls) == 2
    times(x)
    assert times.call_and_shelve(x).get() is not None
    assert len(times.calls) == 2
    memory.store_backend.merge_uses()
    reasons = {each.reason: each.misses for each in memory.store_backend.index.statistics().by_reason}
    assert reasons["expired"] == 1


def test_an_expired_result_is_no_answer_for_a_function_that_says_nothing_of_it(memory):
    times = counted(memory, expires=SHORT)
    times(1)
    plain = memory.cache(times.func)
    plain(1)
    assert times.calls == [1]
    time.sleep(0.9)
    assert plain.explain(1).reason == "expired"
    plain(1)
    assert times.calls == [1, 1]


@pytest.mark.parametrize(
    "options", [{}, {"lazy": True}, {"cache_validation_callback": expires_after(days=1)}]
)
def test_a_shorter_time_counts_for_what_was_stored_before(memory, options):
    for stored in (None, timedelta(days=1)):
        times = counted(memory, expires=stored)
        times(1)
        time.sleep(0.9)
        short = memory.cache(times.func, expires=SHORT, **options)
        assert not short.check_call_in_cache(1)
        assert short.explain(1).reason == "expired"
        short(1)
        short(1)
        assert times.calls == [1, 1]
        memory.clear(warn=False)


def test_a_coroutine_functions_result_expires(memory):
    calls = []

    @memory.cache(expires=SHORT)
    async def double(x):
        calls.append(x)
        return 2 * x

    for pause in (0, 0.9, 0):
        time.sleep(pause)
        assert asyncio.run(double(1)) == 2
    assert calls == [1, 1]


def test_the_index_knows_when_a_result_expires_and_gc_removes_it(memory):
    hour = counted(memory, expires=timedelta(hours=1))
    hour(1)
    cache = memory.store_backend
    cache.merge_uses()
    now = datetime.now(UTC)
    assert gc.plan(cache, Limits()).empty
    later = gc.plan(cache, Limits(), now=now + timedelta(hours=2))
    [eviction] = later.evictions
    assert eviction.reason.startswith("expired on 20")
    assert later.kept == 1
    both = gc.plan(cache, Limits(max_entries=0), now=now + timedelta(hours=2))
    assert len({each.entry.key for each in both.evictions}) == len(both.evictions) == 2
    others = gc.plan(cache, Limits(max_entries=5, function="others"), now=now + timedelta(hours=2))
    assert not others.evictions
    gc.run(cache, later)
    assert not hour.check_call_in_cache(1)
    assert "was evicted by gc" in str(hour.explain(1))
    assert "expired on" in str(hour.explain(1))


def test_joblibs_way_to_expire_goes_on(memory):
    times = counted(memory, cache_validation_callback=expires_after(milliseconds=800))
    times(1)
    times(1)
    time.sleep(0.9)
    assert times.explain(1).reason == "expired"
    times(1)
    assert times.calls == [1, 1]


@pytest.mark.parametrize("expires", [0, 60, "1d", timedelta(0), timedelta(days=-1), timedelta.max])
def test_a_time_without_a_meaning_is_refused(memory, expires):
    with pytest.raises(SettingsError, match="expires is"):
        memory.cache(abs, expires=expires)
    with pytest.raises(SettingsError, match="expires is"):
        Memory(None).cache(expires=expires)


# ---- worth caching?


def sleeping(memory, seconds, **options):
    """Make a memorised function that takes so long, and counts its calls."""
    memory.eval(abs, -1)
    calls = []

    def slow(x):
        calls.append(x)
        time.sleep(seconds)
        return [x]

    memorised = memory.cache(slow, **options)
    memorised.calls = calls
    return memorised


def test_what_is_computed_in_less_is_not_stored(memory):
    quick = sleeping(memory, 0, min_seconds=0.1)
    assert quick(1) == quick(1) == [1]
    assert quick.calls == [1, 1]
    assert isinstance(quick.call_and_shelve(1), NotMemorizedResult)
    slow = sleeping(memory, 0.12, min_seconds=0.1)
    assert slow(1) == slow(1) == [1]
    assert slow.calls == [1]


def test_a_setting_says_it_for_all_and_a_function_for_itself(tmp_path):
    memory = Memory.over(open_cache(Settings(location=str(tmp_path / "store"), min_seconds=0.1)))
    quick = sleeping(memory, 0)
    quick(1)
    quick(1)
    assert quick.calls == [1, 1]
    everything = sleeping(memory, 0, min_seconds=0)
    everything(1)
    everything(1)
    assert everything.calls == [1]
    with memory.parallel("threading", n_jobs=2):
        Parallel()(delayed(square)(number) for number in range(3))
    assert not [
        entry for entry in memory.store_backend.index.select(Selection()) if entry.function.endswith("square")
    ]


def test_what_takes_longer_to_be_read_is_not_stored_once_that_was_measured(memory, monkeypatch):
    load = memory.store_backend.load

    def load_slowly(reader):
        time.sleep(0.05)
        return load(reader)

    quick = sleeping(memory, 0, min_seconds="measured")
    slow = sleeping(memory, 0.2, min_seconds="measured")
    monkeypatch.setattr(memory.store_backend, "load", load_slowly)
    for function in (quick, slow):
        for x in range(6):
            function(x)
    # The first three are stored, and tell what reading takes.
    assert [quick.check_call_in_cache(x) for x in range(6)] == 3 * [True] + 3 * [False]
    assert all(slow.check_call_in_cache(x) for x in range(6))


def test_hits_measure_too(memory, monkeypatch):
    slow = sleeping(memory, 0.01, min_seconds="measured")
    slow(0)
    cache = memory.store_backend
    at_hand = type(cache)._at_hand

    def find_slowly(self, key):
        time.sleep(0.03)
        return at_hand(self, key)

    monkeypatch.setattr(type(cache), "_at_hand", find_slowly)
    for _ in range(5):
        slow(0)
    slow(1)
    assert not slow.check_call_in_cache(1)


def test_what_takes_longer_than_reading_is_never_read_for_a_measurement(memory, monkeypatch):
    slow = sleeping(memory, 0.01, min_seconds="measured")
    monkeypatch.setattr("cachestore.cache.reading_times._AT_MOST", 0.001)
    slow(0)
    assert slow.check_call_in_cache(0)
    assert not memory.store_backend._reading._seconds


@pytest.mark.parametrize("given", [-1, True, "1", "often", float("nan"), float("inf")])
def test_a_minimum_without_a_meaning_is_refused(memory, given):
    with pytest.raises(SettingsError, match="min_seconds is"):
        memory.cache(abs, min_seconds=given)
    with pytest.raises(SettingsError, match="min_seconds is"):
        Settings(min_seconds=given)


def test_statistics_say_what_caching_cost_and_saved(memory):
    slow = sleeping(memory, 1)
    memory.clear(warn=False)
    cache = memory.store_backend

    def statistics():
        cache.merge_uses()
        return cache.index.statistics()

    before = statistics()
    slow(1)
    first = statistics()
    # The key, the look-up and storing, and not the computation.
    assert 0 < first.seconds_spent - before.seconds_spent < 0.9
    slow(1)
    slow(1)
    second = statistics()
    assert second.seconds_spent == first.seconds_spent
    assert 1 < second.seconds_saved < 2.1
    assert second.seconds_net == pytest.approx(second.seconds_saved - second.seconds_spent)
    [function] = [each for each in second.by_function if each.function.endswith("slow")]
    assert function.seconds_spent > 0
    # What was saved stays saved when the entry goes.
    slow.clear(warn=False)
    third = statistics()
    assert third.seconds_saved == 0
    assert third.seconds_net == pytest.approx(second.seconds_net)


def test_nothing_is_noted_of_what_bypasses_the_cache(memory):
    slow = sleeping(memory, 0)
    cache = memory.store_backend
    cache.merge_uses()
    before = cache.index.statistics().seconds_spent
    with memory.bypass():
        slow(1)
    cache.merge_uses()
    assert cache.index.statistics().seconds_spent == before


# ---- clearing


def test_a_function_clears_its_version_or_all_of_them(memory):
    def one(x):
        return x

    old = memory.cache(one, version="1")
    new = memory.cache(one, version="2")
    for function in (old, new):
        function(1)
    new.clear(warn=False)
    assert old.check_call_in_cache(1)
    assert not new.check_call_in_cache(1)
    new(1)
    new.clear(warn=False, all_versions=True)
    assert not old.check_call_in_cache(1)
    assert not new.check_call_in_cache(1)
    Memory(None).cache(one).clear(all_versions=True)
