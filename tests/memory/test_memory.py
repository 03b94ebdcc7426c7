import os
import pickle
import re
import subprocess
import sys
import warnings
from datetime import timedelta
from pathlib import Path

import joblib
import numpy as np
import pytest

import cachestore
from cachestore import (
    CachestoreError,
    CachestoreWarning,
    MemorizedFunc,
    MemorizedResult,
    Memory,
    NotMemorizedResult,
    SettingsError,
    digest,
)
from cachestore.cache import open_cache
from cachestore.settings import Settings

REPOSITORY = Path(__file__).parents[2]


def counted():
    """Make a function that counts its calls."""
    calls = []

    def double(x, y=1):
        calls.append((x, y))
        return 2 * x * y

    return double, calls


# ---- where


def test_a_plain_directory_gets_a_subfolder_and_a_path_is_taken_as_it_is(tmp_path):
    assert Memory(str(tmp_path), verbose=0).store_backend.location == str(tmp_path / "cachestore")
    assert Memory(tmp_path, verbose=0).store_backend.location == str(tmp_path)


def test_a_path_of_which_only_the_subfolder_holds_a_store_means_that(tmp_path):
    memory = Memory(str(tmp_path), verbose=0)
    memory.eval(abs, -1)
    assert Memory(tmp_path, verbose=0).store_backend.location == str(tmp_path / "cachestore")
    assert cachestore.open(tmp_path).store_backend.location == str(tmp_path / "cachestore")
    (tmp_path / "store.json").write_text((tmp_path / "cachestore" / "store.json").read_text())
    assert Memory(tmp_path, verbose=0).store_backend.location == str(tmp_path)


def test_a_relative_directory_stays_where_it_was_when_the_process_moves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    memory = Memory("here", verbose=0)
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    memory.eval(abs, -1)
    assert (tmp_path / "here" / "cachestore" / "store.json").exists()


def test_nothing_is_cached_without_a_location():
    double, calls = counted()
    memory = Memory(None)
    memorised = memory.cache(double)
    assert memorised(2) == memorised(2) == 4
    assert len(calls) == 2
    assert memorised.call_and_shelve(3).get() == 6
    assert memorised.call(3) == (6, {})
    assert not memorised.check_call_in_cache(3)
    memory.clear()
    memory.reduce_size(bytes_limit=0)
    assert memory.store_backend is None
    assert "None" in repr(memory)


def test_a_location_of_another_type_warns_and_does_not_cache():
    with pytest.warns(UserWarning, match="int as location"):
        assert Memory(3).store_backend is None


@pytest.mark.parametrize("location", ["", "nonsense://bucket", "s3://", "s3:/bucket/prefix"])
def test_a_location_without_a_meaning_is_refused_at_once(location):
    with pytest.raises((SettingsError, CachestoreError)) as caught:
        Memory(location)
    assert "\n" not in str(caught.value)


def test_an_unknown_backend_is_refused_as_joblib_does(tmp_path):
    with pytest.raises(TypeError, match="Unknown location"):
        Memory(str(tmp_path), backend="unknown")


def test_an_mmap_mode_without_a_meaning_is_refused(tmp_path):
    with pytest.raises(ValueError, match="mmap_mode is 'x'"):
        Memory(tmp_path, mmap_mode="x")
    with pytest.raises(ValueError, match="mmap_mode is 'x'"):
        Memory(tmp_path, verbose=0).cache(abs, mmap_mode="x")
    with pytest.raises(ValueError, match="either lazy or mapped"):
        Memory(tmp_path, verbose=0).cache(abs, mmap_mode="r", lazy=True)


@pytest.mark.parametrize("mode", ["r+", "w+"])
def test_a_mode_that_would_edit_results_is_private_and_says_so_once(tmp_path, mode):
    with pytest.warns(CachestoreWarning, match="means 'c'") as told:
        memory = Memory(tmp_path, mmap_mode=mode, verbose=0)
        memory.cache(abs)
    assert [warning.filename for warning in told] == [__file__]
    with pytest.warns(CachestoreWarning, match="means 'c'") as told:
        Memory(tmp_path, verbose=0).cache(mmap_mode=mode)(abs)
    assert len(told) == 1


