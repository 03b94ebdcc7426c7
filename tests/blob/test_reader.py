"""Reading: the value that was written, or an error; what is damaged is never unpickled."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from enum import Enum
from itertools import pairwise
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
from cachestore.blob.body import BodyKind
from cachestore.blob.codecs import BLOSC2, RAW, Codec, compress_chunk
from cachestore.blob.header import Trailer, pack_header
from cachestore.blob.table import BUFFER, CHUNK_LIMIT, Chunk, Frame, Table, aligned
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
def made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A list that grows whenever a value is made of a body, of whatever kind."""
    calls: list[object] = []
    original = cachestore.blob.reader.value_of

    def counting(kind: int, body: memoryview, buffers: Any, *, policy: Any) -> object:
        calls.append(body)
        return original(kind, body, buffers, policy=policy)

    monkeypatch.setattr(cachestore.blob.reader, "value_of", counting)
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
    reader = BlobReader.open(source(b"".join(encoded)))
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
@pytest.mark.parametrize("compress", [False, ("zstd", 1)])
def test_only_what_is_missing_is_fetched_and_each_byte_once(
    act: str, compress: Any, write: Callable[..., bytes], source: Any
) -> None:
    value = {"noise": bytearray(RANDOM[: 20 * MIB]), "packed": numpy.arange(2_000_000.0)}
    asked = source(write(value, compress=compress), at_once=1)
    getattr(BlobReader.open(asked), act)()
    (first, *ranges) = asked.requests
    assert first == ("suffix", MIB)
    position = 0
    for _, start, stop in ranges:
        assert start == position
        assert stop - start <= 4 * MIB + 64
        position = stop
    assert position == len(asked.data) - MIB
    # What needs no decompressing goes straight to where it belongs.
    straight = sum(stop - start for how, start, stop in ranges if how == "read_into")
    if act == "value" and not compress:
        assert straight > len(asked.data) - 6 * MIB
    if act == "verify":  # but for the window of which the end is there already
        assert straight <= 4 * MIB + 64


def test_metadata_and_table_longer_than_the_suffix_are_fetched(metadata: Metadata, source: Any) -> None:
    long = replace(metadata, code_parts={f"constant:project:N{i}": "12" * 32 for i in range(20_000)})
    asked = source(b"".join(encode({"a": 1}, long)))
    assert len(asked.data) > 1.5 * MIB
    reader = BlobReader.open(asked)
    assert reader.metadata.code_parts == long.code_parts
    assert reader.value() == {"a": 1}
    reader.verify()


def test_a_table_longer_than_the_suffix_leaves_the_body_before_it(
    write: Callable[..., bytes], source: Any
) -> None:
    """A small raw body has no memory of its own, so it cannot be read straight into it."""
    arrays = [numpy.frombuffer(RANDOM[i * 20_000 : (i + 1) * 20_000], "u1") for i in range(1000)]
    for compress in (False, None):
        asked = source(write(arrays, compress=compress), suffix_length=2**16)
        reader = BlobReader.open(asked)
        reader.verify()
        assert_same([array.copy() for array in arrays], reader.value())


def test_a_hit_parses_no_json(write: Callable[..., bytes], source: Any) -> None:
    data = write([1], value_digest="fe" * 32, key="0a" * 32, seconds=0.25)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Metadata, "read", lambda *_: pytest.fail("metadata were parsed"))
        reader = BlobReader.open(source(data), key="0a" * 32)
        assert (reader.key, reader.value_digest, reader.seconds) == ("0a" * 32, "fe" * 32, 0.25)
        assert reader.value() == [1]
    assert reader.metadata.value_digest == "fe" * 32
    assert reader.metadata is reader.metadata


