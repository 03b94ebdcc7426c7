"""Reading: the value that was written, or an error; what is damaged is never unpickled."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn.ensemble import RandomForestClassifier

import cachestore.blob.reader
from cachestore.blob import BlobReader, Metadata, encode
from cachestore.blob.codecs import BLOSC2, RAW, Codec, compress_chunk
from cachestore.blob.header import Trailer, pack_header
from cachestore.blob.table import CHUNK_LIMIT, Chunk, Frame, FrameKind, Table
from cachestore.errors import BlobError, CorruptBlob, NewerBlob

MIB = 2**20
RANDOM = numpy.random.default_rng(0).bytes(50 * MIB)


class Colour(Enum):
    BLUE = 1


def assert_same(left: Any, right: Any) -> None:
    assert type(left) is type(right)
    if isinstance(left, numpy.ndarray):
        assert left.dtype == right.dtype
        assert right.flags.writeable
        numpy.testing.assert_array_equal(left, right)
    elif isinstance(left, dict):
        assert list(left) == list(right)
        for name in left:
            assert_same(left[name], right[name])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    elif left == left:
        assert left == right


@pytest.fixture
def unpickled(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A list that grows whenever anything is unpickled."""
    calls: list[object] = []
    original = cachestore.blob.reader.unpickle_value

    def counting(body: memoryview, buffers: Any) -> object:
        calls.append(body)
        return original(body, buffers)

    monkeypatch.setattr(cachestore.blob.reader, "unpickle_value", counting)
    return calls