def test_compressed_results_cannot_be_mapped_as_joblib_says(tmp_path):
    with pytest.warns(UserWarning, match="Compressed results cannot be memmapped"):
        Memory(tmp_path, mmap_mode="r", compress=True)


# ---- everyday use


@pytest.fixture
def memory(tmp_path):
    return Memory(tmp_path, verbose=0)


def test_equal_calls_are_computed_once_however_they_are_spelled(memory):
    double, calls = counted()
    double = memory.cache(double)
    assert double(2) == double(x=2) == double(2, 1) == double(2, y=1) == 4
    assert len(calls) == 1
    assert double(2, 2) == 8
    assert len(calls) == 2


def test_the_decorator_takes_arguments(memory):
    calls = []

    @memory.cache(ignore=["verbose"])
    def work(x, verbose=False):
        calls.append(x)
        return x

    assert work(1, verbose=True) == work(1) == 1
    assert len(calls) == 1
    assert work.__name__ == "work"


def test_an_ignored_name_that_is_no_parameter_is_an_error(memory):
    with pytest.raises(ValueError, match="nonsense"):
        memory.cache(abs_of, ignore=["nonsense"])(1)


def abs_of(x):
    return abs(x)


def test_a_wrong_call_raises_as_python_does(memory):
    with pytest.raises(TypeError, match="abs_of"):
        memory.cache(abs_of)(1, 2, 3)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((1, 2), {}, "Too many arguments for"),
        ((), {}, "Wrong number of arguments for"),
        ((1,), {"z": 2}, "Too many keyword arguments for"),
        ((1,), {"x": 2}, "x"),
    ],
)
def test_a_wrong_call_raises_as_joblib_does(tmp_path, args, kwargs, message):
    for kind in (joblib.Memory, Memory):
        with pytest.raises(ValueError, match=message):
            kind(tmp_path / kind.__module__, verbose=0).cache(abs_of)(*args, **kwargs)


def test_an_argument_without_a_stable_digest_is_named(memory):
    with pytest.raises(cachestore.KeyingError, match="'x'"):
        memory.cache(abs_of)(n for n in [1])


def test_the_users_own_errors_surface_and_nothing_is_stored(memory):
    calls = []

    @memory.cache
    def fail(x):
        calls.append(x)
        raise LookupError(x)

    for _ in range(2):
        with pytest.raises(LookupError):
            fail(1)
    assert len(calls) == 2


def test_shelving_gives_a_small_picklable_reference(memory):
    big = memory.cache(np.zeros)
    reference = big.call_and_shelve(100_000)
    assert len(pickle.dumps(reference)) < 2_000
    again = pickle.loads(pickle.dumps(reference))
    np.testing.assert_array_equal(again.get(), np.zeros(100_000))
    assert reference.func == reference.func_id == "numpy.zeros"
    assert reference.duration >= 0
    assert reference.args_id in repr(reference)
    reference.clear()
    with pytest.raises(KeyError, match="absent"):
        again.get()


def test_the_repr_of_a_reference_makes_it_again(memory):
    shelved = memory.cache(abs_of).call_and_shelve(-7)
    again = eval(repr(shelved), {"MemorizedResult": MemorizedResult})
    assert again.get() == 7
    assert (again.func_id, again.args_id, again.duration, again.metadata) == (
        shelved.func_id,
        shelved.args_id,
        shelved.duration,
        shelved.metadata,
    )
    assert again.store_backend is memory.store_backend
    assert repr(again) == repr(shelved)


def test_the_repr_of_a_reference_makes_it_again_in_another_process(memory, tmp_path):
    shown = repr(memory.cache(abs_of).call_and_shelve(-7))
    memory.flush()
    code = f"from cachestore import MemorizedResult\nprint(({shown}).get())"
    assert run_python(tmp_path, "-c", code).strip() == "7"


def test_a_reference_to_what_is_not_there_says_so(tmp_path):
    missing = MemorizedResult(tmp_path, ("module.f", "0" * 64))
    assert missing.duration is None
    assert missing.metadata == {}
    assert missing.func == "module.f"
    with pytest.raises(KeyError, match="absent"):
        missing.get()
    with pytest.raises(TypeError, match="call_id"):
        MemorizedResult(tmp_path)


