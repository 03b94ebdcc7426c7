"""The table: it says where everything lies, and nothing may lie anywhere else."""

from __future__ import annotations

import struct

import pytest

from cachestore.blob.table import CHUNK_LIMIT, Chunk, Frame, FrameKind, Table
from cachestore.errors import CorruptBlob

D = bytes(range(32))
BODY = Frame(FrameKind.PICKLE, 1, 30, (Chunk(24, 30, 30, 0, D),))
BUFFER = Frame(FrameKind.BUFFER, 8, 900, (Chunk(54, 100, 800, 1, D), Chunk(154, 100, 100, 0, D)))
SOUND = Table(D, D[::-1], (BODY, BUFFER))


def parse(table: Table | bytes, *, start: int = 24, stop: int = 254) -> Table:
    raw = table.pack() if isinstance(table, Table) else table
    return Table.parse(memoryview(raw), start=start, stop=stop)


def test_what_is_packed_is_parsed() -> None:
    assert parse(SOUND) == SOUND
    assert SOUND.raw_size == 930


def with_chunks(*chunks: Chunk, raw_size: int = 900) -> Table:
    return SOUND._replace(frames=(BODY, BUFFER._replace(chunks=chunks, raw_size=raw_size)))


FIRST, SECOND = BUFFER.chunks


@pytest.mark.parametrize(
    "table",
    [
        with_chunks(FIRST, SECOND._replace(offset=153)),  # overlap
        with_chunks(FIRST, SECOND._replace(offset=155)),  # gap
        with_chunks(FIRST, SECOND._replace(offset=2**64 - 1)),  # beyond the end
        with_chunks(FIRST._replace(offset=0), SECOND),  # in the header
        with_chunks(FIRST),  # ends before the metadata
        with_chunks(FIRST, SECOND._replace(stored_size=101)),  # ends in the metadata
        with_chunks(FIRST, SECOND._replace(raw_size=101)),  # the sum differs from the frame's
        with_chunks(FIRST, SECOND, raw_size=899),
        with_chunks(FIRST._replace(stored_size=0), SECOND._replace(offset=54, stored_size=200)),
        with_chunks(FIRST._replace(raw_size=99), SECOND._replace(raw_size=801)),  # stored larger than raw
        with_chunks(FIRST._replace(raw_size=CHUNK_LIMIT + 1), SECOND, raw_size=CHUNK_LIMIT + 101),
        SOUND._replace(frames=(BODY, BUFFER, BUFFER._replace(chunks=(), raw_size=0))),
        SOUND._replace(frames=()),
        SOUND._replace(frames=(BUFFER, BODY)),
        SOUND._replace(frames=(BODY, BUFFER._replace(kind=FrameKind.PICKLE))),
        SOUND._replace(frames=(BODY, BUFFER._replace(kind=2))),
    ],
)
def test_chunks_that_lie_wrongly_are_corrupt(table: Table) -> None:
    with pytest.raises(CorruptBlob):
        parse(table)


@pytest.mark.parametrize("length", [0, 71, 72, 100, 287])
def test_a_table_cut_short_is_corrupt(length: int) -> None:
    assert len(SOUND.pack()) == 288
    with pytest.raises(CorruptBlob, match=f"{length} bytes"):
        parse(SOUND.pack()[:length])


@pytest.mark.parametrize(
    ("frames", "chunks"), [(2, 2**32 - 1), (2**32 - 1, 3), (2**32 - 1, 2**32 - 1), (0, 0)]
)
def test_counts_that_do_not_fill_the_table_are_corrupt(frames: int, chunks: int) -> None:
    raw = bytearray(SOUND.pack())
    struct.pack_into("<II", raw, 64, frames, chunks)
    with pytest.raises(CorruptBlob):
        parse(bytes(raw))


def test_a_frame_may_not_claim_chunks_that_there_are_not() -> None:
    raw = bytearray(SOUND.pack())
    struct.pack_into("<I", raw, 72 + 24 + 8, 2**32 - 1)
    with pytest.raises(CorruptBlob, match="4294967295 chunks"):
        parse(bytes(raw))


def test_a_chunk_that_belongs_to_no_frame_is_corrupt() -> None:
    raw = bytearray(with_chunks(FIRST, SECOND).pack())
    struct.pack_into("<I", raw, 72 + 24 + 8, 1)
    struct.pack_into("<Q", raw, 72 + 24 + 16, 800)
    with pytest.raises(CorruptBlob, match="add up"):
        parse(bytes(raw), stop=154)
