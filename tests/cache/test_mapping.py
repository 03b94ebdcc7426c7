"""Results as files in memory: the blob's own file, checked once, never edited, alive while it is mapped."""

from __future__ import annotations

import hashlib
import os
import warnings
import weakref
from datetime import UTC, datetime

import numpy
import pytest
from sklearn.ensemble import RandomForestRegressor

from cachestore.blob import BlobReader, mapping
from cachestore.cache import Hit, Miss, open_cache
from cachestore.cache.mapping import load_mapped
from cachestore.errors import CachestoreWarning
from cachestore.settings import Settings
from cachestore.storage import LocalStore, blob_path
from cachestore.storage.opened_file import OpenedFile
from cachestore.storage.tiered_store import TieredStore
from tests.cache.conftest import call_of
from tests.storage.test_tiered_store import FarStore

RANDOM = numpy.random.default_rng(0)


@pytest.fixture(autouse=True)
def nothing_checked():
    mapping._checked.clear()


@pytest.fixture
def verified(monkeypatch):
    """Note each blob of which all digests are checked."""
    keys = []
    verify = BlobReader.verify

    def noted(reader):
        keys.append(reader.key)
        verify(reader)

    monkeypatch.setattr(BlobReader, "verify", noted)
    return keys


def put(cache, value, *, raw=True):
    call = call_of(0)
    assert cache.put(call, value, started_at=datetime.now(UTC), seconds=1.0, raw=raw)
    return call.key


def found(cache, key, mode="r"):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return cache.get(key, load=lambda reader: load_mapped(cache, reader, mode=mode))


def mapped(cache, key, mode="r"):
    hit = found(cache, key, mode)
    assert isinstance(hit, Hit)
    return hit.value


def file_of(cache, key):
    return cache.store.directory() / blob_path(key)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        ("f8", (1000, 300)),
        (">i4", (7,)),
        ("M8[ns]", (50, 3)),
        ("S3", (9,)),
        ("f8", ()),
        ([("a", "i1"), ("b", "f8")], (40,)),
    ],
)
def test_an_array_is_a_memmap_of_the_blob_itself(cache, order, dtype, shape):
    array = numpy.asarray(numpy.ones(shape, dtype), order=order)
    key = put(cache, array)
    got = mapped(cache, key)
    assert type(got) is numpy.memmap
    assert got.filename == str(file_of(cache, key))
    assert got.offset % 64 == 0
    assert (got.dtype, got.shape, got.flags.f_contiguous) == (
        array.dtype,
        array.shape,
        array.flags.f_contiguous,
    )
    assert got.tobytes() == array.tobytes()
    assert not got.flags.writeable


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2)])
def test_an_empty_array_is_an_array(cache, shape):
    got = mapped(cache, put(cache, numpy.zeros(shape)))
    assert got.shape == shape


@pytest.mark.parametrize("mode", ["c", "r+", "w+"])
def test_what_is_written_to_a_private_mapping_stays_in_the_process(cache, mode):
    key = put(cache, {"list": [numpy.arange(10_000)], "array": numpy.zeros(10_000)})
    before = hashlib.sha256(file_of(cache, key).read_bytes()).hexdigest()
    got = mapped(cache, key, mode)
    got["list"][0][3] = -1
    got["array"][:] = 7
    assert got["list"][0][3] == -1
    assert hashlib.sha256(file_of(cache, key).read_bytes()).hexdigest() == before
    assert mapped(cache, key, mode)["list"][0][3] == 3


def lives_in_a_file(array):
    while isinstance(array, numpy.ndarray) and not isinstance(array, numpy.memmap):
        array = array.base
    if isinstance(array, memoryview):
        return lives_in_a_file(array.obj)
    return isinstance(array, numpy.memmap)