def test_a_memorised_function_can_be_made_as_joblibs(tmp_path):
    function = MemorizedFunc(abs_of, str(tmp_path), verbose=0)
    assert function(-2) == 2
    assert Memory(tmp_path, verbose=0).cache(abs_of).check_call_in_cache(-2)
    with pytest.raises(SettingsError, match="int"):
        MemorizedFunc(abs_of, 3)


def test_the_attributes_are_joblibs(memory):
    function = memory.cache(abs_of, ignore=[], mmap_mode="r")
    assert function.func is function.__wrapped__ is abs_of
    assert (function.func_id, function.ignore, function.mmap_mode) == (f"{__name__}.abs_of", [], "r")
    assert (function.compress, function.timestamp) == (None, memory.timestamp)
    source, file, line = function.func_code_info
    assert source.startswith("def abs_of")
    assert file == __file__
    assert line > 1


def test_shelving_what_cannot_be_stored_holds_the_value(memory):
    with pytest.warns(CachestoreWarning, match="not stored"):
        reference = memory.cache(iter_of).call_and_shelve([1, 2])
    assert list(reference.get()) == [1, 2]
    reference.clear()
    with pytest.raises(KeyError):
        reference.get()


def iter_of(items):
    return (item for item in items)


def test_check_call_in_cache_looks_without_computing(memory):
    double, calls = counted()
    double = memory.cache(double)
    assert not double.check_call_in_cache(1)
    double(1)
    assert double.check_call_in_cache(1)
    assert len(calls) == 1


def test_call_computes_anew_and_stores(memory):
    double, calls = counted()
    double = memory.cache(double)
    double(1)
    value, metadata = double.call(1)
    assert (value, len(calls)) == (2, 2)
    assert set(metadata) == {"duration", "input_args", "time"}


def test_a_callback_that_says_no_has_the_entry_computed_anew(memory):
    double, calls = counted()
    told = []
    answer = [True]
    double = memory.cache(
        double, cache_validation_callback=lambda metadata: told.append(metadata) or answer[0]
    )
    double(1)
    double(1)
    assert (len(calls), len(told)) == (1, 1)
    answer[0] = False
    assert not double.check_call_in_cache(1)
    double(1)
    assert len(calls) == 2
    with pytest.raises(ValueError, match="callable"):
        memory.cache(cache_validation_callback=3)


def test_callbacks_are_told_of_the_arguments_as_by_joblib(tmp_path):
    told = {}
    for kind in (joblib.Memory, Memory):
        seen = told.setdefault(kind, [])
        callback = lambda metadata, seen=seen: seen.append(metadata) or True  # noqa: E731
        function = kind(str(tmp_path), verbose=0).cache(abs_of, cache_validation_callback=callback)
        function(-1)
        function(x=-1)
        seen.append(function.call(-1)[1])
    theirs, ours = ([metadata["input_args"] for metadata in seen] for seen in told.values())
    assert ours == theirs == [{"x": "-1"}] * 2


def test_looking_drops_nothing(memory):
    abs_of_stored = memory.cache(abs_of)
    abs_of_stored(-1)
    impatient = memory.cache(abs_of, cache_validation_callback=cachestore.expires_after(seconds=0))
    assert not impatient.check_call_in_cache(-1)
    assert abs_of_stored.check_call_in_cache(-1)


def test_results_expire(memory):
    double, calls = counted()
    double = memory.cache(double, cache_validation_callback=cachestore.expires_after(seconds=0))
    double(1)
    double(1)
    assert len(calls) == 2


def test_methods_can_be_decorated_in_a_class_body(memory):
    class Model:
        def __init__(self, factor):
            self.factor = factor

        @memory.cache
        def scaled(self, x):
            return self.factor * x

    assert Model(2).scaled(3) == Model(2).scaled(x=3) == 6
    assert Model(5).scaled(3) == 15


def test_methods_can_be_memorised_in_the_constructor(memory):
    class Model:
        def __init__(self, factor):
            self.factor = factor
            self.scaled = memory.cache(self.scaled)

        def scaled(self, x):
            calls.append(x)
            return self.factor * x

    calls = []
    assert [Model(factor).scaled(3) for factor in (2, 2, 5)] == [6, 6, 15]
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [(str.upper, ("a",), "A"), (len, ([1],), 1), (dict, ([("a", 1)],), {"a": 1}), ([1, 1].count, (1,), 2)],
)
def test_what_is_built_in_can_be_memorised(memory, function, arguments, expected):
    for _ in range(2):
        assert memory.cache(function)(*arguments) == expected
    assert memory.cache(function).check_call_in_cache(*arguments)


