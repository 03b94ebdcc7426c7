"""Writing: nothing is copied that need not be, and nothing is compressed that does not pay."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy
import pytest

from cachestore.blob import BlobReader, Encoded, Metadata, encode
from cachestore.blob.codecs import BLOSC2, RAW
from cachestore.blob.table import CHUNK_LIMIT, Chunk
from cachestore.errors import BlobError, SettingsError

RANDOM = numpy.frombuffer(numpy.random.default_rng(0).bytes(9 * 2**20), "u1")


def chunks_of(encoded: Encoded, source: Any) -> list[list[Chunk]]:
    reader = BlobReader.open(source(b"".join(encoded.parts)))
    return [list(frame.chunks) for frame in reader._table.frames]


def test_metadata_are_completed(metadata: Metadata) -> None:
    encoded = encode(numpy.arange(10_000.0), metadata)
    assert encoded.metadata.kind == "numpy.ndarray"
    assert 80_000 < encoded.metadata.raw_size < 80_500
    assert replace(encoded.metadata, kind="", raw_size=0) == metadata
    assert encode({}, metadata).metadata.kind == "builtins.dict"


@pytest.mark.parametrize(
    "value", [None, {"a": 1}, RANDOM, numpy.arange(1e6)], ids=["none", "dict", "raw", "packed"]
)
def test_the_size_is_that_of_all_parts(metadata: Metadata, value: object) -> None:
    encoded = encode(value, metadata)
    assert encoded.size == sum(len(part) for part in encoded.parts) == len(b"".join(encoded.parts))


def test_what_is_stored_raw_is_not_copied(metadata: Metadata) -> None:
    encoded = encode(RANDOM, metadata)
    views = [part for part in encoded.parts if len(part) > CHUNK_LIMIT // 2]
    assert [len(view) for view in views] == [CHUNK_LIMIT, CHUNK_LIMIT]
    assert all(numpy.shares_memory(numpy.frombuffer(view, "u1"), RANDOM) for view in views)


def test_chunks_hold_whole_items(metadata: Metadata, source: Any) -> None:
    records = numpy.zeros(200_000, dtype=[("a", "f8"), ("b", "f8"), ("c", "f8")])
    _, chunks = chunks_of(encode(records, metadata), source)
    assert [chunk.raw_size for chunk in chunks] == [4_194_288, 4_800_000 - 4_194_288]
    assert all(chunk.raw_size % 24 == 0 for chunk in chunks)


def test_the_codec_is_chosen_by_looking_at_each_chunk(metadata: Metadata, source: Any) -> None:
    half = numpy.concatenate([RANDOM[:CHUNK_LIMIT], numpy.zeros(CHUNK_LIMIT, "u1")])
    body, chunks = chunks_of(encode(half, metadata), source)
    assert [chunk.codec for chunk in body] == [RAW]
    assert [chunk.codec for chunk in chunks] == [RAW, BLOSC2]
    assert chunks[1].stored_size < 1000


@pytest.mark.parametrize("compress", [False, 0, ("zstd", 0)])
def test_compression_can_be_turned_off(metadata: Metadata, source: Any, compress: Any) -> None:
    frames = chunks_of(encode(numpy.zeros(100_000), metadata, compress=compress), source)
    assert {chunk.codec for chunks in frames for chunk in chunks} == {RAW}


@pytest.mark.parametrize("compress", [None, True, 1, 9, "zstd", "zlib", "lz4", ("xz", 5)])
def test_each_codec_writes_what_can_be_read(
    metadata: Metadata, read: Callable[..., Any], compress: Any
) -> None:
    array = numpy.arange(200_000.0)
    encoded = encode({"a": array, "text": "x" * 100_000}, metadata, compress=compress)
    assert encoded.size < encoded.metadata.raw_size / 2
    again = read(b"".join(encoded.parts))
    numpy.testing.assert_array_equal(again["a"], array)
    assert again["text"] == "x" * 100_000


def test_a_better_ratio_is_to_be_had_by_asking(metadata: Metadata) -> None:
    array = numpy.sin(numpy.arange(200_000.0)).round(3)
    assert encode(array, metadata, compress=9).size < encode(array, metadata).size


def test_a_meaningless_compress_is_refused_before_anything_is_pickled(metadata: Metadata) -> None:
    with pytest.raises(SettingsError):
        encode(threading.Lock(), metadata, compress="snappy")


def test_what_cannot_be_pickled_gives_no_blob(metadata: Metadata) -> None:
    with pytest.raises(BlobError, match=r"_thread\.lock"):
        encode([RANDOM, threading.Lock()], metadata)


def test_metadata_over_the_limit_are_refused(metadata: Metadata) -> None:
    endless = replace(metadata, code_parts={"constant:project:TABLE": "x" * 2**24})
    with pytest.raises(BlobError, match="bytes of metadata"):
        encode(1, endless)


def test_a_small_plain_value_is_written_and_read_without_heavy_imports() -> None:
    program = """
import sys
from datetime import datetime, UTC
from cachestore.blob import BlobReader, Metadata, encode

class Source:
    def suffix(self, length): return data
    def range(self, start, stop): raise AssertionError

metadata = Metadata("k", "f", "v", {}, {}, datetime.now(UTC), 1.0, "ana", "3.11")
value = {"a": [1, 2.5, None], "text": "x" * 5000}
data = b"".join(encode(value, metadata).parts)
assert BlobReader.open(Source(), key="k").value() == value
heavy = {"numpy", "blosc2", "cloudpickle", "pandas", "fsspec", "importlib.metadata", "sqlalchemy", "ctypes"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