def test_what_the_head_says_is_what_was_written(write: Callable[..., bytes], source: Any) -> None:
    moment = datetime(2031, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
    data = write(None, expires_at=moment, epoch=2**40, value_digest="01" * 32, key="10" * 32)
    metadata = BlobReader.open(source(data)).metadata
    assert (metadata.expires_at, metadata.epoch) == (moment, 2**40)
    assert (metadata.value_digest, metadata.key) == ("01" * 32, "10" * 32)


def test_a_blob_may_have_no_key_and_no_value_digest(write: Callable[..., bytes], source: Any) -> None:
    data = write([1], key="")
    reader = BlobReader.open(source(data))
    assert (reader.key, reader.value_digest, reader.metadata.key) == ("", None, "")
    assert reader.value() == [1]
    for key in ("ab" * 32, "00" * 32):
        with pytest.raises(CorruptBlob, match="has no key"):
            BlobReader.open(source(data), key=key)


@pytest.mark.parametrize("off", [-1, 0, 1, 2, 24, 64])
@pytest.mark.parametrize("compress", [False, None])
def test_blobs_about_as_long_as_the_first_request(
    off: int, compress: Any, write: Callable[..., bytes], source: Any
) -> None:
    for value in ({"a": 1}, numpy.arange(9000.0), [numpy.frombuffer(RANDOM[:40_000], "u1").copy()] * 2):
        data = write(value, compress=compress)
        asked = source(data, suffix_length=len(data) + off)
        reader = BlobReader.open(asked)
        reader.verify()
        assert_same(value, reader.value())
        assert (len(asked.requests) == 1) == (off >= 0)
        reader_of_less = source(data[1:], suffix_length=len(data) + off)
        with pytest.raises(CorruptBlob):
            BlobReader.open(reader_of_less).value()


@pytest.mark.parametrize("suffix_length", [128, 129, 200, 300, 500, 700, 1000, 5000, 40_000, 2**18])
@pytest.mark.parametrize("compress", [False, None, ("zstd", 1, "bitshuffle")])
def test_however_much_comes_first_the_value_is_the_same(
    suffix_length: int, compress: Any, write: Callable[..., bytes], source: Any
) -> None:
    value = {"a": numpy.arange(70_000.0), "b": numpy.frombuffer(RANDOM[:300_000], "u1").copy(), "c": [1, "d"]}
    data = write(value, compress=compress)
    reader = BlobReader.open(source(data, suffix_length=suffix_length, at_once=3))
    assert_same(value, reader.value())
    reader.verify()
    assert reader.metadata.kind == "builtins.dict"


# -- sources that do not answer as asked


@pytest.mark.parametrize("act", [BlobReader.value, BlobReader.verify])
@pytest.mark.parametrize("compress", [False, ("zlib", 1)])
@pytest.mark.parametrize("how", ["suffix", "range", "read_into"])
@pytest.mark.parametrize("much", [-1, 1, -(10**9)])
def test_too_little_or_too_much_never_gives_a_wrong_value(
    how: str, much: int, compress: Any, act: Any, write: Callable[..., bytes], source: Any
) -> None:
    value = [numpy.arange(400_000.0), numpy.frombuffer(RANDOM[: 3 * MIB], "u1").copy()]
    asked = source(write(value, compress=compress), suffix_length=2**16)
    original = getattr(asked, how)

    def range_(start: int, stop: int) -> bytes:
        return bytes(original(start, max(stop + much, start)))

    def suffix(length: int) -> bytes:
        return bytes(original(max(length + much, 1)))

    def read_into(start: int, outs: Any) -> int:
        return int(original(start, outs)) + max(much, -5)

    setattr(asked, how, {"suffix": suffix, "range": range_, "read_into": read_into}[how])
    try:
        found = act(BlobReader.open(asked))
    except CorruptBlob:
        return
    # A first answer of another length than asked for is as good, and some ways are not gone by some blobs.
    assert how == "suffix" or how not in {request[0] for request in asked.requests}
    if act is BlobReader.value:
        assert_same(value, found)


class Failed(Exception):
    pass


@pytest.mark.parametrize("act", [BlobReader.value, BlobReader.verify])
@pytest.mark.parametrize("compress", [False, ("zstd", 1)])
@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_the_first_error_ends_the_rest_and_no_thread_stays(
    at_once: int, compress: Any, act: Any, write: Callable[..., bytes], source: Any
) -> None:
    asked = source(write(bytearray(RANDOM), compress=compress), at_once=at_once)
    reader = BlobReader.open(asked)
    lock, begun = threading.Lock(), []

    def failing(start: int, _: Any) -> Any:
        with lock:
            begun.append(start)
        raise Failed(start)

    asked.range = asked.read_into = failing
    before = threading.active_count()
    with pytest.raises(Failed) as caught:
        act(reader)
    assert caught.value.args == (0,)
    assert threading.active_count() == before
    assert len(begun) <= 2 * at_once < 12


def test_several_ranges_are_asked_for_at_once(write: Callable[..., bytes], source: Any) -> None:
    asked = source(write(bytearray(RANDOM), compress=False), at_once=4)
    reader = BlobReader.open(asked)
    together = threading.Barrier(4)
    original = asked.read_into

    def waiting(start: int, outs: Any) -> int:
        if start < 16 * 4 * MIB // 2:
            together.wait(timeout=20)  # breaks unless four of them are here
        return int(original(start, outs))

    asked.read_into = waiting
    assert reader.value() == RANDOM


def test_threads_are_few_however_many_a_source_would_bear(
    write: Callable[..., bytes], source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = source(write(bytearray(RANDOM), compress=False), at_once=1000)
    threads: list[int] = []
    original = cachestore.blob.reader.in_order

    def counting(work: Any, items: Any, *, at_once: int) -> Any:
        threads.append(at_once)
        return original(work, items, at_once=at_once)

    monkeypatch.setattr(cachestore.blob.reader, "in_order", counting)
    reader = BlobReader.open(asked)
    reader.verify()
    assert reader.value() == RANDOM
    assert [*reader.raw_chunks()]
    assert threads == [12, 12, 12]


MEASURED = """
import re, sys
from datetime import UTC, datetime
import blosc2, numpy
from cachestore.blob import BlobReader, Metadata, encode
from cachestore.storage.opened_file import OpenedFile
from cachestore.storage.stored_object import RangedObject

kind, act, path = sys.argv[1:]


def peak():
    # Not ru_maxrss, which begins with what the process that started this one had.
    return 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])


def write(value):
    metadata = Metadata("ab" * 32, "f", "v", {}, {}, datetime.now(UTC), 1.0, "ana", "3.11")
    with open(path, "wb") as file:
        for part in encode(value, metadata, compress=False if kind == "raw" else ("lz4", 1)):
            file.write(part)


class Store(OpenedFile):
    get_suffix = lambda self, _, length: self.suffix(length)
    get_range = lambda self, _, start, stop: self.range(start, stop)


def read():
    opened = Store(path, lambda error: error)
    reader = BlobReader.open(RangedObject(opened, "") if act == "far" else opened)
    reader.value()
    return reader.metadata.raw_size


numbers = numpy.arange(25_000_000.0 if act == "write" else 10_000.0)
numbers[::3] = numpy.random.default_rng(0).normal(size=len(numbers[::3]))
value = numpy.array_split(numbers, 2000) if kind == "arrays" else numbers
value = {"raw": bytes(numbers)} if kind == "bytes" else value
if act == "write":
    before = peak()
    write(value)
    print(peak() - before)
else:
    before = peak()
    print(-read() + peak() - before)
"""


@pytest.mark.parametrize("kind", ["raw", "packed", "arrays", "bytes"])
def test_extra_memory_is_bounded(kind: str, tmp_path: Path) -> None:
    """Of 200 MB, written to a file and read back, no more than 64 MB beside the value are ever in memory."""
    for act in ("write", "near", "far"):
        command = [sys.executable, "-c", MEASURED, kind, act, str(tmp_path / "blob")]
        root = Path(__file__).parents[2]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=root)
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) < 64 * 10**6, f"{act}: {int(done.stdout) / 1e6} MB"