def test_a_value_that_answers_oddly_is_returned_all_the_same(memory):
    assert memory.cache(odd)(1).anything(2) == 2


class Odd:
    nbytes = None

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda x: x


def odd(n):
    return Odd()


def test_compression_without_a_meaning_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match="nope"):
        Memory(tmp_path, compress="nope")
    monkeypatch.setenv("CACHESTORE_COMPRESS", "zzz")
    with pytest.raises(SettingsError, match="zzz"):
        cachestore.open(tmp_path)


def test_coroutine_functions_are_awaited_then_stored(memory):
    import asyncio

    calls = []

    @memory.cache
    async def fetch(x):
        calls.append(x)
        await asyncio.sleep(0)
        return x + 1

    async def twice():
        shelved = await fetch.call_and_shelve(1)
        return await fetch(1), await fetch(1), shelved.get(), (await fetch.call(1))[0]

    assert asyncio.run(twice()) == (2, 2, 2, 2)
    assert len(calls) == 2
    assert asyncio.run(Memory(None).cache(fetch).call_and_shelve(1)).get() == 2


def test_what_a_result_was_made_from_is_known(memory):
    @memory.cache
    def raw(n):
        return list(range(n))

    @memory.cache
    def total(n):
        return sum(raw(n))

    shelved = total.call_and_shelve(4)
    assert shelved.parents == (raw.call_and_shelve(4).key,)
    assert raw.call_and_shelve(4).parents == ()


def test_lineage_is_of_what_a_call_used_itself(memory):
    """Not of what its parents were made from; shelved or loaded, computed just now or before."""

    @memory.cache
    def raw(n):
        return n

    @memory.cache
    def middle(n):
        return raw.call_and_shelve(n).get() + 1

    @memory.cache
    def total(n):
        return middle(n) + 1

    assert total.call_and_shelve(1).parents == (middle.call_and_shelve(1).key,)
    raw(2)
    assert middle.call_and_shelve(2).parents == (raw.call_and_shelve(2).key,)


# ---- keeping it small


def test_clear_of_a_function_leaves_the_others(memory):
    first, _ = counted()
    first = memory.cache(first)
    other = memory.cache(abs_of)
    first(1), other(-1)
    first.clear()
    assert not first.check_call_in_cache(1)
    assert other.check_call_in_cache(-1)


def test_clear_empties_the_cache(memory):
    memory.eval(abs_of, -1)
    memory.clear(warn=False)
    assert not memory.cache(abs_of).check_call_in_cache(-1)
    assert memory.eval(abs_of, -1) == 1


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"items_limit": 2}, 2),
        ({"bytes_limit": 0}, 0),
        ({"bytes_limit": "1G"}, 5),
        ({"age_limit": timedelta(0)}, 0),
        ({"age_limit": timedelta(days=1)}, 5),
        ({}, 5),
    ],
)
def test_reduce_size_keeps_what_was_used_last(memory, limits, left):
    stored = memory.cache(abs_of)
    for x in range(5):
        stored(x)
    memory.reduce_size(**limits)
    assert [stored.check_call_in_cache(x) for x in range(5)] == [x >= 5 - left for x in range(5)]


def test_limits_without_a_meaning_are_refused(memory):
    with pytest.raises(SettingsError, match="lots"):
        memory.reduce_size(bytes_limit="lots")
    with pytest.raises(ValueError, match="negative"):
        memory.reduce_size(age_limit=timedelta(-1))
    with pytest.raises(SettingsError, match=r"datetime\.timedelta"):
        memory.reduce_size(age_limit=30)


# ---- as an object


def test_a_memory_can_be_pickled_without_secrets(tmp_path):
    memory = Memory(
        tmp_path, verbose=0, backend_options={"storage_options": {"secret": "hunter2", "anon": True}}
    )
    memorised = memory.cache(abs_of)
    pickled = pickle.dumps((memory, memorised))
    assert b"hunter2" not in pickled
    again, function = pickle.loads(pickled)
    assert again.store_backend.location == memory.store_backend.location
    assert function(-1) == 1
    assert memorised.check_call_in_cache(-1)