def test_arrays_inside_other_values_live_in_the_file(cache):
    value = {
        "list": [RANDOM.random(10_000), "text"],
        "fortran": numpy.asfortranarray(RANDOM.random((100, 100))),
    }
    got = mapped(cache, put(cache, value))
    for mine, theirs in ((got["list"][0], value["list"][0]), (got["fortran"], value["fortran"])):
        numpy.testing.assert_array_equal(mine, theirs)
        assert not mine.flags.writeable
        assert lives_in_a_file(mine)
    assert got["fortran"].flags.f_contiguous


def test_an_estimator_predicts_from_the_file(cache):
    table, target = RANDOM.random((2000, 4)), RANDOM.random(2000)
    model = RandomForestRegressor(3, random_state=0).fit(table, target)
    got = mapped(cache, put(cache, model))
    numpy.testing.assert_array_equal(got.predict(table), model.predict(table))


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("is_mapped", [True, False])
def test_a_hit_keeps_no_reader(cache, raw, is_mapped):
    """People hold many hits, and a reader holds an open file."""
    key = put(cache, {"x": numpy.arange(100_000)}, raw=raw)
    readers = []

    def load(reader):
        readers.append(weakref.ref(reader))
        return load_mapped(cache, reader, mode="r") if is_mapped else cache.load(reader)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hit = cache.get(key, load=load)
    assert hit.metadata.key == key
    assert [reader() for reader in readers] == [None]


def test_small_values_are_loaded(cache):
    assert mapped(cache, put(cache, {"a": 1})) == {"a": 1}


# ---- checked once


def test_a_file_is_checked_once(cache, verified):
    key = put(cache, RANDOM.random(100_000))
    for _ in range(3):
        mapped(cache, key)
    assert verified == [key]


@pytest.mark.parametrize("change", ["time", "inode", "size"])
def test_another_file_is_checked_again(cache, verified, change):
    array = RANDOM.random(100_000)
    key = put(cache, array)
    mapped(cache, key)
    path = file_of(cache, key)
    status = path.stat()
    if change == "time":
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    elif change == "inode":
        data = path.read_bytes()
        path.rename(path.with_name("old"))
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    else:
        cache.put(call_of(0), RANDOM.random(100_001), started_at=datetime.now(UTC), seconds=1.0, raw=True)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    mapped(cache, key)
    assert verified == [key, key]


def test_a_damaged_file_is_a_miss(cache):
    key = put(cache, RANDOM.random(1_000_000))
    mapped(cache, key)
    path = file_of(cache, key)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.warns(CachestoreWarning, match="cannot be used"):
        assert cache.get(key, load=lambda reader: load_mapped(cache, reader, mode="r")) == Miss("corrupt")


def test_bytes_inserted_where_a_reader_does_not_look_are_a_miss(cache):
    key = put(cache, RANDOM.random(1_000_000))
    path = file_of(cache, key)
    data = path.read_bytes()
    path.write_bytes(data[: -OpenedFile.suffix_length] + bytes(10) + data[-OpenedFile.suffix_length :])
    with pytest.warns(CachestoreWarning, match="cannot be used"):
        assert cache.get(key, load=lambda reader: load_mapped(cache, reader, mode="r")) == Miss("corrupt")


def test_what_was_checked_is_forgotten_when_there_is_much_of_it(cache, verified, monkeypatch):
    monkeypatch.setattr(mapping, "_MOST_CHECKED", 1)
    key = put(cache, RANDOM.random(10_000))
    mapped(cache, key)
    mapping._checked[(1, 2, 3, 4)] = None
    mapped(cache, key)
    assert list(mapping._checked) != [(1, 2, 3, 4)]
    assert len(mapping._checked) == 1
    assert len(verified) == 1


@pytest.mark.parametrize("what", ["deleted", "replaced", "dropped"])
def test_a_mapping_outlives_the_name_of_its_file(cache, what):
    array = RANDOM.random(500_000)
    key = put(cache, array)
    got = mapped(cache, key)
    if what == "deleted":
        file_of(cache, key).unlink()
    elif what == "replaced":
        put(cache, numpy.zeros(500_000))
    else:
        cache.drop([key])
    numpy.testing.assert_array_equal(got, array)