def test_raw_chunks_that_compress_well_are_not_in_memory_all_at_once(
    write: Callable[..., bytes], source: Any
) -> None:
    data = write(numpy.zeros(25_000_000), compress=("lz4", 1))
    reader = BlobReader.open(source(data))
    tracemalloc.start()
    try:
        assert sum(chunk.nbytes for chunk in reader.raw_chunks()) == reader.metadata.raw_size
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB


# -- laws of damage


def refusing(data: bytes, source: Any, *, key: str | None = None) -> None:
    """Assert that `data` are refused whatever is asked of them."""
    for act in (BlobReader.value, BlobReader.verify):
        with pytest.raises((CorruptBlob, NewerBlob)):
            act(BlobReader.open(source(data), key=key))


@pytest.mark.parametrize("value", [{"a": 1, "b": "text"}, numpy.arange(3000.0)], ids=["dict", "packed array"])
def test_any_flipped_bit_is_found(
    value: Any, write: Callable[..., bytes], source: Any, made: list[object]
) -> None:
    data = write(value)
    for index in range(len(data)):
        damaged = bytearray(data)
        damaged[index] ^= 1 << index % 8
        refusing(bytes(damaged), source)
    assert not made


def test_any_flipped_byte_of_a_large_blob_is_found(
    write: Callable[..., bytes], source: Any, made: list[object]
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
    assert not made
    BlobReader.open(source(bytes(data))).verify()


@pytest.mark.parametrize("suffix_length", [MIB, 2000])
@pytest.mark.parametrize("compress", [False, None])
def test_any_byte_that_is_not_0_between_frames_is_found(
    suffix_length: int, compress: Any, write: Callable[..., bytes], source: Any, made: list[object]
) -> None:
    data = bytearray(
        write([numpy.frombuffer(RANDOM[: 65_601 + i], "u1") for i in range(4)], compress=compress)
    )
    reader = BlobReader.open(source(bytes(data)))
    chunks = [chunk for frame in reader.table.frames for chunk in frame.chunks]
    gaps = [*range(24, 64)]
    for before, after in pairwise(chunks):
        assert after.offset % 64 == 0
        gaps += range(before.offset + before.stored_size, after.offset)
    assert len(gaps) > 100
    assert not any(data[index] for index in gaps)
    for index in gaps:
        data[index] = 1 << index % 8
        for act in (BlobReader.value, BlobReader.verify):
            with pytest.raises(CorruptBlob, match="should be 0"):
                act(BlobReader.open(source(bytes(data), suffix_length=suffix_length)))
        data[index] = 0
    assert not made


def test_any_damage_of_what_is_read_straight_into_memory_is_found(
    write: Callable[..., bytes], source: Any, made: list[object]
) -> None:
    data = bytearray(
        write([numpy.frombuffer(RANDOM[: 2 * MIB + i], "u1") for i in range(1, 5)], compress=False)
    )
    asked = source(bytes(data), suffix_length=2**16)
    frames = BlobReader.open(asked).table.frames
    BlobReader.open(asked).value()
    straight = max(stop for how, _, stop in asked.requests[2:] if how == "read_into")
    made.clear()
    starts = [frame.chunks[0].offset for frame in frames if frame.chunks[0].offset < straight]
    assert len(starts) >= 3
    gaps = [24, *(start - 1 for start in starts)]
    chunks = [chunk for frame in frames for chunk in frame.chunks if chunk.offset < straight]
    assert len(chunks) >= 6
    ends = [place for chunk in chunks for place in (chunk.offset, chunk.offset + chunk.stored_size - 1)]
    for index in (0, 9, *gaps, *ends):
        data[index] ^= 1
        message = "begins with" if index < 24 else "should be 0" if index in gaps else "is damaged in"
        with pytest.raises(CorruptBlob, match=message):
            BlobReader.open(source(bytes(data), suffix_length=2**16)).value()
        data[index] ^= 1
    assert not made


def test_bytes_taken_out_where_they_are_repeated_do_not_change_the_value_and_show_in_the_size(
    write: Callable[..., bytes], source: Any
) -> None:
    data = write(bytes(3 * MIB), compress=False)
    shorter = data[: -MIB - 64] + data[-MIB:]
    reader = BlobReader.open(source(shorter))
    reader.verify()
    assert reader.value() == bytes(3 * MIB)
    assert reader.size == len(data) > len(shorter)


def test_any_truncation_is_found(write: Callable[..., bytes], source: Any, made: list[object]) -> None:
    data = write({"a": 1, "b": "text"})
    for length in range(len(data)):
        refusing(data[:length], source)
        refusing(data[len(data) - length :] if length else b"", source)
    refusing(data + b"\0", source)
    refusing(b"\0" + data, source)
    refusing(data + data, source)
    assert not made


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
    cut: int, write: Callable[..., bytes], source: Any, made: list[object]
) -> None:
    data = write(RANDOM[: 3 * MIB])
    refusing(data[cut:], source)
    refusing(data[:cut] + data, source)
    assert not made


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
    write: Callable[..., bytes], source: Any, metadata: Metadata, made: list[object]
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
    assert not made


