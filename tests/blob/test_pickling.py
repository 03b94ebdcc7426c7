"""Pickling: large buffers stay where they are, and arrays come back writable."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

from cachestore.blob.body import Buffer
from cachestore.blob.pickling import OUT_OF_BAND, pickle_value, unpickle_value
from cachestore.errors import BlobError
from tests.blob.arrays import arrays

N = OUT_OF_BAND // 20 * 20 + 40


def load(body: memoryview, buffers: Iterable[Buffer]) -> Any:
    return unpickle_value(body, [memoryview(bytearray(buffer.raw)) for buffer in buffers])


LARGE = arrays(N)


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("writable", [True, False], ids=["writable", "read-only"])
def test_a_large_array_is_a_buffer_and_comes_back_writable(name: str, writable: bool) -> None:
    array = LARGE[name].view()
    if not writable or not array.flags.writeable:
        array.setflags(write=False)
    body, buffers = pickle_value([array, array])
    assert [len(buffer.raw) for buffer in buffers] == [array.nbytes]
    assert len(body) < 1000
    first, second = load(body, buffers)
    assert first is second
    assert type(first) is numpy.ndarray
    assert first.dtype == array.dtype
    numpy.testing.assert_array_equal(first, array)
    assert first.flags.writeable


@pytest.mark.parametrize("name", ["floats", "fortran", "dates", "records"])
@pytest.mark.parametrize("writable", [True, False], ids=["writable", "read-only"])
def test_contiguous_arrays_are_not_copied(name: str, writable: bool) -> None:
    array = LARGE[name].view()
    array.setflags(write=writable)
    _, (buffer,) = pickle_value({"x": array})
    assert numpy.shares_memory(numpy.frombuffer(buffer.raw, "u1"), array)


def test_the_memory_of_a_read_only_array_outlives_the_array() -> None:
    array = numpy.arange(float(N))
    array.setflags(write=False)
    body, buffers = pickle_value(array)
    del array
    trash = [numpy.full(N, 7.0) for _ in range(50)]
    numpy.testing.assert_array_equal(load(body, buffers), numpy.arange(float(N)))
    assert trash


@pytest.mark.parametrize(
    "array",
    [
        numpy.array(3.5),
        numpy.array([]),
        numpy.zeros((0, 5), dtype="i2"),
        numpy.zeros((4, 0), dtype="M8[s]"),
        numpy.array(["", ""], dtype="U0"),
        numpy.arange(5),
        numpy.array([1, "a", None, [2]], dtype=object),
        numpy.array([(1, None)], dtype=[("a", "i4"), ("b", object)]),
        numpy.array("2026-01-02", dtype="M8[D]"),
        numpy.array(["a", "long text" * 10], dtype=numpy.dtypes.StringDType()),
        numpy.arange(12).reshape(3, 4, order="F"),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
@pytest.mark.parametrize("writable", [True, False], ids=["writable", "read-only"])
def test_small_and_odd_arrays_stay_in_the_pickle_and_come_back_writable(array: Any, writable: bool) -> None:
    array = array.copy(order="K")
    array.setflags(write=writable)
    body, buffers = pickle_value(array)
    assert not buffers
    again = load(body, buffers)
    assert again.dtype == array.dtype
    numpy.testing.assert_array_equal(again, array)
    assert again.flags.writeable
    assert again.flags.f_contiguous == array.flags.f_contiguous


def test_a_memory_map_comes_back_as_an_array_without_its_file(tmp_path: Path) -> None:
    numpy.save(tmp_path / "a.npy", LARGE["floats"])
    mapped = numpy.load(tmp_path / "a.npy", mmap_mode="r")
    body, buffers = pickle_value(mapped)
    (tmp_path / "a.npy").unlink()
    again = load(body, buffers)
    assert type(again) is numpy.ndarray
    assert again.flags.writeable
    numpy.testing.assert_array_equal(again, LARGE["floats"])


def test_subclasses_of_arrays_keep_their_class() -> None:
    masked = numpy.ma.masked_greater(LARGE["floats"], 10)
    again = load(*pickle_value([masked, LARGE["records"].view(numpy.recarray)]))
    assert type(again[0]) is numpy.ma.MaskedArray
    assert again[0].count() == 11
    assert type(again[1]) is numpy.recarray


@pytest.mark.parametrize(
    ("array", "item_size"),
    [
        (LARGE["floats"], 8),
        (LARGE["texts"], 4),
        (LARGE["bytes"], 7),
        (LARGE["dates"], 8),
        (LARGE["records"], 63),
    ],
    ids=["floats", "texts", "bytes", "dates", "records"],
)
def test_the_item_size_is_that_of_the_numbers(array: Any, item_size: int) -> None:
    _, (buffer,) = pickle_value(array)
    assert buffer.item_size == item_size


def test_a_data_frame_comes_back_writable() -> None:
    frame = pandas.DataFrame(
        {"x": LARGE["floats"], "when": LARGE["dates"], "name": LARGE["texts"].astype(object), "n": range(N)}
    ).set_index("when")
    again = load(*pickle_value(frame))
    pandas.testing.assert_frame_equal(again, frame)
    again.loc[again.index[0], "x"] = 7.0
    again["x"] += 1
    assert again["x"].iloc[0] == 8.0


def test_read_only_buffers_of_others_stay_read_only() -> None:
    body, buffers = pickle_value([pickle.PickleBuffer(b"x" * N), pickle.PickleBuffer(bytearray(b"y" * N))])
    first, second = load(body, buffers)
    assert memoryview(first).readonly
    assert not memoryview(second).readonly
    assert bytes(first) == b"x" * N


def test_a_function_without_a_name_is_pickled_by_value_and_keeps_its_arrays_outside() -> None:
    array = LARGE["floats"]
    body, buffers = pickle_value({"f": lambda x: x + array[-1]})
    assert [len(buffer.raw) for buffer in buffers] == [array.nbytes]
    assert load(body, buffers)["f"](1) == N


def test_the_buffers_of_a_first_try_that_failed_are_forgotten() -> None:
    body, buffers = pickle_value([LARGE["floats"], lambda: None])
    assert len(buffers) == 1
    numpy.testing.assert_array_equal(load(body, buffers)[0], LARGE["floats"])


class Grumpy:
    def __reduce__(self) -> Any:
        raise ZeroDivisionError("not today")


def endless() -> Any:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (threading.Lock(), "_thread.lock.*TypeError"),
        ([1, (x for x in ())], "builtins.list.*generator"),
        (Grumpy(), "Grumpy.*ZeroDivisionError: not today"),
        (endless(), "builtins.list.*RecursionError"),
        (numpy.array([threading.Lock()]), "numpy.ndarray.*lock"),
        (pickle.PickleBuffer(numpy.arange(N)[::2]), "pickle.PickleBuffer.*contiguous"),
    ],
    ids=["lock", "generator", "grumpy", "endless", "array of locks", "buffer with gaps"],
)
def test_what_cannot_be_pickled_says_type_and_reason(value: object, reason: str) -> None:
    with pytest.raises(BlobError, match=reason) as caught:
        pickle_value(value)
    assert caught.value.__cause__ is not None


def test_a_class_that_has_gone_is_a_blob_error_with_its_cause() -> None:
    body = memoryview(pickle.dumps(Path("x"), 5).replace(b"PosixPath", b"LostPaths"))
    with pytest.raises(BlobError, match="LostPaths") as caught:
        unpickle_value(body, [])
    assert isinstance(caught.value.__cause__, AttributeError)
