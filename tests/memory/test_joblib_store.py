import asyncio
import os
import pickle
import subprocess
import sys
import textwrap
import time
import warnings
from datetime import timedelta
from pathlib import Path

import joblib
import numpy as np
import pytest
from joblib.memory import MemorizedResult

import cachestore
from cachestore import CachestoreError, CachestoreWarning, SettingsError
from cachestore.cache import open_cache
from cachestore.cache.joblib_entries import JoblibEntries
from cachestore.settings import Settings

REPOSITORY = Path(__file__).parents[2]
calls = []


@pytest.fixture(autouse=True)
def _here(alone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cachestore.register_joblib_store()
    # joblib remembers for the whole process of which functions it wrote the code down, wherever that was.
    joblib.Memory(tmp_path / "unused", verbose=0).clear(warn=False)
    calls.clear()


@pytest.fixture
def memory(tmp_path):
    return joblib.Memory(str(tmp_path), backend="cachestore", verbose=0)


def double(x, y=1):
    calls.append((x, y))
    return 2 * x * y


def entries(memory):
    return memory.store_backend._entries.entries()


# ---- one call


def test_a_second_call_is_a_hit_in_the_store_that_a_cachestore_memory_has_there(memory, tmp_path):
    f = memory.cache(double)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # joblib warns if what it thinks to be small takes long
        assert (f(3), f(x=3, y=1), f(4)) == (6, 6, 8)
    assert calls == [(3, 1), (4, 1)]
    ours = cachestore.Memory(str(tmp_path)).store_backend
    assert ours.location == memory.store_backend._cache.location
    assert {entry.function for entry in entries(memory)} == {f"joblib:{__name__}.double"}
    assert sum(entry.hits for entry in entries(memory)) == 1
    assert not (tmp_path / "joblib").exists()


@pytest.mark.parametrize("location", ["memory://joblib-store-there", "memory://"])
def test_a_url_is_taken_as_a_cachestore_memory_takes_it(location):
    memory = joblib.Memory(location, backend="cachestore", verbose=0)
    assert memory.cache(double)(3) == 6
    assert cachestore.Memory(location).store_backend.location == memory.store_backend._cache.location


def test_what_the_settings_say_of_a_location_holds_for_it(tmp_path, monkeypatch):
    index = str(tmp_path / "team.sqlite")
    monkeypatch.setenv("CACHESTORE_LOCATION", "memory://settled/here")
    monkeypatch.setenv("CACHESTORE_INDEX", index)
    memory = joblib.Memory("memory://settled/here", backend="cachestore", verbose=0)
    assert memory.store_backend._cache.settings.index == index
    elsewhere = joblib.Memory("memory://settled/there", backend="cachestore", verbose=0)
    assert elsewhere.store_backend._cache.settings.index is None


def test_a_path_is_taken_as_it_is(tmp_path):
    memory = joblib.Memory(tmp_path / "here", backend="cachestore", verbose=0)
    assert memory.cache(double)(3) == 6
    assert (tmp_path / "here" / "store.json").exists()


def test_an_entry_says_how_long_computing_took(memory):
    def slow(x):
        time.sleep(0.05)
        return x

    f = memory.cache(slow)
    f(1), f(2), f.call(3)
    seconds = [entry.seconds for entry in entries(memory)]
    assert len(seconds) == 3
    assert all(0.05 <= each < 5 for each in seconds)


def test_only_asking_starts_no_clock(memory):
    f = memory.cache(double)
    f(0)
    assert not f.check_call_in_cache(1)
    time.sleep(0.1)
    f.call(1)
    assert max(entry.seconds for entry in entries(memory)) < 0.1


def test_a_result_is_shelved_cleared_pickled_and_read_from_its_repr(memory):
    f = memory.cache(double)
    result = f.call_and_shelve(3)
    again = pickle.loads(pickle.dumps(f.call_and_shelve(3)))
    assert (result.get(), again.get(), calls) == (6, 6, [(3, 1)])
    assert result.duration >= 0
    read = MemorizedResult(result.store_backend.location, (result.func, result.args_id), backend="cachestore")
    assert read.get() == 6
    result.clear()
    with pytest.raises(KeyError, match="it is absent"):
        again.get()
    assert f(3) == 6
    assert len(calls) == 2


def test_results_that_a_callback_refuses_are_computed_again(memory):
    told = []
    f = memory.cache(double, cache_validation_callback=lambda metadata: told.append(metadata))
    f(3), f(3)
    assert len(calls) == 2
    assert told[0].keys() == {"duration", "input_args", "time"}
    assert abs(time.time() - told[0]["time"]) < 60


@pytest.mark.parametrize("kept", [False, True])
def test_texts_of_arguments_are_kept_only_if_the_settings_say_so(memory, kept, monkeypatch):
    monkeypatch.setenv("CACHESTORE_VALUE_SUMMARIES", str(kept).lower())
    memory = joblib.Memory("memory://texts", backend="cachestore", verbose=0)
    f = memory.cache(double)
    f("secret")
    f.call("forced")
    for text in ("secret", "forced"):
        told = f.call_and_shelve(text).metadata["input_args"]
        assert told == ({"x": repr(text), "y": "1"} if kept else {})
    memory.clear()


@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_arrays_are_mapped_on_request(tmp_path, mmap_mode):
    memory = joblib.Memory(tmp_path, backend="cachestore", verbose=0, mmap_mode=mmap_mode)
    f = memory.cache(np.ones)
    f(100_000)
    assert isinstance(f(100_000), np.memmap) == (mmap_mode is not None)


def test_coroutine_functions_are_awaited(memory):
    async def later(x):
        await asyncio.sleep(0)
        calls.append(x)
        return 2 * x

    f = memory.cache(later)
    assert [asyncio.run(f(3)), asyncio.run(f(3)), calls] == [6, 6, [3]]


def test_verbosity_prints_as_joblib_does(tmp_path, capsys):
    memory = joblib.Memory(tmp_path, backend="cachestore", verbose=11)
    f = memory.cache(double)
    f(3), f(3)
    said = capsys.readouterr().out
    assert f"Persisting in {tmp_path}" in said
    assert "Loading double" in said


# ---- the code of a function


def run(tmp_path, source):
    (tmp_path / "work.py").write_text(textwrap.dedent(source))
    script = (
        "import cachestore.memory.joblib_store, joblib, work\n"
        "f = joblib.Memory('.', backend='cachestore', verbose=0).cache(work.f)\n"
        "print(f(1), f(2), f(1))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{tmp_path}", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return ran.stdout.split()


def test_another_process_has_the_results_until_the_code_is_another(memory, tmp_path):
    first = """
        def f(x):
            print("computing")
            return x
    """
    assert run(tmp_path, first) == ["computing", "computing", "1", "2", "1"]
    assert run(tmp_path, first) == ["1", "2", "1"]
    assert run(tmp_path, "\n\n" + first) == ["1", "2", "1"]
    assert run(tmp_path, first.replace("return x", "return -x")) == [
        "computing",
        "computing",
        "-1",
        "-2",
        "-1",
    ]
    assert len(entries(memory)) == 2  # those of the first version are cleared
    assert run(tmp_path, first) == ["computing", "computing", "1", "2", "1"]


def test_a_process_of_another_version_never_reads_what_this_one_stored(tmp_path):
    cache = open_cache(Settings(location=str(tmp_path)))
    old, new = JoblibEntries(cache), JoblibEntries(cache)
    old.write_code("f", "# first line: 1\ndef f(): return 1\n")
    new.write_code("f", "# first line: 1\ndef f(): return 2\n")
    old.put("f", "abc", 1, seconds=0.0, summaries={})
    assert old.get("f", "abc").value == 1
    assert new.get("f", "abc").reason == "refused"
    fresh = JoblibEntries(cache)  # goes by what was written down last
    assert fresh.find("f", "abc").reason == "refused"
    assert pickle.loads(pickle.dumps(old)).find("f", "abc").reason == "refused"


def test_moving_a_function_in_its_file_is_no_change(tmp_path):
    cache = open_cache(Settings(location=str(tmp_path)))
    one, other = JoblibEntries(cache), JoblibEntries(cache)
    one.write_code("f", "# first line: 1\ndef f(): return 1\n")
    one.put("f", "abc", 1, seconds=0.0, summaries={})
    other.write_code("f", "# first line: 100\ndef f(): return 1\n")
    assert other.get("f", "abc").value == 1


def test_who_only_reads_changes_nothing_though_the_code_is_another(memory, tmp_path, monkeypatch):
    (tmp_path / "team.py").write_text("def table(n):\n    return n + 1\n")
    program = (
        "import joblib, cachestore, team\n"
        "cachestore.register_joblib_store()\n"
        f"memory = joblib.Memory({str(tmp_path)!r}, backend='cachestore', verbose=0)\n"
        "print(memory.cache(team.table)(1))\n"
    )

    def run() -> str:
        return subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
        ).stdout

    assert run() == "2\n"
    before = _kept(tmp_path)
    assert len(before) == 2
    (tmp_path / "team.py").write_text("def table(n):\n    return n + 100\n")
    monkeypatch.setenv("CACHESTORE_READ_ONLY", "true")
    assert run() == "101\n"
    assert _kept(tmp_path) == before


def _kept(place):
    """Return the results, and the code of functions, that a store holds."""
    folders = [place / "cachestore" / name for name in ("blobs", "marks")]
    return {file: file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file()}


def test_clearing_a_function_leaves_others_alone(memory):
    f, g = memory.cache(double), memory.cache(divmod)
    f(1), g(5, 2)
    f.clear(warn=False)
    assert [entry.function for entry in entries(memory)] == ["joblib:builtins.divmod"]
    f(1)
    assert len(calls) == 2


# ---- all entries


def test_the_least_recently_used_entries_go_beyond_a_limit(memory):
    f = memory.cache(double)
    for number in range(4):
        f(number)
    f(0)  # used again, so it stays
    memory.reduce_size(items_limit=2)
    assert len(memory.store_backend.get_items()) == 2
    assert f.check_call_in_cache(0)
    assert not f.check_call_in_cache(1)
    assert sum(item.size for item in memory.store_backend.get_items()) > 0
    memory.reduce_size(bytes_limit="1G", age_limit=timedelta(days=1))
    assert len(memory.store_backend.get_items()) == 2
    memory.reduce_size(bytes_limit="1K")
    assert len(memory.store_backend.get_items()) == 1
    with pytest.raises(ValueError, match="negative"):
        memory.reduce_size(age_limit=timedelta(days=-1))


def test_clearing_and_reducing_leave_entries_that_joblib_did_not_make(memory, tmp_path):
    ours = cachestore.Memory(str(tmp_path), verbose=0).cache(double)
    ours(1)
    f = memory.cache(double)
    f(1)
    assert len(memory.store_backend.get_items()) == 1
    memory.reduce_size(items_limit=0)
    assert not memory.store_backend.get_items()
    f(1)
    assert len(list(tmp_path.glob("cachestore/marks/joblib/*"))) == 1
    memory.clear(warn=False)
    assert not memory.store_backend.get_items()
    assert ours.check_call_in_cache(1)
    assert not list(tmp_path.glob("cachestore/marks/joblib/*"))
    f(1)
    assert calls == [(1, 1)] * 4


def test_a_cache_that_others_may_use_is_not_cleared_whole(tmp_path):
    memory = joblib.Memory(
        tmp_path, backend="cachestore", verbose=0, backend_options={"index": str(tmp_path / "team.sqlite")}
    )
    f = memory.cache(double)
    f(1)
    with pytest.raises(CachestoreError, match=r"gc --function 'joblib:\*'"):
        memory.clear(warn=False)
    assert f.check_call_in_cache(1)


def test_entries_are_listed_and_collected_by_the_command_line(memory, tmp_path):
    from click.testing import CliRunner

    from cachestore.cli import main

    f = memory.cache(double)
    f(1)
    entries(memory)
    listed = CliRunner().invoke(main, ["ls", "--location", str(tmp_path), "--function", "double*"])
    assert f"joblib:{__name__}.double" in listed.output
    collect = ["gc", "--location", str(tmp_path), "--function", "joblib:*", "--max-entries", "0", "--yes"]
    assert "1 entry to remove" in CliRunner().invoke(main, collect).output
    assert not f.check_call_in_cache(1)


def test_a_remote_store_keeps_results_too_and_is_not_cleared_whole(moto_server, s3_store_url):
    url, options = s3_store_url(moto_server)
    memory = joblib.Memory(
        url, backend="cachestore", verbose=0, backend_options={"storage_options": options}, mmap_mode=None
    )
    f = memory.cache(double)
    assert (f(3), f(3), f(4), calls) == (6, 6, 8, [(3, 1), (4, 1)])
    assert url.rstrip("/").endswith(memory.store_backend._cache.location.rpartition("/")[2])
    f.clear(warn=False)
    assert not f.check_call_in_cache(3)
    with pytest.raises(CachestoreError, match="others may use"):
        memory.clear(warn=False)
    with pytest.raises(SettingsError, match="private"):
        memory.reduce_size(items_limit=0)


# ---- workers, pickles, what is ill


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_workers_of_joblib_read_and_store(memory, backend):
    f = memory.cache(divmod)
    f(7, 1)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        assert joblib.Parallel()(joblib.delayed(f)(7, n) for n in (1, 2, 3)) == [(7, 0), (3, 1), (2, 1)]
    assert all(f.check_call_in_cache(7, n) for n in (1, 2, 3))
    assert len(entries(memory)) == 3


def test_a_memory_hashes_alike_whatever_it_did(memory, tmp_path):
    before = joblib.hash(memory)
    memory.cache(double)(1)
    assert before == joblib.hash(memory) == joblib.hash(pickle.loads(pickle.dumps(memory)))


def test_a_password_in_the_location_is_not_kept_in_the_store(tmp_path):
    memory = joblib.Memory("memory://ana:pa55@there", backend="cachestore", verbose=0)
    assert b"pa55" not in pickle.dumps(memory.store_backend)
    assert "pa55" not in repr(memory.store_backend)


def test_a_store_that_is_ill_does_not_stop_the_computation(memory, tmp_path):
    (tmp_path / "cachestore").write_text("no directory")
    f = memory.cache(double)
    with pytest.warns(CachestoreWarning):
        assert [f(1), f(1)] == [2, 2]
    with pytest.warns(CachestoreWarning, match="could not be cleared"):
        f.clear(warn=False)


def test_a_value_that_cannot_be_stored_is_returned(memory):
    f = memory.cache(lambda: (n for n in "ab"))
    with pytest.warns(CachestoreWarning, match="is not stored"):
        assert list(f()) == ["a", "b"]


def test_an_option_without_a_meaning_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="'storage_option' has no meaning"):
        joblib.Memory(tmp_path, backend="cachestore", backend_options={"storage_option": {}})
