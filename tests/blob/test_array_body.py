"""Arrays: their own memory and a description, from which exactly they come back, or CorruptBlob."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as nst
import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachestore.blob.array_body import ArrayLayout, array_body, array_value, parse_array
from cachestore.blob.body import BodyKind
from cachestore.errors import CorruptBlob
from tests.blob.arrays import arrays


def again(value: object) -> Any:
    body = array_body(value)
    assert body is not None
    assert body.kind == BodyKind.ARRAY
    assert all(buffer.raw.nbytes for buffer in body.buffers)
    return array_value(body.raw, [numpy.frombuffer(bytearray(each.raw), "u1").data for each in body.buffers])


def check_same(one: Any, other: Any) -> None:
    assert type(other) is numpy.ndarray
    assert one.dtype == other.dtype
    assert one.dtype.isalignedstruct == other.dtype.isalignedstruct
    assert one.shape == other.shape
    assert other.flags.writeable
    assert one.tobytes() == other.tobytes()
    in_columns = one.flags.f_contiguous and not one.flags.c_contiguous
    assert other.flags.f_contiguous if in_columns else other.flags.c_contiguous


ARRAYS: dict[str, Any] = {
    **arrays(600),
    "no dimensions": numpy.array(3.5),
    "date of no dimensions": numpy.array("2026-01-02", "M8[D]"),
    "empty": numpy.array([]),
    "no columns": numpy.zeros((4, 0), "M8[s]"),
    "no fields": numpy.zeros(3, numpy.dtype({"names": [], "formats": [], "itemsize": 4})),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("writable", [True, False], ids=["writable", "read-only"])
def test_arrays_come_back_as_they_were(name: str, writable: bool) -> None:
    array = ARRAYS[name].view()
    if not writable or not array.flags.writeable:
        array.setflags(write=False)
    check_same(array, again(array))


def is_for_pickle(dtype: Any) -> bool:
    """Whether a type has no size, titles, or numbers that differ between machines."""
    if dtype.subdtype is not None:
        return is_for_pickle(dtype.base)
    fields = list((dtype.fields or {}).values())
    return (
        not dtype.itemsize
        or dtype.char in "gG"
        or any(len(each) > 2 or is_for_pickle(each[0]) for each in fields)
    )


@given(
    nst.arrays(
        nst.array_dtypes(allow_subarrays=True) | nst.scalar_dtypes(), nst.array_shapes(min_dims=0, min_side=0)
    ),
    st.permutations(range(3)),
)
def test_arrays_of_every_dtype_come_back_as_they_were(array: Any, axes: list[int]) -> None:
    array = array.transpose([axis for axis in axes if axis < array.ndim])
    if is_for_pickle(array.dtype):
        assert array_body(array) is None
    else:
        check_same(array, again(array))


@pytest.mark.parametrize("name", ["floats", "fortran", "dates", "records", "big-endian", "no dimensions"])
def test_memory_without_gaps_is_not_copied(name: str) -> None:
    array = ARRAYS[name].view()
    array.setflags(write=False)
    body = array_body(array)
    assert body is not None
    assert numpy.shares_memory(numpy.frombuffer(body.buffers[0].raw, "u1"), array)


def test_what_comes_back_lives_in_its_buffer() -> None:
    body = array_body(ARRAYS["fortran"])
    assert body is not None
    memory = numpy.frombuffer(bytearray(body.buffers[0].raw), "u1")
    assert numpy.shares_memory(array_value(body.raw, [memory.data]), memory)


def test_a_read_only_buffer_is_a_read_only_array() -> None:
    body = array_body(ARRAYS["floats"])
    assert body is not None
    read: Any = array_value(body.raw, [memoryview(bytes(body.buffers[0].raw))])
    assert not read.flags.writeable


@pytest.mark.parametrize(
    ("name", "item_size"),
    [
        ("floats", 8),
        ("texts", 4),
        ("bytes", 7),
        ("dates", 8),
        ("complex", 16),
        ("aligned records", 16),
        ("half", 2),
    ],
)
def test_the_item_size_is_that_of_the_numbers(name: str, item_size: int) -> None:
    body = array_body(ARRAYS[name])
    assert body is not None
    assert body.buffers[0].item_size == item_size


def test_a_memory_map_comes_back_as_an_array_without_its_file(tmp_path: Path) -> None:
    numpy.save(tmp_path / "a.npy", ARRAYS["fortran"])
    check_same(ARRAYS["fortran"], again(numpy.load(tmp_path / "a.npy", mmap_mode="r")))


@pytest.mark.parametrize(
    "value",
    [
        numpy.float64(1.5), numpy.int8(-3), numpy.bool_(True), numpy.complex64(1j), numpy.float16(0.5),
        numpy.datetime64("2026-01-02"), numpy.timedelta64(3), numpy.datetime64("NaT"), numpy.str_("é"),
        numpy.bytes_(b"ab"), numpy.void(b"ab"), numpy.zeros(1, "i4,f8")[0],
    ],
)  # fmt: skip
def test_numbers_come_back_as_they_were(value: Any) -> None:
    read = again(value)
    assert type(read) is type(value)
    assert read.dtype == value.dtype
    assert read.tobytes() == value.tobytes()


class Number(numpy.float64):
    pass


@pytest.mark.parametrize(
    "value",
    [
        numpy.array([1, None]), numpy.array([(1, None)], [("a", "i4"), ("b", object)]), numpy.ma.array([1]),
        numpy.zeros(2, "i4,f8").view(numpy.recarray), numpy.zeros(3, numpy.dtype("f8", metadata={"unit": "m"})),
        numpy.zeros(3, numpy.dtype([(("title", "a"), "i4")])), numpy.array(["a"], numpy.dtypes.StringDType()),
        numpy.zeros(3, "longdouble"), numpy.longdouble(1), numpy.str_("a\0"), Number(1.5), 1.5,
        numpy.zeros(3, [("a", numpy.dtype("f8", metadata={"unit": "m"}))]), numpy.dtype("f8"),
        numpy.zeros(1, [(f"a field with a long name {n}", "i1") for n in range(40_000)]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_the_rest_is_for_pickle(value: object) -> None:
    assert array_body(value) is None


def described(**changes: object) -> bytes:
    return json.dumps({"dtype": "<f8", "shape": [2, 3], "order": "C", **changes}).encode()


RECORD = {"names": ["a"], "formats": ["<f8"], "offsets": [0], "itemsize": 8, "aligned": False}


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, described(dtype="|O"), described(dtype="O"),
        described(dtype="<f16"), described(dtype="f8"), described(dtype="float64"), described(dtype="<f8,<f8"),
        described(dtype=[["a", "<f8"]]), described(dtype=None), described(dtype="|V9999999999"), described(dtype="<U0"),
        described(dtype="<M8[25years]"), described(shape=6), described(shape=[2.0, 3]), described(shape=[True, 6]),
        described(shape=[-2, -3]), described(shape=[2, 4]), described(shape=[2**62, 2**62]), described(shape=[1] * 65),
        described(shape=[6, 1, 0]), described(shape=[0, 2**62, 8]), described(order="K"), described(order=None),
        described(scalar=True), described(scalar=1, shape=[]), described(dtype={"items": "<f8", "shape": [0]}),
        described(dtype={"items": "<f8", "shape": [2]}, shape=[3]), described().decode().encode("utf-16"),
        described(dtype={"items": "<f8", "shape": [2**31, 2**31]}), described(dtype={**RECORD, "offsets": [1]}),
        described(dtype={**RECORD, "offsets": [-1]}), described(dtype={**RECORD, "formats": ["|O"]}),
        described(dtype={**RECORD, "names": ["a", "b"]}), described(dtype={**RECORD, "aligned": 1}),
        described(dtype={**RECORD, "names": ["a", "a"], "formats": ["<f4"] * 2, "offsets": [0, 4]}),
        described(dtype={**RECORD, "formats": [RECORD], "itemsize": 2**40}), described(dtype={**RECORD, "titles": []}),
        b'{"dtype":' * 50 + b"1" + b"}" * 50, b" " * 2**21 + described(),
    ],
    ids=lambda raw: raw[:60].decode(errors="replace"),
)  # fmt: skip
def test_what_it_did_not_write_is_corrupt(raw: bytes) -> None:
    with pytest.raises(CorruptBlob):
        array_value(memoryview(raw), [bytearray(48)])


def test_records_that_nest_without_end_are_corrupt() -> None:
    dtype: Any = "<f8"
    for _ in range(100):
        dtype = {**RECORD, "formats": [dtype]}
    with pytest.raises(CorruptBlob):
        array_value(memoryview(described(dtype=dtype)), [bytearray(48)])


def test_another_number_of_buffers_is_corrupt() -> None:
    for buffers in ([], [bytearray(48), bytearray(48)], [bytearray(47)], [bytearray(49)]):
        with pytest.raises(CorruptBlob):
            array_value(memoryview(described()), buffers)
    with pytest.raises(CorruptBlob):
        array_value(memoryview(described(shape=[0])), [bytearray(8)])


def test_a_layout_can_be_had_without_the_array() -> None:
    body = array_body(ARRAYS["fortran"])
    assert body is not None
    layout, scalar = parse_array(body.raw)
    assert layout == ArrayLayout(numpy.dtype("f8"), (20, 30), "F")
    assert (layout.size, scalar) == (4800, False)


@pytest.mark.parametrize(
    "dtype",
    [[("a", "i4"), ("b", "f8")], [("a", [("b", "i4")], (2,))]],
    ids=["record", "records in a record"],
)
def test_names_that_a_user_changes_are_those_of_one_array_only(dtype: Any) -> None:
    array = numpy.zeros(3, dtype)
    body = array_body(array)
    assert body is not None
    changed = again(array)
    if inner := changed.dtype["a"].base.names:
        changed.dtype["a"].base.names = tuple(f"changed {name}" for name in inner)
    changed.dtype.names = tuple(f"changed {name}" for name in changed.dtype.names)
    assert again(array).dtype == array.dtype