def test_a_blob_replaced_between_two_requests_is_found(
    write: Callable[..., bytes], source: Any, made: list[object]
) -> None:
    asked = source(write(RANDOM[: 3 * MIB]))
    reader = BlobReader.open(asked)
    asked.data = write(RANDOM[MIB : 4 * MIB])
    with pytest.raises(CorruptBlob):
        reader.value()
    assert not made


@pytest.mark.parametrize("data", [b"", b"\0" * 10_000, b"not a blob" * 1000, b"\x93CSB\r\n\x1a\n" * 20])
def test_what_is_no_blob_is_corrupt(data: bytes, source: Any) -> None:
    refusing(data, source)


def test_another_key_than_asked_for_is_corrupt(
    write: Callable[..., bytes], source: Any, made: list[object]
) -> None:
    data = write({"a": 1})
    with pytest.raises(CorruptBlob, match=f"{'12' * 32}.*{'ab' * 32}"):
        BlobReader.open(source(data), key="12" * 32)
    assert BlobReader.open(source(data), key="ab" * 32).value() == {"a": 1}
    assert len(made) == 1


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
        frames: list[tuple[int, list[tuple[int, bytes, int]]]],
        *,
        header: bytes | None = None,
        **trailer: int,
    ) -> bytes:
        """Build a blob from (kind, [(codec, stored bytes, raw size)])."""
        header = pack_header() if header is None else header
        stored, table_frames = bytearray(header), []
        for kind, contents in frames:
            chunks = []
            for codec, data, raw_size in contents:
                if not chunks:
                    stored += bytes(aligned(len(stored)) - len(stored))
                chunks.append(Chunk(len(stored), len(data), raw_size, codec, blake3(data).digest()))
                stored += data
            table_frames.append(Frame(kind, 1, sum(chunk.raw_size for chunk in chunks), chunks))
        raw_size = sum(frame.raw_size for frame in table_frames) + trailer.pop("raw_size_off", 0)
        described = replace(metadata, raw_size=raw_size)
        section = described.to_json() + bytes(trailer.pop("padding", 0)).replace(b"\0", b" ")
        head = described.to_head(
            header_digest=blake3(header).digest(), metadata_digest=blake3(section).digest()
        )
        table = Table(head, table_frames).pack()
        offset = len(stored) + len(section)
        fields = {
            "metadata_offset": len(stored),
            "metadata_length": len(section),
            "table_offset": offset,
            "table_length": len(table),
            "total_length": offset + len(table) + 104,
        }
        return (
            bytes(stored)
            + section
            + table
            + Trailer(table_digest=blake3(table).digest(), **(fields | trailer)).pack()
        )

    return craft