VALUES = {
    "none": None,
    "text": "größe",
    "long text": "x" * 100_000,
    "bytes": RANDOM[: 5 * MIB],
    "dict": {"a": [1, 2.5, (True, None)], "b": {"c": {1, 2}}},
    "ordered": OrderedDict(b=1, a=2),
    "dates": [datetime(2026, 1, 2, tzinfo=UTC), date(2026, 1, 2)],
    "enum and path": (Colour.BLUE, Path("a/b")),
    "scalars": [numpy.float32(1.5), numpy.int8(3), numpy.datetime64("2026-01-02")],
    "array": numpy.arange(1000.0),
    "array of several chunks": numpy.arange(2_000_000.0),
    "random array of several chunks": numpy.frombuffer(RANDOM, "f8")[: 10 * MIB // 8].copy(),
    "nested arrays": {"x": [numpy.arange(5000), (numpy.zeros((100, 100), order="F"), "y")]},
    "objects": numpy.array([1, "a", None, (2, 3)], dtype=object),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("compress", [None, False, 5])
def test_a_value_comes_back(
    name: str, compress: Any, write: Callable[..., bytes], read: Callable[..., Any]
) -> None:
    assert_same(VALUES[name], read(write(VALUES[name], compress=compress)))


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
arrays = npst.arrays(
    dtype=npst.scalar_dtypes() | npst.array_dtypes() | npst.nested_dtypes(),
    shape=npst.array_shapes(min_dims=0, max_dims=4, min_side=0),
)


@given(value=plain)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_plain_values_come_back(value: Any, write: Callable[..., bytes], read: Callable[..., Any]) -> None:
    assert_same(value, read(write(value)))


@given(
    array=arrays,
    repeats=st.sampled_from([1, 1, 5000]),
    order=st.sampled_from("CF"),
    step=st.sampled_from([1, 2, -1]),
)
@settings(deadline=None)
def test_arrays_come_back(
    array: Any, repeats: int, order: Any, step: int, write: Callable[..., bytes], read: Callable[..., Any]
) -> None:
    if repeats > 1 and array.ndim and array.nbytes < 2000:
        array = numpy.repeat(array, repeats, axis=0)
    if array.ndim:
        array = numpy.asarray(array, order=order)[::step]
    again = read(write(array))
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert again.flags.writeable
    assert again.tobytes() == array.tobytes()


def test_data_frames_and_estimators_come_back(write: Callable[..., bytes], read: Callable[..., Any]) -> None:
    generator = numpy.random.default_rng(1)
    X, y = generator.normal(size=(300, 20)), generator.integers(0, 3, 300)
    forest = RandomForestClassifier(20, random_state=0).fit(X, y)
    frame = pandas.DataFrame(X).assign(name=[f"n{i}" for i in y], group=pandas.Categorical(y))
    again = read(write({"forest": forest, "frame": frame}))
    numpy.testing.assert_array_equal(again["forest"].predict_proba(X), forest.predict_proba(X))
    pandas.testing.assert_frame_equal(again["frame"], frame)
    again["forest"].fit(X, y)


def test_a_function_without_a_name_comes_back(write: Callable[..., bytes], read: Callable[..., Any]) -> None:
    offset = 7
    assert read(write(lambda x: x + offset))(1) == 8


def test_metadata_and_size_are_those_of_the_writer(metadata: Metadata, source: Any) -> None:
    encoded = encode(numpy.arange(1e6), metadata)
    reader = BlobReader.open(source(b"".join(encoded.parts)))
    assert reader.metadata == encoded.metadata
    assert reader.size == encoded.size


# -- what is asked of a source


def test_a_small_blob_costs_one_request(write: Callable[..., bytes], source: Any) -> None:
    asked = source(write({"a": 1}))
    reader = BlobReader.open(asked)
    reader.verify()
    assert reader.value() == {"a": 1}
    assert asked.requests == [("suffix", MIB)]


def test_the_metadata_of_a_large_blob_cost_one_request(write: Callable[..., bytes], source: Any) -> None:
    asked = source(write(bytearray(RANDOM), compress=False))
    assert BlobReader.open(asked).metadata.kind == "builtins.bytearray"
    assert asked.requests == [("suffix", MIB)]


@pytest.mark.parametrize("act", ["value", "verify"])
def test_only_what_is_missing_is_fetched_and_each_byte_once(
    act: str, write: Callable[..., bytes], source: Any
) -> None:
    asked = source(write(bytearray(RANDOM), compress=False))
    getattr(BlobReader.open(asked), act)()
    (first, *ranges) = asked.requests
    assert first == ("suffix", MIB)
    position = 0
    for _, start, stop in ranges:
        assert start == position
        assert stop - start <= 36 * MIB
        position = stop
    assert position == len(asked.data) - MIB


def test_metadata_and_table_longer_than_the_suffix_are_fetched(metadata: Metadata, source: Any) -> None:
    long = replace(metadata, code_parts={f"constant:project:N{i}": "12" * 32 for i in range(20_000)})
    asked = source(b"".join(encode({"a": 1}, long).parts))
    assert len(asked.data) > 1.5 * MIB
    reader = BlobReader.open(asked)
    assert reader.metadata.code_parts == long.code_parts
    assert reader.value() == {"a": 1}


def test_extra_memory_is_bounded(write: Callable[..., bytes], source: Any) -> None:
    asked = source(write(numpy.frombuffer(RANDOM, "u1"), compress=False))
    tracemalloc.start()
    value = BlobReader.open(asked).value()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(value) + 80 * MIB  # pieces of 32 MiB, one of them joined from two


# -- laws of damage


def refusing(data: bytes, source: Any, *, key: str | None = None) -> None:
    """Assert that `data` are refused whatever is asked of them."""
    for act in (BlobReader.value, BlobReader.verify):
        with pytest.raises((CorruptBlob, NewerBlob)):
            act(BlobReader.open(source(data), key=key))


@pytest.mark.parametrize("value", [{"a": 1, "b": "text"}, numpy.arange(3000.0)], ids=["dict", "packed array"])
def test_any_flipped_bit_is_found(
    value: Any, write: Callable[..., bytes], source: Any, unpickled: list[object]
) -> None:
    data = write(value)
    for index in range(len(data)):
        damaged = bytearray(data)
        damaged[index] ^= 1 << index % 8
        refusing(bytes(damaged), source)
    assert not unpickled


def test_any_flipped_byte_of_a_large_blob_is_found(
    write: Callable[..., bytes], source: Any, unpickled: list[object]
) -> None:
    data = bytearray(write({"raw": RANDOM[: 3 * MIB], "packed": numpy.arange(800_000.0)}))
    assert len(data) > 2 * MIB
    generator = numpy.random.default_rng(3)
    for index in {
        *range(24),
        *generator.integers(0, len(data), 40).tolist(),
        *range(len(data) - 50, len(data)),
    }:
        data[index] ^= 0x40
        refusing(bytes(data), source)
        data[index] ^= 0x40
    assert not unpickled
    BlobReader.open(source(bytes(data))).verify()


def test_any_truncation_is_found(write: Callable[..., bytes], source: Any, unpickled: list[object]) -> None:
    data = write({"a": 1, "b": "text"})
    for length in range(len(data)):
        refusing(data[:length], source)
        refusing(data[len(data) - length :] if length else b"", source)
    refusing(data + b"\0", source)
    refusing(b"\0" + data, source)
    refusing(data + data, source)
    assert not unpickled


@pytest.mark.parametrize("cut", [1, 24, 30])
def test_not_even_the_metadata_of_a_small_blob_without_its_beginning_are_believed(
    cut: int, write: Callable[..., bytes], source: Any
) -> None:
    asked = source(write({"a": 1, "b": "text"})[cut:])
    with pytest.raises(CorruptBlob, match="declares"):
        BlobReader.open(asked)
    assert asked.requests == [("suffix", MIB)]


@pytest.mark.parametrize("cut", [1, 24, MIB, 2 * MIB])
def test_a_large_blob_that_lost_or_gained_its_beginning_is_found(
    cut: int, write: Callable[..., bytes], source: Any, unpickled: list[object]
) -> None:
    data = write(RANDOM[: 3 * MIB])
    refusing(data[cut:], source)
    refusing(data[:cut] + data, source)
    assert not unpickled


def test_bytes_that_are_never_asked_for_do_not_change_the_value_and_show_in_the_size(
    write: Callable[..., bytes], source: Any
) -> None:
    """The one kind of damage that a reader without the object's length cannot see; FORMAT.md speaks of it."""
    data = write(RANDOM[: 3 * MIB])
    for longer in (data[:-MIB] + b"junk" + data[-MIB:], data + data[-MIB:]):
        reader = BlobReader.open(source(longer))
        reader.verify()
        assert reader.value() == RANDOM[: 3 * MIB]
        assert reader.size == len(data) < len(longer)
    for shift in (-1, 1):
        at = len(data) - MIB + shift
        refusing(data[:at] + b"junk" + data[at:], source)


def test_any_splice_of_two_blobs_is_found(
    write: Callable[..., bytes], source: Any, metadata: Metadata, unpickled: list[object]
) -> None:
    blobs = [
        write({"a": 1}),
        write({"a": 2}),
        write({"a": 1}, seconds=1.0),
        write({"a": 10**6}, key="f0" * 32),
    ]
    for first in blobs:
        for second in blobs:
            for cut in range(0, max(len(first), len(second)), 3):
                for other in {cut, len(second) - len(first) + cut}:
                    spliced = first[:cut] + second[max(other, 0) :]
                    if spliced not in blobs:
                        refusing(spliced, source)
    assert not unpickled


def test_a_blob_replaced_between_two_requests_is_found(
    write: Callable[..., bytes], source: Any, unpickled: list[object]
) -> None:
    asked = source(write(RANDOM[: 3 * MIB]))
    reader = BlobReader.open(asked)
    asked.data = write(RANDOM[MIB : 4 * MIB])
    with pytest.raises(CorruptBlob):
        reader.value()
    assert not unpickled


@pytest.mark.parametrize("data", [b"", b"\0" * 10_000, b"not a blob" * 1000, b"\x93CSB\r\n\x1a\n" * 20])
def test_what_is_no_blob_is_corrupt(data: bytes, source: Any) -> None:
    refusing(data, source)


def test_another_key_than_asked_for_is_corrupt(
    write: Callable[..., bytes], source: Any, unpickled: list[object]
) -> None:
    data = write({"a": 1})
    with pytest.raises(CorruptBlob, match=f"{'12' * 32}.*{'ab' * 32}"):
        BlobReader.open(source(data), key="12" * 32)
    assert BlobReader.open(source(data), key="ab" * 32).value() == {"a": 1}
    assert len(unpickled) == 1


def test_a_value_that_cannot_be_unpickled_here_is_no_corruption(
    write: Callable[..., bytes], source: Any
) -> None:
    reader = BlobReader.open(source(write(Colour.BLUE)))
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(sys.modules[__name__], "Colour")
        reader.verify()
        with pytest.raises(BlobError, match="Colour") as caught:
            reader.value()
    assert not isinstance(caught.value, CorruptBlob)


# -- blobs that no writer of ours would write, with digests that are right


@pytest.fixture
def craft(metadata: Metadata) -> Callable[..., bytes]:
    def craft(
        frames: list[tuple[FrameKind, list[tuple[int, bytes, int]]]],
        *,
        header: bytes | None = None,
        **trailer: int,
    ) -> bytes:
        """Build a blob from (kind, [(codec, stored bytes, raw size)])."""
        header = pack_header() if header is None else header
        stored, table_frames = header, []
        for kind, contents in frames:
            chunks = []
            for codec, data, raw_size in contents:
                chunks.append(Chunk(len(stored), len(data), raw_size, codec, blake3(data).digest()))
                stored += data
            table_frames.append(Frame(kind, 1, sum(chunk.raw_size for chunk in chunks), chunks))
        raw_size = sum(frame.raw_size for frame in table_frames) + trailer.pop("raw_size_off", 0)
        section = replace(metadata, raw_size=raw_size).to_json()
        table = Table(blake3(header).digest(), blake3(section).digest(), table_frames).pack()
        offset = len(stored) + len(section)
        fields = {
            "metadata_offset": len(stored),
            "metadata_length": len(section),
            "table_offset": offset,
            "table_length": len(table),
            "total_length": offset + len(table) + 104,
        }
        return (
            stored
            + section
            + table
            + Trailer(table_digest=blake3(table).digest(), **(fields | trailer)).pack()
        )

    return craft


NONE = b"\x80\x05N."
BODY = (FrameKind.PICKLE, [(RAW, NONE, len(NONE))])


def bombs() -> Iterator[tuple[str, Any]]:
    zeros = compress_chunk(memoryview(bytes(CHUNK_LIMIT)), codec=Codec("LZ4", 5), item_size=8)
    assert zeros is not None
    bomb = bytearray(zeros)
    bomb[4:8] = (2**31 - 1).to_bytes(4, "little")
    yield (
        "a chunk that grows beyond its raw size",
        [BODY, (FrameKind.BUFFER, [(BLOSC2, bytes(bomb), CHUNK_LIMIT)])],
    )
    yield "a chunk smaller than its raw size", [BODY, (FrameKind.BUFFER, [(BLOSC2, zeros, CHUNK_LIMIT - 1)])]
    yield "a raw chunk that declares more", [BODY, (FrameKind.BUFFER, [(RAW, b"abc", CHUNK_LIMIT)])]
    yield "a chunk over the limit", [BODY, (FrameKind.BUFFER, [(BLOSC2, bytes(bomb), 2**31 - 1)])]
    yield "an unknown codec", [BODY, (FrameKind.BUFFER, [(7, b"abc", 3)])]
    yield "rubbish instead of blosc2", [BODY, (FrameKind.BUFFER, [(BLOSC2, b"\5" * 1000, 1000)])]
    yield "no body", [(FrameKind.BUFFER, BODY[1])]
    yield "two bodies", [BODY, BODY]


@pytest.mark.parametrize(("name", "frames"), list(bombs()))
def test_crafted_frames_are_refused_without_allocating(
    name: str, frames: Any, craft: Callable[..., bytes], source: Any, unpickled: list[object]
) -> None:
    asked = source(craft(frames))
    tracemalloc.start()
    try:
        refusing(asked.data, source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB
    assert not unpickled


def test_the_crafter_builds_sound_blobs(craft: Callable[..., bytes], source: Any) -> None:
    assert BlobReader.open(source(craft([BODY]))).value() is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"header": pack_header(format_number=1)},
        {"header": pack_header(may_ignore=1)},
        {"header": b"\0" * 24},
        {"raw_size_off": 1},
    ],
    ids=["another format", "another feature", "no magic", "raw size"],
)
def test_parts_that_contradict_each_other_are_corrupt(
    wrong: dict[str, Any], craft: Callable[..., bytes], source: Any, unpickled: list[object]
) -> None:
    refusing(craft([BODY], **wrong), source)
    assert not unpickled


