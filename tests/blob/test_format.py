"""FORMAT.md: a second reader, written from it alone, reads what the writer writes."""

from __future__ import annotations

import json
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blosc2
import numpy
import pytest
from blake3 import blake3

import cachestore.blob

FORMAT = (Path(cachestore.blob.__file__).parent / "FORMAT.md").read_text(encoding="utf-8")


def second_reader(blob: bytes) -> tuple[dict[str, Any], Any]:
    """Read a blob with nothing but what FORMAT.md says; return its metadata and its value."""
    trailer = blob[-104:]
    assert trailer[96:] == bytes.fromhex("0a1a0d0a42534393")
    assert trailer[88:96] == blake3(trailer[:88]).digest()[:8]
    (
        table_digest,
        metadata_at,
        metadata_length,
        table_at,
        table_length,
        total,
        number,
        must,
        may,
        appendix,
    ) = struct.unpack("<32sQQQQQIIII", trailer[:88])
    assert (number, must, may, appendix, total) == (0, 0, 0, 0, len(blob))
    assert metadata_at + metadata_length == table_at
    assert table_at + table_length + 104 == total

    table = blob[table_at : table_at + table_length]
    assert blake3(table).digest() == table_digest
    header_digest, metadata_digest, frame_count, chunk_count = struct.unpack_from("<32s32sII", table)
    assert len(table) == 72 + 24 * frame_count + 56 * chunk_count

    header = blob[:24]
    assert header == bytes.fromhex("93435342 0d0a1a0a") + struct.pack("<IIII", number, must, may, 0)
    assert blake3(header).digest() == header_digest
    metadata = blob[metadata_at:table_at]
    assert blake3(metadata).digest() == metadata_digest

    frames = []
    position, entry = 24, 72 + 24 * frame_count
    for index in range(frame_count):
        kind, _item_size, count, raw_size = struct.unpack_from("<B3xIIxxxxQ", table, 72 + 24 * index)
        assert kind == (0 if index == 0 else 1)
        raw = bytearray()
        for _ in range(count):
            offset, stored_size, chunk_raw_size, codec, digest = struct.unpack_from(
                "<QIIB7x32s", table, entry
            )
            entry += 56
            assert offset == position
            position += stored_size
            stored = blob[offset:position]
            assert blake3(stored).digest() == digest
            if codec == 1:
                assert blosc2.get_cbuffer_sizes(stored)[:2] == (chunk_raw_size, stored_size)
                stored = blosc2.decompress2(stored)
            assert len(stored) == chunk_raw_size <= 4 * 2**20
            raw += stored
        assert len(raw) == raw_size
        frames.append(raw)
    assert position == metadata_at
    members = json.loads(metadata)
    assert members["raw_size"] == sum(len(raw) for raw in frames)
    return members, pickle.loads(frames[0], buffers=frames[1:])


VALUES = {
    "none": None,
    "text": "größe" * 10_000,
    "random bytes": numpy.random.default_rng(0).bytes(5 * 2**20),
    "dict": {"a": [1, 2.5]},
    "array": numpy.arange(1_500_000.0).reshape(1000, -1),
    "arrays": [
        numpy.arange(9000),
        numpy.asfortranarray(numpy.ones((300, 300))),
        numpy.arange(20_000).astype("M8[s]"),
    ],
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("compress", [None, False, True, ("zlib", 9), "lz4hc"])
def test_a_second_reader_reads_each_kind_of_blob(
    name: str, compress: Any, write: Callable[..., bytes]
) -> None:
    members, value = second_reader(write(VALUES[name], compress=compress))
    assert members["key"] == "ab" * 32
    assert members["parents"] == [["67" * 32, "89" * 32], ["ef" * 32, None]]
    assert members["started_at"] == "2026-03-04T05:06:07.000890+00:00"
    for expected, got in zip(
        *([x] if not isinstance(x, list) else x for x in (VALUES[name], value)), strict=True
    ):
        numpy.testing.assert_array_equal(got, expected)


def test_each_member_of_the_metadata_is_specified(write: Callable[..., bytes]) -> None:
    section = FORMAT.split("## Metadata")[1].split("## Table")[0]
    specified = {
        name
        for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert specified == set(second_reader(write(1))[0])


def test_the_bytes_of_a_blob_are_those_of_the_specification(write: Callable[..., bytes]) -> None:
    blob = write(None)
    assert blob[:24].hex(" ", 4) == "93435342 0d0a1a0a 00000000 00000000 00000000 00000000"
    assert blob[24:28] == b"\x80\x05N."
    assert blob[28:29] == b"{"
    assert blob[-8:].hex() == "0a1a0d0a42534393"