NONE = b"\x80\x05N."
BODY = (BodyKind.PICKLE, [(RAW, NONE, len(NONE))])


def bombs() -> Iterator[tuple[str, Any]]:
    zeros = compress_chunk(memoryview(bytes(CHUNK_LIMIT)), codec=Codec("LZ4", 5), item_size=8)
    assert zeros is not None
    bomb = bytearray(zeros)
    bomb[4:8] = (2**31 - 1).to_bytes(4, "little")
    yield (
        "a chunk that grows beyond its raw size",
        [(BUFFER, [(BLOSC2, bytes(bomb), CHUNK_LIMIT)]), BODY],
    )
    yield "a chunk smaller than its raw size", [(BUFFER, [(BLOSC2, zeros, CHUNK_LIMIT - 1)]), BODY]
    yield "a raw chunk that declares more", [(BUFFER, [(RAW, b"abc", CHUNK_LIMIT)]), BODY]
    yield "a chunk over the limit", [(BUFFER, [(BLOSC2, bytes(bomb), 2**31 - 1)]), BODY]
    yield "an unknown codec", [(BUFFER, [(7, b"abc", 3)]), BODY]
    yield "rubbish instead of blosc2", [(BUFFER, [(BLOSC2, b"\5" * 1000, 1000)]), BODY]
    yield "a body that grows beyond its raw size", [(BodyKind.PICKLE, [(BLOSC2, bytes(bomb), CHUNK_LIMIT)])]
    yield "no body", [(BUFFER, BODY[1])]
    yield "two bodies", [BODY, BODY]
    yield "a body before its buffers", [BODY, (BUFFER, BODY[1])]
    yield "a kind that there is not", [(5, BODY[1])]
    yield "nothing at all", []


