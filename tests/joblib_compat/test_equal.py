"""What joblib's tests of its inside are about, asked of ours: one test for each in the table of `test_memory`."""

import pickle
import time
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, delayed

from cachestore import MemorizedResult, Memory, NotMemorizedFunc
from cachestore.cache import gc
from cachestore.cache.eviction import Limits
from cachestore.index import Selection
from tests.joblib_compat import test_memory

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def memory(tmp_path):
    return Memory(str(tmp_path), verbose=0)


def entries(memory):
    memory.store_backend.merge_uses()
    return memory.store_backend.index.select(Selection())


def f(x, y=1):
    return x**2 + y


def test_each_test_of_the_inside_has_an_equal_here():
    ours = {name for name in globals() if name.startswith("test_")}
    for theirs in test_memory.INSIDE:
        assert theirs.rpartition(".")[2] in ours


@pytest.mark.parametrize("call_before_reducing", [True, False])
def test_parallel_call_cached_function_defined_in_jupyter(memory, tmp_path, call_before_reducing):
    for session in range(2):
        namespace = {"witness": str(tmp_path / "witness")}
        source = "def f(x):\n    open(witness, 'a').write('x')\n    return x\n"
        exec(compile(source, f"<ipython-input-{session}-000000000000>", "exec"), namespace)
        function = namespace["f"]
        function.__module__ = "__main__"
        memorised = memory.cache(function, ignore_globals=["witness"])
        if session == 0 and call_before_reducing:
            memorised(3)
        assert Parallel(n_jobs=2)(delayed(memorised)(x) for x in (1, 2)) == [1, 2]
        assert memorised(3) == 3
        assert len(entries(memory)) == 3
    assert (tmp_path / "witness").read_text() == "xxx"


@pytest.mark.filterwarnings("error")
def test_memory_name_collision(memory):
    def first():
        @memory.cache
        def same(x):
            return x

        return same

    def second():
        @memory.cache
        def same(x):
            return -x

        return same

    second().func.__qualname__ = first().func.__qualname__
    for _ in range(2):
        assert (first()(1), second()(1)) == (1, -1)


@pytest.mark.filterwarnings("error")
def test_memory_warning_lambda_collisions(memory):
    a, b = memory.cache(lambda x: x), memory.cache(lambda x: x + 1)
    assert [a(0), b(1), a(1), b(0)] == [0, 2, 1, 1]
    assert a.check_call_in_cache(0)  # the other one did not wipe it
    assert b.check_call_in_cache(0)


@pytest.mark.filterwarnings("error")
def test_memory_warning_collision_detection(memory):
    a, b = memory.cache(eval("lambda x: x")), memory.cache(eval("lambda x: x + 1"))
    assert [a(1), b(1), a(0), b(0)] == [1, 2, 0, 1]
    assert a.check_call_in_cache(1)


@pytest.mark.filterwarnings("error")
def test_memory_in_memory_function_code_change(memory):
    def changed(a, b):
        pass

    def plus(a, b):
        return a + b

    def times(a, b):
        return a * b

    memorised = memory.cache(changed)
    for code, expected in ((plus, 3), (times, 2), (plus, 3)):
        changed.__code__ = code.__code__
        assert memorised(1, 2) == memorised(1, 2) == expected
    assert len(entries(memory)) == 2


def test_memorized_result_forwards_mmap_mode(memory):
    shelved = memory.cache(np.ones).call_and_shelve(3)
    mapped = MemorizedResult(
        shelved.store_backend.location, (shelved.func_id, shelved.args_id), mmap_mode="r"
    )
    assert mapped.mmap_mode == "r"
    assert isinstance(mapped.get(), np.memmap)
    assert not isinstance(shelved.get(), np.memmap)


def test_func_dir(memory):
    memorised = memory.cache(f)
    assert memorised.func_id == f"{__name__}.f"
    assert memorised.func_code_info == (
        "def f(x, y=1):\n    return x**2 + y\n",
        __file__,
        f.__code__.co_firstlineno,
    )
    assert memory.location == str(Path(memorised.store_backend.location).parent)
    assert memorised(1) == 2
    (blob,) = (path for path in Path(memory.store_backend.location, "blobs").rglob("*") if path.is_file())
    blob.unlink()
    assert memorised(1) == 2


def test_persistence(memory):
    memorised = memory.cache(f)
    output = memorised(1)
    again = pickle.loads(pickle.dumps(memorised))
    assert again.check_call_in_cache(1)
    assert MemorizedResult(again.store_backend, (again.func_id, again.call_key(1).key)).get() == output
    assert pickle.loads(pickle.dumps(memory)).store_backend.location == memory.store_backend.location
    nothing = pickle.loads(pickle.dumps(Memory(location=None, verbose=0).cache(f)))
    assert isinstance(nothing, NotMemorizedFunc)
    assert nothing(1) == output


class Loud:
    """Says when it is loaded."""

    loaded: list[str] = []  # noqa: RUF012 - one for all

    def __setstate__(self, state):
        self.loaded.append("loaded")

    def __getstate__(self):
        return {"some": "thing"}


def loud():
    return Loud()


def test_call_and_shelve_lazily_load_stored_result(memory):
    memorised = memory.cache(loud)
    memorised()
    Loud.loaded.clear()
    shelved = memorised.call_and_shelve()
    assert isinstance(shelved, MemorizedResult)
    assert not Loud.loaded
    shelved.get()
    assert Loud.loaded


def toy(memory, times=10):
    memorised = memory.cache(f)
    for x in range(times):
        memorised(x)
    return memorised


def test__get_items(memory):
    toy(memory)
    blobs = [path for path in Path(memory.store_backend.location, "blobs").rglob("*") if path.is_file()]
    assert {entry.key: entry.stored_size for entry in entries(memory)} == {
        path.name: path.stat().st_size for path in blobs
    }
    now = time.time()
    assert all(abs(entry.last_used_at.timestamp() - now) < 60 for entry in entries(memory))


def test__get_items_to_delete(memory):
    def going(limit):
        return {each.entry.key for each in gc.plan(memory.store_backend, Limits(max_size=limit)).evictions}

    assert going(0) == set()
    toy(memory)
    items = {entry.key: entry for entry in entries(memory)}
    size = max(entry.stored_size for entry in items.values())
    assert len(going(size)) == len(items) - 1
    assert going(2**20) == set()
    assert going(size - 100) == set(items)
    some = going(6000)
    assert some
    assert max(items[key].last_used_at for key in some) <= min(
        items[key].last_used_at for key in items.keys() - some
    )


def test_memory_clear(memory):
    memorised = toy(memory)
    memory.clear()
    assert entries(memory) == []
    assert not [path for path in Path(memory.store_backend.location, "blobs").rglob("*") if path.is_file()]
    assert not memorised.check_call_in_cache(1)
    assert memorised(1) == 2


def test_memory_creates_gitignore(tmp_path):
    Memory(tmp_path, verbose=0).cache(f)(0)
    assert (tmp_path / ".gitignore").read_text() == "*\n"