def test_a_memory_that_stores_nothing_holds_no_secret_either():
    memory = Memory(None, backend_options={"storage_options": {"secret": "hunter2"}})
    assert b"hunter2" not in pickle.dumps(memory)


def test_as_an_argument_it_is_a_constant(tmp_path):
    one, other = Memory(tmp_path / "one", verbose=0), Memory(tmp_path / "other", verbose=1)
    assert digest(one) == digest(other)
    assert joblib.hash(one) == joblib.hash(pickle.loads(pickle.dumps(one)))


@pytest.mark.parametrize("verbose", [0, 1, 2, 5, 10])
def test_verbose_prints_what_joblib_prints(tmp_path, capsys, verbose):
    printed = []
    for kind, location in ((joblib.Memory, tmp_path / "theirs"), (Memory, tmp_path / "ours")):
        function = kind(location, verbose=verbose).cache(abs_of)
        function(-1), function(-1), function.call_and_shelve(-2).get()
        printed.append(without_times_and_places(capsys.readouterr().out))
    assert printed[0] == printed[1]
    assert ("abs_of(-1)" in printed[1]) == (verbose > 0)
    assert ("Loading abs_of" in printed[1]) == (verbose > 1)


def without_times_and_places(text):
    text = re.sub(r"_*abs_of (cache loaded )?- [\d.]+s, [\d.]+min", r"abs_of \1", text)
    text = re.sub(r"\[Memory\][\d.]+s, [\d.]+min *:", "[Memory]:", text)
    return re.sub(r" from .*", " from somewhere", text.replace("abs_of(x=-2)", "abs_of"))


def test_much_verbosity_is_logged_as_with_joblib(tmp_path, caplog):
    function = Memory(tmp_path, verbose=11).cache(abs_of)
    with caplog.at_level("INFO", logger="cachestore.memory"):
        function(-1), function(-1)
        assert caplog.text.count("Computing") == 1
        assert "Querying" not in caplog.text
        function = Memory(tmp_path, verbose=20).cache(abs_of)
        function(-1), function.call_and_shelve(-1), function.check_call_in_cache(-1)
        assert caplog.text.count("Querying abs_of(-1)") == 2


def test_clearing_is_logged_as_with_joblib(tmp_path, caplog):
    memory = Memory(tmp_path, verbose=1)
    memory.cache(abs_of, verbose=0).clear()
    memory.cache(abs_of).clear(warn=False)
    memory.clear(warn=False)
    assert not caplog.text
    memory.cache(abs_of).clear()
    assert f"[MemorizedFunc(func={abs_of}, location={tmp_path})]: Clearing the results of" in caplog.text
    memory.clear()
    assert f"[Memory(location={tmp_path})]: Cleared" in caplog.text


def test_an_entry_that_cannot_be_read_is_logged_and_computed_anew(memory, caplog):
    function = memory.cache(abs_of)
    function(-1)
    (blob,) = (path for path in Path(memory.location, "blobs").rglob("*") if path.is_file())
    blob.write_bytes(b"garbage")
    with pytest.warns(CachestoreWarning, match="computed again"):
        assert function(-1) == 1
    assert "Exception while loading results" in caplog.text
    caplog.clear()
    assert function(-1) == 1
    assert not caplog.text


def test_what_the_policy_forbids_is_not_logged_at_each_call(tmp_path, caplog, monkeypatch):
    Memory(tmp_path, verbose=0).cache(odd)(1)
    monkeypatch.setenv("CACHESTORE_LOAD_POLICY", "data")
    with pytest.warns(CachestoreWarning, match="load_policy|pickles"):
        Memory(tmp_path, verbose=0).cache(odd)(1)
    assert "Exception" not in caplog.text


def test_scikit_learn_takes_it_for_a_pipeline(memory):
    from sklearn.base import clone
    from sklearn.datasets import load_iris
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), SVC(), memory=memory)
    expected = make_pipeline(StandardScaler(), SVC()).fit(X, y).predict(X)
    for _ in range(2):
        np.testing.assert_array_equal(clone(pipeline).fit(X, y).predict(X), expected)
    cache = memory.store_backend
    cache.merge_uses()
    statistics = cache.index.statistics()
    assert (statistics.entries, statistics.hits) == (1, 1)


# ---- cachestore.open()


