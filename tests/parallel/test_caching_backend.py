"""Tasks of any kind, looked up before they are sent."""

import importlib
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import joblib
import numpy as np
import pytest

import cachestore
from cachestore import CachestoreWarning, Memory
from cachestore.settings import settings_here
from cachestore.storage import LocalStore
from tests.parallel.drawing import draw_plainly
from tests.parallel.tasks import square


def triple(number):
    return 3 * number


def sum_of(numbers):
    return sum(numbers)


class Box:
    """Holds a list that tasks write into, and digests alike whatever is in it."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __cachestore_digest__(self):
        return "box"


def put_into(number, box):
    box.numbers.append(number)


def in_which_process(number):
    return os.getpid()


def run(function, *numbers, **options):
    return joblib.Parallel(**options)(joblib.delayed(function)(number) for number in numbers)


def test_tasks_of_own_functions_are_computed_once(memory, books, inner):
    with memory.parallel(inner):
        assert run(triple, *range(6)) == [0, 3, 6, 9, 12, 15]
        assert run(triple, *range(3, 9)) == [9, 12, 15, 18, 21, 24]
    assert books() == (9, 3)


def test_hits_and_misses_keep_the_order_of_the_tasks(memory, inner):
    with memory.parallel(inner):
        run(triple, *range(0, 40, 3))
        assert run(triple, *range(40), batch_size=7) == [3 * number for number in range(40)]


def test_computing_is_done_by_the_inner_backends_workers(memory):
    with memory.parallel("loky"):
        assert os.getpid() not in run(in_which_process, 1, 2, 3)


def test_a_long_run_of_hits_does_not_recurse(memory):
    with memory.parallel("threading"):
        run(triple, *range(50))
        assert run(triple, *(list(range(50)) * 60), batch_size=1) == [3 * n for n in range(50)] * 60


@pytest.mark.parametrize("return_as", ["generator", "generator_unordered"])
def test_results_can_come_as_they_are_ready(memory, return_as):
    with memory.parallel("threading"):
        run(triple, *range(5))
        results = run(triple, *range(10), return_as=return_as)
        assert sorted(results) == [3 * n for n in range(10)]


def test_an_error_is_raised_where_the_results_are_awaited(memory, books, inner):
    from tests.parallel.tasks import fail

    with memory.parallel(inner):
        with pytest.raises(LookupError, match="no 1 here"):
            run(fail, 1)
        assert run(triple, 1, 2) == [3, 6]
    assert books() == (2, 0)


def test_a_memory_without_a_location_computes_all():
    with Memory(None).parallel("threading"):
        assert run(triple, 1, 2) == [3, 6]


def test_joblibs_own_spelling_means_the_same(memory, books):
    cachestore.register()
    for _ in range(2):
        with joblib.parallel_config(backend="cachestore", memory=memory, inner="threading", n_jobs=2):
            assert run(triple, 1, 2) == [3, 6]
    assert books() == (2, 2)


def test_memorised_functions_answer_for_themselves(tmp_path, memory, inner):
    elsewhere = Memory(tmp_path / "elsewhere", verbose=0)
    cubed = elsewhere.cache(triple)
    with memory.parallel(inner):
        assert run(cubed, 1, 2) == [3, 6]
        assert cubed.check_call_in_cache(1)
        assert run(cubed, 1, 2) == [3, 6]
    elsewhere.store_backend.merge_uses()
    assert elsewhere.store_backend.index.statistics().hits == 2


def test_tasks_that_write_into_shared_memory_are_never_answered(memory):
    total = []
    with memory.parallel("threading"):
        for _ in range(2):
            joblib.Parallel(require="sharedmem")(joblib.delayed(put_into)(n, Box(total)) for n in range(3))
    assert sorted(total) == [0, 0, 1, 1, 2, 2]


def test_tasks_of_installed_libraries_are_not_looked_up(memory, books):
    with memory.parallel("threading"):
        assert run(np.negative, 1, 2) == [-1, -2]
    assert books() == (0, 0)


def test_a_task_without_a_stable_digest_is_computed_with_one_warning(memory, books):
    expected = pytest.warns(CachestoreWarning, match=r"computed and not stored.*'numbers'")
    with memory.parallel("threading"), expected as told:
        for _ in range(2):
            assert run(sum_of, *((n for n in [m]) for m in range(3))) == [0, 1, 2]
    assert len(told) == 1
    assert books() == (0, 0)


@pytest.mark.parametrize("inner", ["loky", pytest.param("dask", marks=pytest.mark.cluster)], indirect=True)
def test_workers_have_the_settings_of_the_client(memory, inner):
    from tests.parallel.tasks import where_is_the_cache

    with memory.parallel(inner):
        places = run(where_is_the_cache, 1, 2)
    assert set(places) == {memory.store_backend.location}
    # They are those of its tasks alone.
    assert settings_here().location != memory.store_backend.location
    with joblib.parallel_config(backend=inner, n_jobs=2):
        assert memory.store_backend.location not in run(where_is_the_cache, 1, 2)


def test_a_module_that_opens_the_cache_when_a_task_is_unpickled_has_them_too(tmp_path):
    (tmp_path / "opening.py").write_text(
        "import cachestore\ncache = cachestore.open()\ndef where(n):\n    return cache.location\n"
    )
    script = tmp_path / "client.py"
    script.write_text(
        textwrap.dedent(
            """
            import pathlib
            import joblib
            from cachestore import Memory
            import opening

            with Memory(pathlib.Path("store"), verbose=0).parallel("loky", n_jobs=2):
                print(set(joblib.Parallel()(joblib.delayed(opening.where)(n) for n in range(2))))
            """
        )
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
    ran = subprocess.run(
        [sys.executable, str(script)], check=True, capture_output=True, text=True, env=environ, cwd=tmp_path
    )
    assert ran.stdout == f"{{{str(tmp_path / 'store')!r}}}\n"


def test_nested_calls_keep_the_cache(memory, books, inner):
    from tests.parallel.tasks import squares_in_parallel

    with memory.parallel(inner):
        run(squares_in_parallel, [1, 2, 3])
    assert books() == (4, 0)
    with memory.parallel(inner):
        run(squares_in_parallel, [2, 3, 4])
    assert books() == (6, 2)


def test_a_worker_with_other_code_returns_its_value_and_does_not_store_it(tmp_path, memory, books):
    """The file changes between the import of the client and that of the worker."""
    package = tmp_path / "checkout"
    package.mkdir()
    (package / "drifting.py").write_text("def answer(n):\n    return ('old', n)\n")
    script = package / "client.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import pathlib, sys
            import joblib
            from cachestore import Memory
            import drifting

            memory = Memory(pathlib.Path({str(tmp_path)!r}), verbose=0)
            if "edit" in sys.argv:
                pathlib.Path(drifting.__file__).write_text("def answer(n):\\n    return ('new and longer', n)\\n")
            with memory.parallel("loky", n_jobs=2):
                print(joblib.Parallel()(joblib.delayed(drifting.answer)(n) for n in range(2)))
            """
        )
    )
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(package), str(Path.cwd())]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, str(script), "edit"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)
    assert ran.stdout == "[('new and longer', 0), ('new and longer', 1)]\n"
    assert re.search(r"function:drifting:answer \([0-9a-f]{8} there, [0-9a-f]{8} here\)", ran.stderr)
    assert "returned, and not stored" in ran.stderr
    assert books() == (0, 0)
    subprocess.run(command[:2], check=True, capture_output=True, env=environ)
    assert books() == (2, 0)


