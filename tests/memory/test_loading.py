"""What calls give beside values in memory: mapped files, as joblib's, and arrays that stay in the store."""

import pickle

import joblib
import numpy
import pytest

import cachestore
from cachestore import LazyArray, Memory
from cachestore.cache import open_cache
from cachestore.errors import BlobError, CachestoreWarning, ObjectNotFound


def table(rows):
    return numpy.arange(rows * 4.0).reshape(rows, 4)


def two_tables(rows):
    return [table(rows), {"more": table(rows)}]


async def table_later(rows):
    return table(rows)


def total(array):
    return float(numpy.asarray(array).sum())


def part(array):
    return array[10:20]


def same(array):
    return array


@pytest.fixture
def memory(tmp_path):
    return Memory(tmp_path / "ours", verbose=0)


# ---- mmap_mode


@pytest.mark.parametrize("mode", ["r", "c", "r+", None])
@pytest.mark.filterwarnings("ignore:mmap_mode='r.'")
def test_first_and_later_calls_are_as_with_joblib(tmp_path, mode):
    ours = Memory(tmp_path / "ours", verbose=0, mmap_mode=mode).cache(table)
    theirs = joblib.Memory(tmp_path / "theirs", verbose=0, mmap_mode=mode).cache(table)
    for _ in range(3):
        mine, his = ours(5000), theirs(5000)
        assert type(mine) is type(his)
        assert mine.flags.writeable == his.flags.writeable
        numpy.testing.assert_array_equal(mine, his)
    mine, his = ours.call_and_shelve(5000).get(), theirs.call_and_shelve(5000).get()
    assert type(mine) is type(his)
    assert type(ours.call(5000)[0]) is type(theirs.call(5000)[0])


def test_the_mode_of_one_function(memory):
    assert type(memory.cache(table, mmap_mode="r")(3000)) is numpy.memmap
    assert type(memory.cache(mmap_mode="r")(table)(3000)) is numpy.memmap
    assert type(memory.cache(table)(3000)) is numpy.ndarray
    memory.mmap_mode = "r"
    assert type(memory.cache(table)(3000)) is numpy.memmap
    assert type(memory.cache(table, mmap_mode=None)(3000)) is numpy.ndarray


def test_results_are_stored_raw_for_it(memory, tmp_path):
    memory.cache(table, mmap_mode="r")(100_000)
    assert max(file.stat().st_size for file in tmp_path.rglob("blobs/*/*")) > 3_200_000


def test_a_mapped_result_is_the_argument_that_its_array_is(memory):
    mapped = memory.cache(table, mmap_mode="r")(30_000)
    assert memory.cache(total).call_key(mapped).key == memory.cache(total).call_key(table(30_000)).key


def test_the_pickle_of_a_function_keeps_its_mode(memory):
    again = pickle.loads(pickle.dumps(memory.cache(table, mmap_mode="r")))
    assert type(again(3000)) is numpy.memmap
    assert type(pickle.loads(pickle.dumps(again.call_and_shelve(3000))).get()) is numpy.memmap


# ---- lazy


@pytest.fixture
def lazily(memory):
    return memory.cache(table, lazy=True)


def test_first_and_later_calls_are_lazy(memory, lazily):
    for _ in range(2):
        lazy = lazily(5000)
        assert type(lazy) is LazyArray
        assert lazy[-1].tolist() == [19996, 19997, 19998, 19999]
    assert type(memory.cache(lazy=True)(table)(5000)) is LazyArray
    assert type(lazily.call(5000)[0]) is LazyArray
    assert type(pickle.loads(pickle.dumps(lazily))(5000)) is LazyArray


async def awaited(function, *args):
    return await function(*args)


def test_coroutine_functions_too(memory):
    import asyncio

    for _ in range(2):
        assert type(asyncio.run(awaited(memory.cache(table_later, lazy=True), 50))) is LazyArray
        assert type(asyncio.run(awaited(memory.cache(table_later, mmap_mode="c"), 50))) is numpy.memmap


def test_what_is_no_array_comes_as_it_is(memory):
    for _ in range(2):
        assert type(memory.cache(two_tables, lazy=True)(10)) is list


def test_the_array_of_a_reference(memory):
    result = memory.cache(table).call_and_shelve(5000)
    assert result.array[7].tolist() == [28, 29, 30, 31]
    assert type(pickle.loads(pickle.dumps(result)).array) is LazyArray
    with pytest.raises(BlobError, match=r"a list. Load it with get\(\)"):
        memory.cache(two_tables).call_and_shelve(5).array
    result.clear()
    with pytest.raises(KeyError, match="Call the function again"):
        result.array


def test_the_array_of_a_result_that_is_not_stored():
    memory = Memory(None, verbose=0)
    assert memory.cache(table).call_and_shelve(5).array.shape == (5, 4)
    with pytest.raises(BlobError, match="a list"):
        memory.cache(two_tables).call_and_shelve(5).array


def test_as_an_argument_it_makes_the_key_of_its_array_and_is_a_parent(memory, lazily):
    lazy = lazily(50_000)
    summed = memory.cache(total)
    assert summed.call_key(lazy).key == summed.call_key(table(50_000)).key
    result = summed.call_and_shelve(lazy)
    assert result.parents == (lazy.key,)
    assert result.get() == table(50_000).sum()
    metadata, _ = memory.store_backend.read_metadata(result.key)
    assert [(parent.key, parent.value_digest) for parent in metadata.parents] == [
        (lazy.key, cachestore.digest(table(50_000)))
    ]


def test_a_result_that_is_lazy_is_stored_as_its_array(memory, lazily):
    returned = memory.cache(same)
    lazy = lazily(50_000)
    assert returned(lazy) is lazy
    memory.store_backend.drop([lazy.key])
    numpy.testing.assert_array_equal(returned(table(50_000)), table(50_000))


def test_a_result_that_is_lazy_and_gone_is_not_stored(memory, lazily):
    lazy = lazily(50_000)
    pickled = pickle.dumps(lazy)
    memory.store_backend.drop([lazy.key])
    from cachestore.cache import lazy_array

    lazy_array._recent.clear()
    with pytest.warns(CachestoreWarning, match="is not stored"):
        memory.cache(same)(pickle.loads(pickled))


def test_a_slice_inside_of_a_call_whose_entry_has_gone_is_an_error(memory, lazily):
    lazy = lazily(50_000)
    memory.store_backend.drop([lazy.key])
    from cachestore.cache import lazy_array

    lazy_array._recent.clear()
    with pytest.raises(ObjectNotFound, match="Call the function again"):
        memory.cache(part)(lazy)
    numpy.testing.assert_array_equal(memory.cache(part)(lazily(50_000)), table(50_000)[10:20])


def test_workers_take_it(memory, lazily):
    lazy = lazily(50_000)
    with memory.parallel("loky", n_jobs=2):
        got = joblib.Parallel()(joblib.delayed(memory.cache(part))(lazy) for _ in range(2))
    numpy.testing.assert_array_equal(got[0], table(50_000)[10:20])


def test_where_nothing_can_be_stored_the_array_comes_itself(memory, tmp_path, monkeypatch):
    from cachestore.errors import StorageError

    def ill(*_):
        raise StorageError("The disk is full.")

    monkeypatch.setattr(memory.store_backend.store, "put", ill)
    with pytest.warns(CachestoreWarning, match="The disk is full"):
        assert type(memory.cache(table, lazy=True)(5)) is numpy.ndarray
    assert open_cache(memory.store_backend.settings) is memory.store_backend
