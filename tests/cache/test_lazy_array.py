"""Arrays that stay in the store: the right items, few bytes, and never a wrong number."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from datetime import UTC, datetime

import dask.array
import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import cachestore
from cachestore.cache import lazy_array, open_cache
from cachestore.cache.lazy_array import LazyArray, load_lazily
from cachestore.errors import BlobError, CorruptBlob, ObjectNotFound, StorageError
from cachestore.settings import Settings
from cachestore.storage import blob_path
from cachestore.storage.stored_object import RangedObject
from tests.cache.conftest import call_of

RANDOM = numpy.random.default_rng(0)


class RangedStore:
    """Answers ranges of another store, as a server would, and notes what it sent."""

    def __init__(self, inner):
        self.inner = inner
        self.sent = []
        self.threads = set()
        self.distrusted = []

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def open(self, path):
        return RangedObject(self, path)

    def get_suffix(self, path, length):
        return self._noted(self.inner.get_suffix(path, length))

    def get_range(self, path, start, stop):
        return self._noted(self.inner.get_range(path, start, stop))

    def distrust(self, path):
        self.distrusted.append(path)

    def _noted(self, data):
        self.sent.append(len(data))
        self.threads.add(threading.get_ident())
        return data


@pytest.fixture
def ranged(cache):
    cache.store = RangedStore(cache.store)
    return cache.store


@pytest.fixture
def stored(cache):
    """Store an array, and return it as a lazy one that has nothing open."""

    def store(array, number=0, into=cache, **settings):
        call = call_of(number)
        assert into.put(call, array, started_at=datetime.now(UTC), seconds=1.0, **settings)
        found = into.take(call.key, lambda reader: load_lazily(into, reader))
        lazy_array._recent.clear()
        return found.value

    return store


@st.composite
def arrays_and_indices(draw):
    shape = draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=40))
    dtype = draw(st.sampled_from(["u1", ">i4", "f8", "M8[s]", "U3", [("a", "i2"), ("b", "f8")]]))
    array = numpy.zeros(shape, dtype)
    array.reshape(-1).view("u1" if array.size else array.dtype)[...] = (
        RANDOM.integers(48, 57, array.nbytes, "u1") if array.dtype.kind not in "U" and array.size else 0
    )
    if draw(st.booleans()):
        array = numpy.asfortranarray(array)
    return array, draw(npst.basic_indices(shape, max_dims=6, allow_newaxis=True, allow_ellipsis=True))


@given(arrays_and_indices(), st.sampled_from([100, 2**26]))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_slice_is_that_of_numpy(cache, given, most):
    array, index = given
    call = call_of(0)
    cache.put(call, array, started_at=datetime.now(UTC), seconds=1.0)
    lazy = cache.take(call.key, lambda reader: load_lazily(cache, reader)).value
    assert (lazy.shape, lazy.dtype, lazy.ndim, lazy.size, lazy.nbytes) == (
        array.shape, array.dtype, array.ndim, array.size, array.nbytes,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lazy_array, "_MOST_AT_ONCE", most)
        mine, theirs = lazy[index], array[index]
    assert type(mine) is type(theirs)
    assert numpy.shape(mine) == numpy.shape(theirs)
    assert mine.dtype == theirs.dtype
    assert mine.tobytes() == theirs.tobytes()
    if isinstance(mine, numpy.ndarray):
        assert mine.flags.writeable


@pytest.mark.parametrize("compress", [False, ("lz4", 1)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_chunks_are_put_together_across_their_borders(tmp_path, stored, compress, order):
    cache = open_cache(Settings(location=str(tmp_path / "other"), compress=compress))
    array = numpy.asarray(RANDOM.integers(0, 1000, (701, 997)), order=order).astype("f8", order="K")
    lazy = stored(array, into=cache)
    assert len(cache.open_blob(lazy.key).table.frames[0].chunks) > 5
    for index in [
        slice(None), slice(100, 300), slice(None, None, -7), (..., 3), (5, slice(2, 900, 3)),
        (slice(300, 302), None, 4), (slice(None, None, 100), slice(None, None, 100)),
    ]:  # fmt: skip
        numpy.testing.assert_array_equal(lazy[index], array[index])
    numpy.testing.assert_array_equal(numpy.asarray(lazy), array)


@pytest.mark.parametrize(
    "index", [[3, 1], ([1, 2], slice(3)), numpy.arange(4) > 1, (0, numpy.array([2, 2])), True, numpy.int8(2)]
)
def test_other_indices_are_those_of_numpy_too(stored, index):
    array = numpy.arange(20.0).reshape(4, 5)
    numpy.testing.assert_array_equal(stored(array)[index], array[index])


def test_names_of_fields(stored):
    array = numpy.zeros(5, [("a", "i4"), ("b", "f8")])
    array["b"] = range(5)
    assert stored(array)["b"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("index", [4, (0, 5), (0, 0, 0), [9], 1.5, "name", (slice(None), [7])])
def test_what_numpy_refuses_is_refused_before_anything_is_fetched(stored, ranged, index):
    array = numpy.zeros((4, 5))
    lazy = stored(array)
    ranged.sent.clear()
    with pytest.raises(IndexError):
        array[index]
    with pytest.raises(IndexError):
        lazy[index]
    assert not ranged.sent


def test_a_slice_of_a_large_array_moves_few_bytes_in_few_requests_at_once(stored, ranged):
    array = RANDOM.integers(0, 2**63, (32, 2**20))  # 256 MiB, rows of 8 MiB
    lazy = stored(array)
    ranged.sent.clear()
    numpy.testing.assert_array_equal(lazy[17], array[17])
    assert sum(ranged.sent) < 0.05 * array.nbytes
    assert len(ranged.sent) <= 5
    ranged.sent.clear()
    numpy.testing.assert_array_equal(lazy[3:29:8, 1000:2000], array[3:29:8, 1000:2000])
    assert len(ranged.sent) == 4  # one chunk for each row; what the blob is made of is known
    assert sum(ranged.sent) <= 4 * 2**20
    assert len(ranged.threads) > 1
    ranged.sent.clear()
    numpy.testing.assert_array_equal(lazy[:, 5], array[:, 5])
    assert sum(ranged.sent) <= 32 * 2**20


def test_chunks_in_between_are_not_fetched(stored, ranged):
    array = RANDOM.integers(0, 2**63, (9, 2**17))  # a row is a chunk
    lazy = stored(array)
    lazy[0]
    ranged.sent.clear()
    numpy.testing.assert_array_equal(lazy[1:7:2], array[1:7:2])
    assert ranged.sent == 3 * [2**20]
    ranged.sent.clear()
    numpy.testing.assert_array_equal(lazy[1:4], array[1:4])
    assert ranged.sent == [3 * 2**20]


def test_a_slice_keeps_no_more_memory_than_it_has(stored):
    column = stored(RANDOM.random((1000, 100)))[:, 5]
    while column.base is not None:
        column = column.base
    assert column.nbytes <= 8000


def test_what_is_known_costs_no_request(stored, ranged):
    lazy = stored(numpy.zeros((1000, 100)))
    ranged.sent.clear()
    assert (len(lazy), lazy.shape, lazy.nbytes, lazy.chunks) == (1000, (1000, 100), 800_000, (1000, 100))
    assert repr(lazy) == (
        f"LazyArray(tests.cache.conftest.call_of, {lazy.key[:12]}, shape=(1000, 100), dtype=float64)"
    )
    assert "<td>(1000, 100)</td>" in lazy._repr_html_()
    cachestore.digest(lazy)
    assert not ranged.sent
    with pytest.raises(TypeError, match="unsized"):
        len(stored(numpy.array(1.0), 2))


def test_as_an_array(stored):
    array = numpy.arange(10)
    lazy = stored(array)
    assert numpy.asarray(lazy, "f4").dtype == "f4"
    assert (numpy.add(lazy, 1) == array + 1).all()
    assert [int(item) for item in lazy] == list(range(10))
    with pytest.raises(ValueError, match="copy=False"):
        numpy.array(lazy, copy=False)


@pytest.mark.parametrize("shape", [(3000, 500), (50, 3, 10_000), (4_000_000,), (0, 5), (2, 300_000)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_dask_takes_it(stored, shape, order):
    array = numpy.asarray(RANDOM.random(shape), order=order)
    lazy = stored(array)
    assert numpy.prod(lazy.chunks) * 8 <= 2**20
    taken = dask.array.from_array(lazy, chunks=lazy.chunks if 0 not in shape else -1)
    numpy.testing.assert_array_equal(taken.compute(), array)
    assert taken.name == dask.array.from_array(lazy, chunks=taken.chunks).name
    whole = dask.array.from_array(lazy)
    numpy.testing.assert_array_equal(whole[::2][:3].compute(), array[::2][:3])
    assert cachestore.digest(whole) == cachestore.digest(dask.array.from_array(lazy))


def test_its_pickle_is_a_reference_without_secrets(tmp_path, stored):
    cache = open_cache(
        Settings(location="memory://lazy-pickle", storage_options={"secret": "hunter2", "token": "hunter3"})
    )
    array = RANDOM.random((1000, 100))
    lazy = stored(array, into=cache)
    data = pickle.dumps(lazy)
    assert len(data) < 4000
    assert b"hunter" not in data
    again = pickle.loads(data)
    assert (again.shape, again.value_digest, again.key) == (lazy.shape, lazy.value_digest, lazy.key)
    assert cachestore.digest(again) == cachestore.digest(array)
    numpy.testing.assert_array_equal(again[5], array[5])


# ---- as an argument


@pytest.mark.parametrize("shape", [(), (0,), (7,), (1000, 3), (8192,), (8193,), (100, 1000)])
@pytest.mark.parametrize("dtype", ["f8", ">f8"])
def test_it_digests_as_its_array_wherever_it_stands(stored, shape, dtype):
    array = numpy.asarray(RANDOM.random(shape)).astype(dtype)
    for turned in (array, numpy.asfortranarray(array)):
        lazy = stored(turned)
        assert cachestore.digest(lazy) == cachestore.digest(turned)
        for wrap in (
            lambda x: [x, 1],
            lambda x: {"a": (x, x)},
            lambda x: [x] * 40,
            lambda x: [[x, 2.5]] * 50,
        ):
            assert cachestore.digest(wrap(lazy)) == cachestore.digest(wrap(turned))


def test_a_large_one_is_digested_without_a_request(stored, ranged):
    lazy = stored(RANDOM.random(10_000))
    ranged.sent.clear()
    assert cachestore.digest([lazy, {"x": lazy}])
    assert not ranged.sent


def test_an_encoding_that_is_not_that_of_the_value_is_not_believed(stored):
    array = RANDOM.random(10_000)
    lazy = stored(array)
    lazy._encoding = lazy._encoding[:-2] + ("00" if lazy._encoding[-2:] != "00" else "01")
    assert cachestore.digest(lazy) == cachestore.digest(array)


# ---- what may happen meanwhile


def test_an_entry_that_has_gone_says_so(cache, stored):
    lazy = stored(RANDOM.random((100, 1000)))
    cache.drop([lazy.key])
    with pytest.raises(ObjectNotFound, match="Call the function again"):
        lazy[3]
    assert lazy.shape == (100, 1000)


def test_an_open_local_file_outlives_its_name(cache, stored):
    array = RANDOM.random((100, 10_000))
    lazy = stored(array)
    lazy[3]
    cache.drop([lazy.key])
    numpy.testing.assert_array_equal(lazy[50], array[50])


@pytest.mark.parametrize("opened", [True, False])
def test_an_entry_that_was_put_again_goes_on(stored, ranged, opened):
    array = RANDOM.random((300, 1000))
    lazy = stored(array)
    if opened:
        lazy[3]
    stored(array, raw=True)
    numpy.testing.assert_array_equal(lazy[50], array[50])


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("shape", [(300, 1000), (30, 10)])
def test_an_entry_that_was_replaced_by_another_value_is_an_error(stored, ranged, opened, shape):
    lazy = stored(RANDOM.random(shape))
    if opened:
        lazy[3]
        opened_reader = lazy._reader()
    stored(RANDOM.random(shape))
    if not opened or lazy.nbytes > 10_000:
        with pytest.raises(BlobError, match="replaced by another value"):
            lazy[20]
    else:
        assert opened_reader  # a small one came whole, and is what it was
        lazy[20]


def test_a_damaged_chunk_is_never_a_number(cache, stored):
    array = numpy.arange(1_000_000.0)
    lazy = stored(array, raw=True)
    path = cache.store.directory() / blob_path(lazy.key)
    data = bytearray(path.read_bytes())
    first = cache.open_blob(lazy.key).table.frames[0].chunks[1]
    data[first.offset + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptBlob):
        lazy[140_000]
    with pytest.raises(CorruptBlob):
        numpy.asarray(lazy)
    assert lazy[0] == 0  # of another chunk
    assert lazy[-1] == 999_999


def test_damage_near_is_told_to_the_store_and_asked_again(stored, ranged):
    array = RANDOM.random((300, 1000))
    lazy = stored(array)
    lazy[0]
    right, wrong = ranged.inner.get_range, []

    def damaged(path, start, stop):
        data = right(path, start, stop)
        if wrong:
            return data
        wrong.append(path)
        return bytes([data[0] ^ 1]) + data[1:]

    ranged.inner.get_range = damaged
    numpy.testing.assert_array_equal(lazy[50], array[50])
    assert ranged.distrusted == wrong != []


def test_a_store_that_does_not_answer_is_an_error(stored, ranged):
    lazy = stored(RANDOM.random((300, 1000)))

    def ill(*_):
        raise StorageError("The store is ill.", transient=True)

    ranged.get_suffix = ill
    with pytest.raises(StorageError, match="ill"):
        lazy[0]


def test_few_files_stay_open(cache, stored, monkeypatch):
    arrays = [stored(numpy.full(20_000, number), number) for number in range(40)]
    assert [int(lazy[5]) for lazy in arrays] == list(range(40))
    assert len(lazy_array._recent) == 16
    assert sum(lazy._reader() is not None for lazy in arrays) <= 16


def test_what_is_no_array_is_loaded(cache, stored):
    for value in [[1, 2], "text", numpy.float64(3), {"a": numpy.zeros(20_000)}]:
        loaded = stored(value)
        assert type(loaded) is type(value)
        assert not isinstance(loaded, LazyArray)


def test_names_that_a_user_changes_are_those_of_one_answer_only(stored):
    array = numpy.zeros(100, [("a", [("b", "i4")]), ("c", "f8")])
    lazy = stored(array)
    for dtype in (lazy.dtype, lazy[:3].dtype, lazy[0].dtype):
        dtype["a"].names = ("changed",)
        dtype.names = ("other", "names")
    assert lazy.dtype == lazy[:3].dtype == array.dtype


def test_hits_of_lazy_arrays_keep_few_files_open(cache):
    call = call_of(0)
    assert cache.put(call, numpy.arange(1000.0), started_at=datetime.now(UTC), seconds=1.0)
    readers = weakref.WeakSet()

    def load(reader):
        readers.add(reader)
        return load_lazily(cache, reader)

    hits = [cache.take(call.key, load) for _ in range(40)]
    gc.collect()
    assert len(readers) == lazy_array._recent.maxlen
    assert {(hit.key, hit.seconds, hit.metadata.function) for hit in hits} == {
        (call.key, 1.0, hits[0].value.function)
    }
    assert (hits[0].value[5], hits[-1].value[5]) == (5.0, 5.0)