@pytest.mark.parametrize(("name", "frames"), list(bombs()))
def test_crafted_frames_are_refused_without_allocating_more_than_one_chunk(
    name: str, frames: Any, craft: Callable[..., bytes], source: Any, made: list[object]
) -> None:
    asked = source(craft(frames))
    tracemalloc.start()
    try:
        refusing(asked.data, source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < CHUNK_LIMIT + MIB
    assert not made


def test_the_crafter_builds_sound_blobs(craft: Callable[..., bytes], source: Any) -> None:
    assert BlobReader.open(source(craft([BODY]))).value() is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"header": pack_header(format_number=2)},
        {"header": pack_header(may_ignore=1)},
        {"header": b"\0" * 24},
    ],
    ids=["another format", "another feature", "no magic"],
)
def test_parts_that_contradict_each_other_are_corrupt(
    wrong: dict[str, Any], craft: Callable[..., bytes], source: Any, made: list[object]
) -> None:
    refusing(craft([BODY], **wrong), source)
    assert not made


@pytest.mark.parametrize("digest", [0, 32], ids=["header", "metadata"])
def test_a_digest_in_the_head_that_is_another_is_corrupt(
    digest: int, write: Callable[..., bytes], source: Any, made: list[object]
) -> None:
    data = write([1])
    trailer = Trailer.parse(memoryview(data))
    table = bytearray(data[trailer.table_offset : -104])
    table[digest] ^= 1
    sealed = trailer._replace(table_digest=blake3(table).digest()).pack()
    refusing(data[: trailer.table_offset] + table + sealed, source)
    assert not made


def test_metadata_that_contradict_the_table_are_corrupt(craft: Callable[..., bytes], source: Any) -> None:
    reader = BlobReader.open(source(craft([BODY], raw_size_off=1)))
    with pytest.raises(CorruptBlob, match="raw bytes"):
        reader.metadata
    with pytest.raises(CorruptBlob, match="raw bytes"):
        reader.verify()
    assert reader.value() is None  # needs none of them


def test_later_formats_and_features_are_newer(craft: Callable[..., bytes], source: Any) -> None:
    for later in ({"format": 2}, {"must_understand": 1}):
        with pytest.raises(NewerBlob, match="upgrade"):
            BlobReader.open(source(craft([BODY], **later)))
    ignorable = craft([BODY], header=pack_header(may_ignore=8), may_ignore=8)
    assert BlobReader.open(source(ignorable)).value() is None


@pytest.mark.parametrize("padding", [0, 2 * MIB], ids=["at hand", "not at hand"])
@pytest.mark.parametrize("header", [pack_header(), b"\0" * 24])
def test_a_blob_without_chunks_has_a_header_too(
    padding: int, header: bytes, craft: Callable[..., bytes], source: Any, made: list[object]
) -> None:
    data = craft([(BodyKind.PLAIN, [])], header=header, padding=padding)
    for act in (BlobReader.value, BlobReader.verify):
        if act is BlobReader.verify and header == pack_header():
            act(BlobReader.open(source(data)))
            continue
        with pytest.raises(CorruptBlob):
            act(BlobReader.open(source(data)))
    assert len(made) == (header == pack_header())


