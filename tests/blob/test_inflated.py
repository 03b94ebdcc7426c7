"""A blob without its compression: the same but for the bytes of its chunks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy
import pytest

from cachestore.blob import BlobReader, Metadata, encode
from cachestore.blob.codecs import RAW
from cachestore.blob.inflated import Inflated
from cachestore.errors import CorruptBlob
from cachestore.storage.stored_object import HeldObject

METADATA = Metadata(
    key="ab" * 32,
    function="project.features.mean",
    code_version="cd" * 32,
    code_parts={},
    arguments={"table": "23" * 32},
    started_at=datetime(2026, 3, 4, 5, 6, 7, 890, tzinfo=UTC),
    seconds=12.5,
    creator="ana",
    python="3.11.7",
    value_digest="ef" * 32,
    encoding="0123",
    epoch=3,
)


def reader_of(data: bytes) -> BlobReader:
    return BlobReader.open(HeldObject(data), key=METADATA.key)


@pytest.mark.parametrize("compress", [None, False, True])
@pytest.mark.parametrize(
    "value",
    [
        numpy.arange(700_000.0),
        {"a": numpy.zeros((300, 1000)), "b": [numpy.arange(10_000), bytes(3_000_000)]},
        "a text",
        bytes(5_000_000),
        numpy.zeros(0),
    ],
    ids=["array", "pickle", "text", "bytes", "empty"],
)
def test_it_is_what_a_writer_would_have_written_raw(value: Any, compress: Any) -> None:
    data = b"".join(encode(value, METADATA, compress=compress))
    inflated = b"".join(Inflated(reader_of(data)))
    reader = reader_of(inflated)
    reader.verify()
    assert reader.size == len(inflated)
    assert all(chunk.codec == RAW for frame in reader.table.frames for chunk in frame.chunks)
    assert reader.metadata == reader_of(data).metadata
    assert replace(reader.metadata, kind="", raw_size=0) == METADATA
    numpy.testing.assert_equal(reader.value(), value)
    assert inflated == b"".join(encode(value, METADATA, compress=False))


@pytest.mark.parametrize("place", [70, 5000, -3000])
def test_what_is_damaged_is_not_inflated(place: int) -> None:
    rows = numpy.random.default_rng(0).integers(0, 100, 1_000_000)
    data = bytearray(b"".join(encode({"a": rows, "b": list(range(5000))}, METADATA, compress=True)))
    frame = reader_of(bytes(data)).table.frames[0 if place > 0 else -1]
    data[frame.chunks[0].offset + abs(place)] ^= 1
    with pytest.raises(CorruptBlob):
        b"".join(Inflated(reader_of(bytes(data))))
