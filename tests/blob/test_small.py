"""Small blobs: read at one go with the same answers as by the general reader, or not at all."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from blake3 import blake3

from cachestore.blob import BlobReader, Metadata, SmallBlob, small_blob
from cachestore.blob.header import TRAILER_LENGTH, Trailer
from cachestore.errors import BlobError

VALUES = [None, 7, "größe", b"bytes", {"a": [1, 2.5, (True, None)]}, 1j, {1, 2}, numpy.float64(0.5)]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_it_answers_as_the_general_reader_does(
    value: object, write: Callable[..., bytes], source: Any, metadata: Metadata
) -> None:
    data = write(value)
    small = small_blob(data, key=metadata.key)
    assert isinstance(small, SmallBlob)
    reader = BlobReader.open(source(data))
    for name in ("key", "value_digest", "seconds", "metadata"):
        assert getattr(small, name) == getattr(reader, name)
    assert small.value() == reader.value() == value
    assert small.metadata == reader.metadata, "also when the value was taken"


@pytest.mark.parametrize(
    "value",
    [numpy.arange(3), numpy.arange(12.0).reshape(3, 4), numpy.zeros(0), [numpy.arange(9), numpy.arange(5.0)]],
    ids=["array", "table", "empty", "two"],
)
def test_arrays_can_be_written_to_as_always(
    value: object, write: Callable[..., bytes], source: Any, metadata: Metadata
) -> None:
    data = write(value)
    small = small_blob(data, key=metadata.key)
    assert small is not None
    assert small.metadata == BlobReader.open(source(data)).metadata
    loaded: Any = small.value()
    for found, expected in zip(
        *((each if type(each) is list else [each]) for each in (loaded, value)), strict=True
    ):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        numpy.testing.assert_array_equal(found, expected)
        found[...] = 0
    assert small_blob(data, key=metadata.key) is not None, "not in the memory of the blob"


@pytest.mark.parametrize(
    "value", ["x" * 100_000, [numpy.arange(5000.0) for _ in range(3)]], ids=["packed", "buffers"]
)
def test_what_has_many_buffers_or_is_compressed_is_left_to_the_general_reader(
    value: object, write: Callable[..., bytes], metadata: Metadata
) -> None:
    assert small_blob(write(value, compress=("zstd", 5)), key=metadata.key) is None


@pytest.mark.parametrize("value", [{"a": [1, "text"]}, numpy.arange(3)], ids=["plain", "array"])
def test_no_flipped_bit_and_no_other_length_is_believed(
    value: object, write: Callable[..., bytes], metadata: Metadata
) -> None:
    data = write(value)
    assert small_blob(data, key=metadata.key) is not None
    for at in range(len(data)):
        for bit in (1, 0x80):
            damaged = bytearray(data)
            damaged[at] ^= bit
            assert small_blob(bytes(damaged), key=metadata.key) is None, at
    for at in range(len(data)):
        assert small_blob(data[:at], key=metadata.key) is None
    assert small_blob(data + b"\0", key=metadata.key) is None
    assert small_blob(b"\0" + data, key=metadata.key) is None


@pytest.mark.parametrize("key", ["", "00" * 32, "AB" * 32])
def test_another_key_is_no_hit(key: str, write: Callable[..., bytes]) -> None:
    assert small_blob(write(1), key=key) is None


def test_a_pickle_is_refused_where_data_are_asked_for(
    write: Callable[..., bytes], metadata: Metadata
) -> None:
    small = small_blob(write(1j), key=metadata.key)
    assert small is not None
    with pytest.raises(BlobError, match="load_policy"):
        small.value(policy="data")
    assert small.value() == 1j


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -float("inf")])
def test_seconds_that_are_not_finite_are_left_to_the_general_reader(
    seconds: float, write: Callable[..., bytes], metadata: Metadata
) -> None:
    data = write(1)
    trailer = Trailer.parse(memoryview(data))
    table = bytearray(data[trailer.table_offset : -TRAILER_LENGTH])
    struct.pack_into("<d", table, 128, seconds)
    sealed = trailer._replace(table_digest=blake3(table).digest()).pack()
    assert small_blob(data[: trailer.table_offset] + table + sealed, key=metadata.key) is None