@pytest.mark.parametrize("buffers", [2, 3])
def test_an_array_of_several_buffers_has_no_layout(
    buffers: int, craft: Callable[..., bytes], source: Any
) -> None:
    body = b'{"dtype":"|u1","shape":[6],"order":"C"}'
    part = bytes(6 // buffers)
    frames = [(BUFFER, [(RAW, part, len(part))])] * buffers
    reader = BlobReader.open(source(craft([*frames, (BodyKind.ARRAY, [(RAW, body, len(body))])])))
    with pytest.raises(CorruptBlob, match=r"6 bytes, its buffers \[[23], [23]"):
        reader.layout


@pytest.mark.parametrize("body_chunks", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 2 * MIB], ids=["at hand", "not at hand"])
def test_a_body_of_any_number_of_chunks_comes_back(
    body_chunks: int, padding: int, craft: Callable[..., bytes], source: Any
) -> None:
    body = pickle.dumps("a text of some length")
    step = -(-len(body) // body_chunks)
    pieces = [body[start : start + step] for start in range(0, len(body), step)]
    chunks = [(RAW, piece, len(piece)) for piece in pieces]
    reader = BlobReader.open(source(craft([(BodyKind.PICKLE, chunks)], padding=padding)))
    assert reader.value() == "a text of some length"


def test_a_table_of_chunks_that_lie_about_their_stored_size_reads_nothing_beyond(
    craft: Callable[..., bytes], source: Any, made: list[object]
) -> None:
    """Raw chunks, whose stored bytes are fewer than their raw ones, out of the first request."""
    frames = [(BUFFER, [(RAW, b"abc", 4 * MIB)] * 3), BODY]
    refusing(craft(frames, padding=2 * MIB), source)
    assert not made


def test_a_value_larger_than_memory_is_a_blob_error() -> None:
    program = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import numpy, blosc2
from blake3 import blake3
from cachestore.blob import BlobReader, Metadata
from cachestore.blob.codecs import Codec, compress_chunk
from cachestore.blob.header import Trailer, pack_header
from cachestore.blob.table import BUFFER, CHUNK_LIMIT, Chunk, Frame, Table
from cachestore.errors import BlobError, CorruptBlob
from datetime import datetime, UTC

resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
zeros = compress_chunk(memoryview(bytes(CHUNK_LIMIT)), codec=Codec("LZ4", 5), item_size=8)
zeros += bytes(-len(zeros) % 64)
zeros = zeros[:12] + len(zeros).to_bytes(4, "little") + zeros[16:]
for large in (0, 1):
    stored, chunks = pack_header() + bytes(40), []
    for _ in range(4097):
        chunks.append(Chunk(len(stored), len(zeros), CHUNK_LIMIT, 1, blake3(zeros).digest()))
        stored += zeros
    counts = [(1, 4096), (4096, 1)][large]
    frames, start = [], 0
    for kind, count in zip((BUFFER, 0), counts):
        frames.append(Frame(kind, 1, CHUNK_LIMIT * count, chunks[start : start + count]))
        start += count
    now, size = datetime.now(UTC), CHUNK_LIMIT * 4097
    metadata = Metadata("ab" * 32, "f", "v", {{}}, {{}}, now, 1.0, "ana", "3.11", raw_size=size)
    section = metadata.to_json()
    digests = [blake3(part).digest() for part in (pack_header(), section)]
    head = metadata.to_head(header_digest=digests[0], metadata_digest=digests[1])
    table = Table(head, frames).pack()
    start, offset, length = len(stored), len(stored) + len(section), len(table)
    trailer = Trailer(blake3(table).digest(), start, len(section), offset, length, offset + length + 104)
    data = stored + section + table + trailer.pack()

    class Source:
        suffix_length, at_once = 2**20, 2
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
