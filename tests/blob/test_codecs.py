"""Codecs: what pays is compressed, and what does not say the truth about itself is not decompressed."""

from __future__ import annotations

import struct
from typing import Any

import blosc2
import numpy
import pytest

from cachestore.blob import codecs
from cachestore.blob.codecs import (
    _ZSTD,
    _ZSTD_WHOLE,
    BLOSC2,
    RAW,
    SMALL,
    Codec,
    check_chunk,
    codec_chooser,
    compress_chunk,
    decompress_chunk,
)
from cachestore.errors import CorruptBlob, SettingsError

NUMBERS = numpy.arange(50_000.0)
STEPS = memoryview((NUMBERS // 1000).tobytes())
RAW_NUMBERS = memoryview(NUMBERS.tobytes())


@pytest.mark.parametrize(
    ("compress", "codec"),
    [
        (False, None),
        (0, None),
        (True, Codec("ZSTD", 3)),
        (1, Codec("ZSTD", 1)),
        (9, Codec("ZSTD", 9)),
        ("zstd", Codec("ZSTD", 3)),
        (("zstd", 5), Codec("ZSTD", 5)),
        (("zstd", 0), None),
        ("zlib", Codec("ZLIB", 3)),
        (("gzip", 9), Codec("ZLIB", 9)),
        ("bz2", Codec("ZSTD", 3)),
        ("lzma", Codec("ZSTD", 3)),
        ("xz", Codec("ZSTD", 3)),
        ("lz4", Codec("LZ4", 3)),
        ("lz4hc", Codec("LZ4HC", 3)),
        ("blosclz", Codec("BLOSCLZ", 3)),
        ("blosc2", Codec("ZSTD", 3)),
        (("blosc2", 7), Codec("ZSTD", 7)),
        ("blosc2:lz4", Codec("LZ4", 3)),
        (("blosc2:zstd", 5), Codec("ZSTD", 5)),
        (("blosc2:zstd", 5, "bitshuffle"), Codec("ZSTD", 5, "BITSHUFFLE")),
        (("lz4", 1, "noshuffle"), Codec("LZ4", 1, "NOFILTER")),
        (("lz4", 1, "shuffle"), Codec("LZ4", 1, "SHUFFLE")),
        (("blosc2:zstd", 0, "bitshuffle"), None),
    ],
)
def test_each_meaning_of_compress(compress: Any, codec: Codec | None) -> None:
    for place in ("near", "far"):
        choose = codec_chooser(compress, place=place)
        # What is asked for is done, whether it pays or not; but not for what is small.
        for raw in (RAW_NUMBERS, memoryview(NOISE), memoryview(bytes(SMALL))):
            assert choose(raw, 8) == codec
        assert choose(memoryview(bytes(SMALL - 1)), 8) is None


# -- what `compress=None` chooses by looking at the data

NOISE = numpy.random.default_rng(0).bytes(400_000)
SMOOTH = (numpy.sin(numpy.arange(200_000) / 1000) * 100).round(3)
LABELS = numpy.random.default_rng(1).integers(0, 5, 200_000)


def test_noise_stays_as_it_is() -> None:
    for place in ("near", "far"):
        assert codec_chooser(None, place=place)(memoryview(NOISE), 8) is None
        assert codec_chooser(None, place=place)(memoryview(NOISE[:100_000]), 1) is None


@pytest.mark.parametrize("array", [SMOOTH, numpy.cumsum(LABELS), numpy.arange(10_000)], ids=str)
def test_near_takes_what_is_fast(array: Any) -> None:
    assert codec_chooser(None)(memoryview(array.tobytes()), 8) == Codec("LZ4", 5)


def test_near_leaves_alone_what_only_a_slower_codec_makes_a_little_smaller() -> None:
    noise = memoryview(numpy.random.default_rng(0).normal(size=100_000)).cast("B")
    assert codec_chooser(None)(noise, 8) is None
    assert codec_chooser(None, place="far")(noise, 8) == _ZSTD


def test_near_takes_what_is_slower_where_it_stores_much_less() -> None:
    assert codec_chooser(None)(memoryview(LABELS.tobytes()), 8) == _ZSTD


def test_what_comes_again_after_long_is_found() -> None:
    once = numpy.random.default_rng(3).normal(size=80_000)
    again = memoryview(numpy.tile(once, 120)).cast("B")
    for place in ("near", "far"):
        assert codec_chooser(None, place=place)(again, 8) == _ZSTD_WHOLE
    pickled = memoryview(bytes(numpy.random.default_rng(4).integers(97, 100, 100_000, "u1")))
    for place in ("near", "far"):
        assert codec_chooser(None, place=place)(pickled, 1) == _ZSTD_WHOLE


@pytest.mark.parametrize("array", [SMOOTH, numpy.cumsum(LABELS), numpy.arange(90_000.0)], ids=str)
def test_far_takes_the_order_of_bytes_that_is_smaller(array: Any) -> None:
    raw = memoryview(array.tobytes())
    chosen = codec_chooser(None, place="far")(raw, 8)
    sizes = {}
    for order in ("SHUFFLE", "BITSHUFFLE"):
        stored = compress_chunk(raw, codec=_ZSTD._replace(filter=order), item_size=8)
        assert stored is not None
        sizes[order] = len(stored)
    assert chosen == _ZSTD._replace(filter=min(sizes, key=sizes.__getitem__))


def test_each_order_of_bytes_is_sometimes_the_better_one() -> None:
    choose = codec_chooser(None, place="far")
    chosen = {choose(memoryview(array.tobytes()), 8) for array in (SMOOTH, LABELS, numpy.cumsum(LABELS))}
    assert chosen == {_ZSTD, _ZSTD._replace(filter="BITSHUFFLE")}


def test_samples_are_of_all_the_data() -> None:
    """A start that could be compressed, and an end that could not, say nothing of the rest."""
    choose = codec_chooser(None)
    zeros = bytes(2_000_000)
    assert choose(memoryview(NOISE + zeros), 8) == Codec("LZ4", 5)
    assert choose(memoryview(zeros + NOISE), 8) == Codec("LZ4", 5)
    assert choose(memoryview(bytes(5_000) + NOISE * 20), 8) is None
    assert choose(memoryview(NOISE * 20 + bytes(40_000)), 8) is None


def test_samples_begin_at_whole_items() -> None:
    """Else the bytes of each sample would be shuffled with those of other columns."""
    records = numpy.zeros(100_003, dtype=[("a", "f8"), ("b", "f8"), ("c", "f8"), ("d", "u4"), ("e", "u1")])
    records["a"] = records["c"] = numpy.arange(100_003) * 1.25
    records["b"] = numpy.random.default_rng(2).normal(size=100_003)
    asked: list[int] = []
    raw = memoryview(records.view("u1"))
    original = codecs._compressed

    def recording(sample: memoryview, codec: Codec, item_size: int) -> bytes:
        where = numpy.frombuffer(sample, "u1").ctypes.data - records.ctypes.data
        asked.append(where)
        return original(sample, codec, item_size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codecs, "_compressed", recording)
        codec_chooser(None)(raw, records.itemsize)
    assert len(asked) == 8 * 2  # whole chunks would say nothing new of samples so short
    assert all(where % records.itemsize == 0 for where in asked)
    assert max(asked) > 0.8 * raw.nbytes


@pytest.mark.parametrize(
    "compress",
    [
        10,
        -1,
        2.5,
        "",
        "ZSTD",
        "snappy",
        ("zstd", 10),
        ("zstd", True),
        ("zstd", "5"),
        [1],
        b"",
        ([], 1),
        ("zstd", 5, "sideways"),
        ("zstd", 5, "shuffle", 1),
        ("zstd", 5, None),
        (),
        ("blosc2:snappy", 1),
        {"zstd": 5},
    ],
)
def test_anything_else_has_no_meaning(compress: Any) -> None:
    with pytest.raises(SettingsError, match="compress is"):
        codec_chooser(compress)


@pytest.mark.parametrize("name", ["LZ4", "LZ4HC", "ZSTD", "ZLIB", "BLOSCLZ"])
@pytest.mark.parametrize("item_size", [1, 8, 24, 255, 256, 100_003])
@pytest.mark.parametrize("level", [1, 9])
@pytest.mark.parametrize("order", ["NOFILTER", "SHUFFLE", "BITSHUFFLE"])
def test_each_codec_gives_back_what_it_was_given(name: str, item_size: int, level: int, order: str) -> None:
    stored = compress_chunk(STEPS, codec=Codec(name, level, order), item_size=item_size)
    assert stored is not None
    check_chunk(BLOSC2, memoryview(stored), len(STEPS))
    out = bytearray(len(STEPS))
    decompress_chunk(BLOSC2, memoryview(stored), memoryview(out))
    assert out == STEPS


@pytest.mark.parametrize("value", [0.0, 1.0, numpy.nan])
def test_constant_chunks_are_tiny_and_come_back(value: float) -> None:
    raw = memoryview(numpy.full(100_003, value).tobytes())
    stored = compress_chunk(raw, codec=Codec("LZ4", 5), item_size=8)
    assert stored is not None
    assert len(stored) < 2000
    check_chunk(BLOSC2, memoryview(stored), len(raw))
    out = bytearray(b"\x55" * len(raw))
    decompress_chunk(BLOSC2, memoryview(stored), memoryview(out))
    assert out == raw


def test_shuffling_by_the_item_size_is_what_makes_numbers_small() -> None:
    by_item = compress_chunk(RAW_NUMBERS, codec=Codec("LZ4", 5), item_size=8)
    by_byte = compress_chunk(RAW_NUMBERS, codec=Codec("LZ4", 5), item_size=1)
    assert by_item is not None
    assert by_byte is not None
    assert len(by_item) * 5 < len(by_byte)


def test_random_bytes_are_not_worth_compressing() -> None:
    raw = memoryview(numpy.random.default_rng(0).bytes(100_003))
    assert compress_chunk(raw, codec=Codec("ZSTD", 9), item_size=1) is None


def sound_chunk() -> bytearray:
    stored = compress_chunk(RAW_NUMBERS, codec=Codec("LZ4", 5), item_size=8)
    assert stored is not None
    return bytearray(stored)


def test_the_header_of_a_chunk_is_read_as_blosc2_reads_it() -> None:
    raw_size, size, block_size = blosc2.get_cbuffer_sizes(bytes(sound_chunk()))
    assert struct.unpack_from("<III", sound_chunk(), 4) == (raw_size, block_size, size)


@pytest.mark.parametrize(
    ("offset", "change"),
    [
        (0, b"\x06"),  # blocks of variable length
        (4, struct.pack("<I", 2**31 - 1)),  # grows beyond what the table declares
        (4, struct.pack("<I", 8)),
        (8, struct.pack("<I", 2**31 - 1)),  # huge blocks
        (12, struct.pack("<I", 2**31 - 1)),  # stored bytes beyond its end
        (16, b"\x23"),  # a filter that is a plugin
        (22, b"\x26"),  # a codec that is a plugin
        (30, b"\x01"),
        (31, b"\x08"),  # lazy
        (31, b"\x40"),  # uninitialised memory
    ],
)
def test_a_chunk_that_lies_is_refused_before_it_is_decompressed(offset: int, change: bytes) -> None:
    chunk = sound_chunk()
    check_chunk(BLOSC2, memoryview(chunk), len(RAW_NUMBERS))
    chunk[offset : offset + len(change)] = change
    with pytest.raises(CorruptBlob):
        check_chunk(BLOSC2, memoryview(chunk), len(RAW_NUMBERS))


def test_a_chunk_too_short_for_its_header_is_refused() -> None:
    with pytest.raises(CorruptBlob, match="31 bytes"):
        check_chunk(BLOSC2, memoryview(sound_chunk()[:31]), len(RAW_NUMBERS))


def test_a_raw_chunk_has_the_size_that_is_declared() -> None:
    check_chunk(RAW, memoryview(b"abc"), 3)
    with pytest.raises(CorruptBlob, match="3 bytes"):
        check_chunk(RAW, memoryview(b"abc"), 4)


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(CorruptBlob, match="codec 2"):
        check_chunk(2, memoryview(b"abc"), 3)


def test_a_chunk_that_blosc2_refuses_is_corrupt() -> None:
    chunk = sound_chunk()
    chunk[32:] = b"\xff" * (len(chunk) - 32)
    with pytest.raises(CorruptBlob, match="blosc2"):
        decompress_chunk(BLOSC2, memoryview(chunk), memoryview(bytearray(len(RAW_NUMBERS))))