def test_errors_of_a_call_name_what_was_called():
    with pytest.raises(TypeError, match=r"^cachestore\.open\(\) got an unexpected keyword argument 'nearr'"):
        cachestore.open(nearr="x")


def test_open_takes_the_settings_next_to_the_calling_module(tmp_path, monkeypatch):
    project = tmp_path / "project"
    project.mkdir()
    (project / "cachestore.toml").write_text('location = "shared"\n')
    (project / "calling.py").write_text("import cachestore\ncache = cachestore.open()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(project))
    import calling

    assert calling.cache.store_backend.location == str(project / "shared")
    assert cachestore.open().store_backend.location == str(tmp_path / ".cachestore")


def test_open_takes_a_location_in_place_of_the_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("CACHESTORE_INDEX", str(tmp_path / "team.sqlite"))
    monkeypatch.setenv("CACHESTORE_LOCATION", str(tmp_path / "team"))
    assert cachestore.open().store_backend.settings.index == str(tmp_path / "team.sqlite")
    other = cachestore.open(Path(tmp_path / "other"))
    assert other.store_backend.location == str(tmp_path / "other")
    # The team's index belongs to the team's store.
    assert other.store_backend.settings.index is None


def test_the_environment_has_no_say_where_a_place_was_named_in_code(tmp_path, monkeypatch):
    monkeypatch.setenv("CACHESTORE_LOCATION", str(tmp_path / "team"))
    monkeypatch.setenv("CACHESTORE_USER", "ana")
    memory = Memory(tmp_path / "mine", verbose=0)
    assert memory.store_backend.location == str(tmp_path / "mine")
    assert memory.store_backend.user == "ana"


def test_no_warning_in_everyday_use(memory):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert memory.cache(abs_of)(-1) == memory.cache(abs_of)(-1) == 1


# ---- what the author says, and whose code it is


def test_a_function_that_changes_its_argument_is_found(tmp_path):
    memory = Memory(tmp_path, verbose=0)

    def grow(values, by):
        values.append(by)
        return len(values)

    careless = memory.cache(grow)
    careless([1], 2)
    assert careless.check_call_in_cache([1], 2)
    careful = memory.cache(grow, check_arguments=True)
    with pytest.warns(CachestoreWarning, match=r"grow changed its argument 'values' in place"):
        assert careful([1, 2], 3) == 3
    assert not careful.check_call_in_cache([1, 2], 3)


@pytest.mark.parametrize(
    ("option", "variable", "checked"),
    [([], {}, False), (["-X", "dev"], {}, True), ([], {"CACHESTORE_CHECK_ARGUMENTS": "true"}, True)],
)
def test_arguments_are_checked_in_development_or_where_a_setting_says_so(tmp_path, option, variable, checked):
    (tmp_path / "grow.py").write_text(
        "import warnings\nwarnings.simplefilter('ignore')\nimport cachestore\n"
        "grow = cachestore.open().cache(lambda values: values.append(1))\n"
        "grow([1])\nprint(grow.check_call_in_cache([1]))\n"
    )
    ran = run_python(tmp_path, *option, "grow.py", **variable)
    assert ran.strip() == str(not checked)


def test_a_function_pickled_by_value_keeps_its_version_where_its_source_is_another(tmp_path):
    (tmp_path / "script.py").write_text(
        "import cachestore, cloudpickle, pathlib\n"
        "@cachestore.open().cache\n"
        "def double(x): return 2 * x\n"
        "double(3)\n"
        "pathlib.Path('double.pkl').write_bytes(cloudpickle.dumps(double))\n"
    )
    run_python(tmp_path, "script.py")
    (tmp_path / "script.py").write_text("def double(x): return 'another'\n" * 3)
    said = run_python(
        tmp_path,
        "-c",
        "import pathlib, pickle; double = pickle.loads(pathlib.Path('double.pkl').read_bytes())\n"
        "print(double.check_call_in_cache(3), double.check_call_in_cache(4))",
    )
    assert said.split() == ["True", "False"]


def test_a_spawned_process_knows_the_functions_of_its_script(tmp_path):
    (tmp_path / "script.py").write_text(
        "import multiprocessing, cachestore\n"
        "@cachestore.open().cache\n"
        "def double(x): return 2 * x\n"
        "def is_known(x): return double.check_call_in_cache(x)\n"
        "if __name__ == '__main__':\n"
        "    double(3)\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(is_known, [3, 4]))\n"
    )
    assert run_python(tmp_path, "script.py").strip() == "[True, False]"


def test_settings_say_whose_code_and_which_versions_count(tmp_path):
    """A wheel of the team's own index counts by its source, and a package by its exact version, where that is set."""
    for package in ("acme", "numbers_"):
        (tmp_path / "site-packages" / package).mkdir(parents=True)
        installed = tmp_path / "site-packages" / f"{package}-1.0.0.dist-info"
        installed.mkdir()
        (installed / "RECORD").write_text(f"{package}/__init__.py,,\n")
    work = tmp_path / "work.py"
    work.write_text(
        "import sys; sys.path.insert(0, 'site-packages')\n"
        "import acme, numbers_, cachestore\n"
        "f = cachestore.open().cache(lambda x: acme.half(numbers_.one(x)))\n"
        "print(f.check_call_in_cache(3)); f(3)\n"
    )

    def is_known(half, version, settings):
        (tmp_path / "site-packages/acme/__init__.py").write_text(f"def half(x): return {half}\n")
        (tmp_path / "site-packages/numbers_/__init__.py").write_text(
            f"__version__ = '{version}'\ndef one(x): return x\n"
        )
        (tmp_path / "cachestore.toml").write_text(settings)
        return run_python(tmp_path, "work.py").strip() == "True"

    own = "first_party = ['acm*']\n"
    exact = "package_versions = {default = 'ignore', numbers_ = 'exact'}\n"
    assert [
        is_known("x / 2", "1.0.0", ""),
        is_known("x // 2", "1.0.1", ""),  # an installed package of the same minor version
        is_known("x / 2", "1.0.0", own),
        is_known("x / 2  # the same", "1.0.0", own),
        is_known("x // 2", "1.0.0", own),
        is_known("x / 2", "1.0.0", exact),
        is_known("x // 2", "1.0.0", exact),
        is_known("x / 2", "1.0.1", exact),
        is_known("x / 2", "2.0.0", "package_versions = 'ignore'\n"),
        is_known("x / 2", "3.0.0", "package_versions = 'ignore'\n"),
    ] == [False, True, False, True, False, False, True, False, False, True]


def run_python(folder, *arguments, **environment):
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_attributes_of_a_function_do_not_hide_those_of_the_memorised_one(tmp_path):
    double, _ = counted()
    double.declared = double.func = double.ignore = "the function's own"
    memorised = Memory(tmp_path, verbose=0).cache(double)
    assert memorised(2) == 4
    assert memorised.func is double


def test_a_hit_reads_no_source_again(tmp_path, monkeypatch):
    double = Memory(tmp_path, verbose=0).cache(run_python)  # any function of a file
    double.call_key(tmp_path)

    def fail(*_):
        raise AssertionError("a source was looked for")

    monkeypatch.setattr("cachestore.keys.source_file.linecache.checkcache", fail)
    monkeypatch.setattr("cachestore.keys.source_file.linecache.getlines", fail)
    double.call_key(tmp_path)


def test_a_copied_memorised_function_sees_what_changes(tmp_path):
    import copy

    memorised = Memory(tmp_path, verbose=0).cache(counted()[0])
    assert copy.deepcopy(memorised) is copy.copy(memorised) is memorised


def test_a_working_directory_that_was_removed_is_no_trouble_elsewhere(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert Memory(tmp_path / "store", verbose=0).cache(len)("four") == 4
    for relative in (lambda: Memory("store", verbose=0), cachestore.open):
        with pytest.raises(SettingsError, match="the working directory was removed"):
            relative()


def test_a_reference_to_what_may_not_be_loaded_holds_the_value(tmp_path):
    memory = Memory.over(open_cache(Settings(location=str(tmp_path), load_policy="data")))
    double, calls = counted()
    call = memory.cache(double).call_and_shelve
    with pytest.warns(CachestoreWarning, match="load_policy"):
        references = [call(1j), call(1j)]
    assert len(calls) == 2
    for reference in references:
        assert isinstance(reference, NotMemorizedResult)
        assert reference.get() == 2j
    assert call(2).get() == call(2).get() == 4
    assert len(calls) == 3
    assert Memory(tmp_path, verbose=0).cache(double).check_call_in_cache(1j)
