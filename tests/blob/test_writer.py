"""Writing: nothing is copied that need not be, and nothing is compressed that does not pay."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy
import pytest

from cachestore.blob import BlobReader, Encoded, Metadata, encode, writer
from cachestore.blob.body import Body, BodyKind, Buffer
from cachestore.blob.codecs import BLOSC2, RAW
from cachestore.blob.table import BUFFER, Chunk
from cachestore.blob.writer import CHUNK_SIZE
from cachestore.errors import BlobError, SettingsError

RANDOM = numpy.frombuffer(numpy.random.default_rng(0).bytes(9 * 2**20), "u1")


def chunks_of(encoded: Encoded, source: Any) -> list[list[Chunk]]:
    """Return the chunks of each frame: those of the buffers, then those of the body."""
    reader = BlobReader.open(source(b"".join(encoded)))
    return [list(frame.chunks) for frame in reader.table.frames]


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
    assert sum(len(part) for part in encoded) == encoded.size == len(b"".join(encoded))


def test_what_is_stored_raw_is_not_copied(metadata: Metadata) -> None:
    encoded = encode(RANDOM, metadata)
    views = [part for part in encoded if len(part) > CHUNK_SIZE // 2]
    assert [len(view) for view in views] == [CHUNK_SIZE] * 9
    assert all(numpy.shares_memory(numpy.frombuffer(view, "u1"), RANDOM) for view in views)


def test_chunks_hold_whole_items(metadata: Metadata, source: Any) -> None:
    records = numpy.zeros(200_000, dtype=[("a", "f8"), ("b", "f8"), ("c", "f8")])
    chunks, _ = chunks_of(encode(records, metadata), source)
    assert [chunk.raw_size for chunk in chunks] == [1_048_560] * 4 + [4_800_000 - 4 * 1_048_560]
    assert all(chunk.raw_size % 24 == 0 for chunk in chunks)


def test_items_larger_than_a_chunk_are_cut(metadata: Metadata, source: Any, read: Callable[..., Any]) -> None:
    pages = numpy.frombuffer(RANDOM.tobytes(), "V3145728")
    encoded = encode(pages, metadata)
    chunks, _ = chunks_of(encoded, source)
    assert {chunk.raw_size for chunk in chunks} == {CHUNK_SIZE}
    assert read(b"".join(encoded)).tobytes() == RANDOM.tobytes()


@pytest.mark.parametrize("off", [-8, 0, 8])
def test_a_frame_about_as_long_as_a_chunk(metadata: Metadata, source: Any, off: int) -> None:
    array = numpy.zeros((2 * CHUNK_SIZE + off) // 8)
    chunks, body = chunks_of(encode(array, metadata), source)
    assert sum(chunk.raw_size for chunk in chunks) == array.nbytes
    assert [chunk.raw_size for chunk in chunks][:2] == [CHUNK_SIZE, CHUNK_SIZE + min(off, 0)]
    assert len(chunks) == (3 if off > 0 else 2)
    assert len(body) == 1


# -- where things lie


@pytest.mark.parametrize("compress", [None, False])
def test_the_body_is_last_and_each_frame_is_aligned(metadata: Metadata, source: Any, compress: Any) -> None:
    value = [RANDOM[: 70_000 + i] for i in range(3)] + [numpy.arange(300_000.0)]
    data = b"".join(encode(value, metadata, compress=compress))
    reader = BlobReader.open(source(data))
    frames = reader.table.frames
    assert [frame.kind for frame in frames] == [BUFFER] * 4 + [BodyKind.PICKLE]
    assert [frame.item_size for frame in frames] == [1, 1, 1, 8, 1]
    end = 24
    for frame in frames:
        start = frame.chunks[0].offset
        assert start % 64 == 0
        assert 0 <= start - end < 64
        assert data[end:start] == bytes(start - end)
        for chunk in frame.chunks:
            assert chunk.offset == start
            start += chunk.stored_size
        end = start
    assert data[end : end + 1] == b"{"  # the metadata follow without a gap


def test_a_raw_frame_lies_in_the_blob_as_the_array_does(metadata: Metadata, source: Any) -> None:
    array = RANDOM.view("f8")
    data = b"".join(encode(array, metadata))
    start = chunks_of(encode(array, metadata), source)[0][0].offset
    assert data[start : start + array.nbytes] == array.tobytes()


# -- encoding again


@pytest.mark.parametrize("compress", [None, False, ("zstd", 1)])
def test_encoding_again_gives_the_same_bytes(metadata: Metadata, compress: Any) -> None:
    encoded = encode([RANDOM, numpy.arange(500_000.0), {"a": "x" * 50_000}], metadata, compress=compress)
    assert encoded.size == 0
    first = b"".join(encoded)
    assert encoded.size == len(first)
    assert b"".join(encoded) == first
    # Two at the same time, and one that was not ended, do not know of each other.
    for part, again in zip(encoded, encoded, strict=True):
        assert bytes(part) == bytes(again)
    begun = iter(encoded)
    next(begun), next(begun), next(begun)
    assert b"".join(encoded) == first
    assert encoded.size == len(first)


def test_no_thread_outlives_an_encoding_whether_ended_or_not(metadata: Metadata) -> None:
    before = threading.active_count()
    encoded = encode(RANDOM, metadata, compress=("zstd", 1))
    for _ in encoded:
        pass
    assert threading.active_count() == before
    parts = iter(encoded)
    next(parts), next(parts), next(parts)
    del parts
    assert threading.active_count() == before


def test_threads_are_few_however_many_processors_there_are(
    metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each holds a chunk beyond the value: 64 of them would hold more than 64 MiB.
    monkeypatch.setattr(writer, "processors", lambda: 64)
    threads: list[int] = []
    original = writer.in_order

    def counting(work: Any, items: Any, *, at_once: int) -> Any:
        threads.append(at_once)
        return original(work, items, at_once=at_once)

    monkeypatch.setattr(writer, "in_order", counting)
    b"".join(encode(RANDOM, metadata))
    assert threads == [12]


def test_no_more_is_compressed_ahead_than_what_is_taken_needs(
    metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    compressed: list[int] = []
    original = writer.compress_chunk

    def counting(raw: memoryview, **how: Any) -> bytes | None:
        compressed.append(len(raw))
        return original(raw, **how)

    monkeypatch.setattr(writer, "compress_chunk", counting)
    monkeypatch.setattr(writer, "processors", lambda: 2)
    parts = iter(encode(numpy.arange(5.0 * CHUNK_SIZE), metadata, compress=1))
    taken = 0
    for part in parts:
        taken += len(part) > 64
        assert len(compressed) <= taken + 6


def test_metadata_go_to_the_head_of_the_table_or_to_json(metadata: Metadata, source: Any) -> None:
    expires = datetime(2030, 1, 2, tzinfo=UTC)
    given = replace(metadata, value_digest="12" * 32, expires_at=expires, epoch=9, seconds=0.5)
    reader = BlobReader.open(source(b"".join(encode(1, given))))
    head = reader.table.head
    assert (head.key, head.value_digest) == (b"\xab" * 32, b"\x12" * 32)
    assert (head.seconds, head.epoch, head.expires) == (0.5, 9, int(expires.timestamp()) * 10**6)
    assert reader.metadata == replace(given, kind="builtins.int", raw_size=2)


def test_each_chunk_that_does_not_get_smaller_stays_raw(metadata: Metadata, source: Any) -> None:
    half = numpy.concatenate([RANDOM[:CHUNK_SIZE], numpy.zeros(CHUNK_SIZE, "u1")])
    chunks, body = chunks_of(encode(half, metadata), source)
    assert [chunk.codec for chunk in body] == [RAW]
    assert [chunk.codec for chunk in chunks] == [RAW, BLOSC2]
    assert chunks[1].stored_size < 1000


def test_what_gets_only_a_little_smaller_is_compressed_too(
    metadata: Metadata, source: Any, read: Callable[..., Any]
) -> None:
    halves = RANDOM[: 4 * CHUNK_SIZE].copy()
    halves[: 3 * CHUNK_SIZE].reshape(-1, 4)[:, 3] = 0
    encoded = encode(halves, metadata, compress=1)
    chunks, _ = chunks_of(encoded, source)
    assert all(0.6 * CHUNK_SIZE < chunk.stored_size < 0.95 * CHUNK_SIZE for chunk in chunks[:3])
    assert [chunk.codec for chunk in chunks] == [BLOSC2, BLOSC2, BLOSC2, RAW]
    assert read(b"".join(encoded)).tobytes() == halves.tobytes()


def test_what_the_place_asks_for_is_chosen(metadata: Metadata, source: Any) -> None:
    array = (numpy.sin(numpy.arange(300_000) / 1000) * 100).round(3)
    names = {}
    for place in ("near", "far"):
        encoded = encode([array, RANDOM], metadata, place=place)
        packed, raw, _ = chunks_of(encoded, source)
        assert {chunk.codec for chunk in raw} == {RAW}
        data = b"".join(encoded)
        names[place] = {data[chunk.offset + 22] for chunk in packed}
    assert names == {"near": {1}, "far": {5}}  # lz4 and zstd, as blosc2 numbers them


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
    data = b"".join(encoded)
    assert len(data) < encoded.metadata.raw_size / 2
    again = read(data)
    numpy.testing.assert_array_equal(again["a"], array)
    assert again["text"] == "x" * 100_000


def test_a_better_ratio_is_to_be_had_by_asking(metadata: Metadata) -> None:
    array = numpy.sin(numpy.arange(200_000.0)).round(3)
    sizes = [len(b"".join(encode(array, metadata, compress=compress))) for compress in (9, None)]
    assert sizes[0] < sizes[1]


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


def test_a_table_over_the_limit_is_refused_before_anything_is_written(metadata: Metadata) -> None:
    class Endless:
        """Claims to be a buffer of 400 GB."""

    def body_of(_: object) -> Body:
        raw = numpy.lib.stride_tricks.as_strided(numpy.zeros(1, "u1"), (400_000 * CHUNK_SIZE,), (0,))
        return Body(BodyKind.PICKLE, memoryview(b"N."), [Buffer(memoryview(raw), 1)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "body_of", body_of)
        with pytest.raises(BlobError, match="bytes of table"):
            encode(Endless(), metadata)


def test_a_small_plain_value_is_written_and_read_without_heavy_imports() -> None:
    program = """
import sys
from datetime import datetime, UTC
from cachestore.blob import BlobReader, Metadata, encode

class Source:
    suffix_length, at_once = 2**20, 2
    def suffix(self, length): return data
    def range(self, start, stop): raise AssertionError

metadata = Metadata("ab" * 32, "f", "v", {}, {}, datetime.now(UTC), 1.0, "ana", "3.11")
value = {"a": [1, 2.5, None], "text": "x" * 5000}
data = b"".join(encode(value, metadata))
reader = BlobReader.open(Source(), key="ab" * 32)
assert reader.value() == reader.value(policy="data") == value
heavy = {
    "numpy", "blosc2", "cloudpickle", "pandas", "fsspec", "importlib.metadata", "sqlalchemy", "ctypes", "pickle",
    "concurrent.futures",
}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