def test_a_function_of_a_script_is_stored_by_its_workers(tmp_path, memory, books):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import pathlib
            import joblib
            from cachestore import Memory

            def answer(n):
                return n + 1

            memory = Memory(pathlib.Path({str(tmp_path)!r}), verbose=0)
            with memory.parallel("loky", n_jobs=2):
                print(joblib.Parallel()(joblib.delayed(answer)(n) for n in range(2)))
            """
        )
    )
    environ = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    for expected in [(2, 0), (2, 2)]:
        ran = subprocess.run(
            [sys.executable, str(script)], check=True, capture_output=True, text=True, env=environ
        )
        assert ran.stdout == "[1, 2]\n"
        assert books() == expected


def test_a_missing_engine_is_answered_with_what_to_install(memory, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "distributed" else real(name, *rest)
    )
    with pytest.raises(ImportError, match=r"pip install 'cachestore\[dask\]'"):
        memory.parallel("dask")


def test_large_arrays_are_shared_with_loky_workers_and_cleaned_up(memory, tmp_path):
    folder = tmp_path / "shared"
    big = np.arange(400_000.0)
    with memory.parallel("loky", n_jobs=2, temp_folder=str(folder), max_nbytes=1000):
        sums = joblib.Parallel()(joblib.delayed(np.multiply.reduce)(big[:2]) for _ in range(1))
        totals = joblib.Parallel()(joblib.delayed(total_of)(big, n) for n in range(4))
    assert sums == [0.0]
    assert totals == [(big.sum() + n, True) for n in range(4)]
    # They lay in a folder of their call, which goes with it.
    assert not list(folder.rglob("*.pkl"))


def test_only_batches_that_were_computed_teach_the_inner_backend_how_long_tasks_take(memory, monkeypatch):
    from joblib._parallel_backends import ThreadingBackend

    told = []
    monkeypatch.setattr(ThreadingBackend, "batch_completed", lambda self, size, seconds: told.append(size))
    with memory.parallel("threading"):
        run(triple, 1, 2, 3)
        assert told == [1, 1, 1]
        run(triple, 1, 2, 3)
        run(triple, 1, 2, 3, 4)
        assert told == [1, 1, 1, 1]


def total_of(array, number):
    return float(array.sum() + number), isinstance(array, np.memmap)


def draw(number):
    return float(np.random.default_rng().normal() if number < 0 else np.random.normal())


def fill(array, number):
    array[number] = number + 1


def fill_and_tell(array, number):
    array[number] = number + 1
    return number


def mean_of(array):
    return float(array.mean())


def in_which_thread(number):
    return threading.current_thread().name


def slowly(number):
    if number < 0:
        raise LookupError(number)
    time.sleep(0.002)
    return number


@pytest.mark.parametrize("draw", [draw, draw_plainly], ids=["numpy", "python"])
def test_tasks_that_draw_without_a_seed_each_draw_for_themselves(memory, books, draw):
    with memory.parallel("threading"):
        draws = run(draw, *[10] * 40)
    assert len(set(draws)) == 40
    assert books() == (0, 0)


@pytest.mark.parametrize("function", [fill, fill_and_tell])
def test_tasks_that_work_by_what_they_change_are_never_answered(memory, books, function):
    for _ in range(2):
        filled = np.zeros(5)
        with memory.parallel("threading"):
            joblib.Parallel()(joblib.delayed(function)(filled, number) for number in range(5))
        np.testing.assert_array_equal(filled, np.arange(1, 6))
    assert books() == (0, 0)


def test_a_buffer_that_is_used_again_poisons_nothing(memory):
    buffer = np.zeros(4)

    def filled():
        for number in range(8):
            buffer[:] = number
            yield joblib.delayed(mean_of)(buffer)

    with memory.parallel("threading"):
        joblib.Parallel()(filled())
        assert run(mean_of, *(np.full(4, float(n)) for n in range(8))) == [float(n) for n in range(8)]


def test_with_one_job_a_task_sees_what_those_before_it_did(memory, monkeypatch):
    monkeypatch.setattr(LocalStore, "at_once", 8)
    buffer = np.zeros(4)

    def filled():
        for number in range(8):
            buffer[:] = number
            yield joblib.delayed(mean_of)(buffer)

    for _ in range(2):
        with memory.parallel("threading", n_jobs=1):
            assert joblib.Parallel()(filled()) == [float(n) for n in range(8)]


def test_one_job_runs_in_the_callers_thread_as_the_tasks_come(memory, books):
    for expected in [(3, 0), (3, 3)]:
        with memory.parallel("loky", n_jobs=1):
            threads = run(in_which_thread, 1, 2, 3)
            assert threads == ["MainThread"] * 3
        assert books() == expected
    come = []

    def tasks():
        for number in range(3):
            come.append(number)
            yield joblib.delayed(triple)(number)

    with memory.parallel("threading", n_jobs=1):
        results = joblib.Parallel(return_as="generator")(tasks())
        assert next(results) == 0
    assert come == [0]


def test_two_calls_may_be_under_way_at_once(memory):
    for _ in range(2):
        with memory.parallel("threading"):
            first = joblib.Parallel(return_as="generator")(joblib.delayed(slowly)(n) for n in range(90))
            assert next(first) == 0
            assert run(slowly, *range(100, 120)) == list(range(100, 120))
            assert list(first) == list(range(1, 90))


def test_a_call_that_was_aborted_leaves_nothing_to_the_next(memory):
    for jobs in (1, 2):
        with memory.parallel("threading", n_jobs=jobs), joblib.Parallel(batch_size=1) as parallel:
            for number in range(5):
                with pytest.raises(LookupError):
                    parallel(joblib.delayed(slowly)(n) for n in [100, 101, -1 - number, 102, 103, 104, 105])
                assert parallel(joblib.delayed(slowly)(n) for n in range(5)) == list(range(5))


def test_memorised_methods_answer_for_themselves(memory, tmp_path):
    elsewhere = Memory(tmp_path / "elsewhere", verbose=0)

    class Scaled:
        def __init__(self, factor):
            self.factor = factor

        @elsewhere.cache
        def times(self, number):
            return self.factor * number

    for _ in range(2):
        with memory.parallel("threading"):
            assert run(Scaled(3).times, 1, 2) == [3, 6]
    elsewhere.store_backend.merge_uses()
    assert elsewhere.store_backend.index.statistics().hits == 2


def test_a_method_of_others_that_is_called_lookup_is_theirs(memory):
    class Table:
        def __call__(self, number):
            return number

        def lookup(self, number):
            raise AssertionError("nobody asked")

    with memory.parallel("threading"):
        assert run(Table(), 1, 2) == [1, 2]


def test_what_other_processes_compute_for_a_store_in_memory_is_said_to_be_lost(tmp_path):
    memory = Memory(f"memory://{tmp_path.name}", verbose=0)
    with memory.parallel("loky"), pytest.warns(CachestoreWarning, match="memory of this process"):
        assert run(triple, 1, 2) == [3, 6]


@pytest.mark.parametrize("inner", ["nope", None, "cachestore"])
def test_an_inner_backend_that_is_none_is_refused_with_those_that_are(memory, inner):
    with pytest.raises(cachestore.SettingsError, match=r"loky"):
        memory.parallel(inner)


def test_a_memory_of_joblib_is_refused(tmp_path):
    cachestore.register()
    with pytest.raises(cachestore.SettingsError, match="none of cachestore's"):
        joblib.parallel_config(backend="cachestore", memory=joblib.Memory(tmp_path), inner="threading")


def test_a_key_that_fails_is_said_and_the_task_computed(memory, monkeypatch):
    def fail(*_):
        raise RuntimeError("out of luck")

    monkeypatch.setattr("cachestore.parallel.caching_backend.task_call", fail)
    with (
        memory.parallel("threading"),
        pytest.warns(CachestoreWarning, match="its key failed: RuntimeError: out of"),
    ):
        assert joblib.Parallel()(joblib.delayed(divmod)(n, 2) for n in range(2)) == [(0, 0), (0, 1)]


def test_the_code_of_a_function_is_looked_for_once_for_all_its_tasks(memory, monkeypatch):
    import cachestore.keys.keyed_function as module

    found = []
    real = module.find_identity
    monkeypatch.setattr(module, "find_identity", lambda *given: found.append(given[0]) or real(*given))
    with memory.parallel("threading"):
        joblib.Parallel()(joblib.delayed(square)(n) for n in range(20))
    assert set(found) == {square}
    assert len(found) <= 8  # as many as look tasks up at the same time