# ---- where there is no file, or a compressed one


def test_a_compressed_local_blob_is_loaded_and_that_is_told_once(cache):
    array = numpy.zeros(500_000)
    key = put(cache, array, raw=False)
    with pytest.warns(CachestoreWarning, match="leave compress out") as told:
        for _ in range(2):
            got = cache.get(key, load=lambda reader: load_mapped(cache, reader, mode="r")).value
    assert len(told) == 1
    assert type(got) is numpy.ndarray
    numpy.testing.assert_array_equal(got, array)


def test_raw_unless_the_settings_say_how_to_compress(tmp_path, cache):
    cache = open_cache(Settings(location=str(tmp_path / "other"), compress=True))
    key = put(cache, numpy.zeros(500_000), raw=True)
    assert file_of(cache, key).stat().st_size < 100_000


@pytest.fixture
def tiered(tmp_path):
    cache = open_cache(Settings(location=str(tmp_path / "tiered")))
    far = FarStore(tmp_path / "far")

    def tell(*_):
        raise AssertionError

    cache.store = TieredStore(far, tmp_path / "near", limit=200 * 2**20, tell=tell)
    cache.far = far
    return cache


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(
    "value", [numpy.arange(1_000_000.0), {"a": numpy.zeros(400_000), "b": numpy.arange(10_000)}]
)
def test_a_near_copy_is_inflated_once_and_mapped(tiered, tmp_path, verified, raw, value):
    key = put(tiered, value, raw=raw)
    before = tiered.far.inner.get(blob_path(key))
    tiered.store.distrust(blob_path(key))
    mapped(tiered, key)
    tiered.far.asked.clear()
    got = mapped(tiered, key)
    assert not [name for name in tiered.far.asked if name.startswith("get")]
    near = tmp_path / "near" / blob_path(key)
    if isinstance(value, dict):
        for name in value:
            numpy.testing.assert_array_equal(got[name], value[name])
            assert lives_in_a_file(got[name])
    else:
        assert got.filename == str(near)
        numpy.testing.assert_array_equal(got, value)
    assert tiered.far.inner.get(blob_path(key)) == before
    # What lies near is a whole blob, of the same value and call, for everyone else.
    reader = BlobReader.open(LocalStore(near.parent).open(near.name), key=key)
    reader.verify()
    assert reader.metadata == tiered.open_blob(key).metadata
    assert mapping.is_mappable(reader.table)
    assert verified[0] == key
    plain = tiered.get(key).value
    numpy.testing.assert_equal(plain, value)


def test_what_is_too_large_for_the_near_directory_is_loaded(tiered, tmp_path):
    tiered.store = TieredStore(tiered.far, tmp_path / "small", limit=2**20, tell=lambda *_: None)
    array = numpy.zeros(500_000)
    key = put(tiered, array, raw=False)
    with pytest.warns(CachestoreWarning, match="near_limit"):
        got = tiered.get(key, load=lambda reader: load_mapped(tiered, reader, mode="r")).value
    numpy.testing.assert_array_equal(got, array)


def test_a_damaged_far_blob_is_not_inflated(tiered, tmp_path):
    key = put(tiered, numpy.arange(1_000_000.0), raw=False)
    path = tiered.far.inner.directory() / blob_path(key)
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    tiered.store.distrust(blob_path(key))
    with pytest.warns(CachestoreWarning, match="cannot be used"):
        assert tiered.get(key, load=lambda reader: load_mapped(tiered, reader, mode="r")) == Miss("corrupt")
    assert not (tmp_path / "near" / blob_path(key)).exists()


def test_the_mapping_of_an_evicted_copy_lives_on(tiered, tmp_path):
    array = RANDOM.random(500_000)
    key = put(tiered, array)
    got = mapped(tiered, key)
    near = tmp_path / "near" / blob_path(key)
    near.unlink()
    numpy.testing.assert_array_equal(got, array)
    numpy.testing.assert_array_equal(mapped(tiered, key), array)