def test_later_formats_and_features_are_newer(craft: Callable[..., bytes], source: Any) -> None:
    for later in ({"format": 1}, {"must_understand": 1}):
        with pytest.raises(NewerBlob, match="upgrade"):
            BlobReader.open(source(craft([BODY], **later)))
    ignorable = craft([BODY], header=pack_header(may_ignore=8), may_ignore=8)
    assert BlobReader.open(source(ignorable)).value() is None


def test_a_value_larger_than_memory_is_a_blob_error() -> None:
    program = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import numpy, blosc2
from blake3 import blake3
from cachestore.blob import BlobReader, Metadata
from cachestore.blob.codecs import Codec, compress_chunk
from cachestore.blob.header import Trailer, pack_header
from cachestore.blob.table import CHUNK_LIMIT, Chunk, Frame, FrameKind, Table
from cachestore.errors import BlobError, CorruptBlob
from datetime import datetime, UTC

resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
zeros = compress_chunk(memoryview(bytes(CHUNK_LIMIT)), codec=Codec("LZ4", 5), item_size=8)
for kind in FrameKind:
    stored, chunks = pack_header(), []
    for _ in range(4096):
        chunks.append(Chunk(len(stored), len(zeros), CHUNK_LIMIT, 1, blake3(zeros).digest()))
        stored += zeros
    body = 4096 if kind == FrameKind.PICKLE else 1
    frames = [Frame(FrameKind.PICKLE, 1, CHUNK_LIMIT * body, chunks[:body])]
    if body == 1:
        frames.append(Frame(kind, 1, CHUNK_LIMIT * 4095, chunks[1:]))
    now, size = datetime.now(UTC), CHUNK_LIMIT * 4096
    metadata = Metadata("k", "f", "v", {{}}, {{}}, now, 1.0, "ana", "3.11", raw_size=size)
    section = metadata.to_json()
    table = Table(blake3(pack_header()).digest(), blake3(section).digest(), frames).pack()
    start, offset, length = len(stored), len(stored) + len(section), len(table)
    trailer = Trailer(blake3(table).digest(), start, len(section), offset, length, offset + length + 104)
    data = stored + section + table + trailer.pack()

    class Source:
        def suffix(self, length): return data[-length:]
        def range(self, start, stop): return data[start:stop]

    reader = BlobReader.open(Source())
    reader.verify()
    try:
        reader.value()
    except CorruptBlob:
        raise
    except BlobError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stdout.count("does not fit into memory") == 2, done.stderr
