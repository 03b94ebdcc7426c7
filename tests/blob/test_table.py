"""The table: it says where everything lies, and nothing may lie anywhere else."""

from __future__ import annotations

import math
import struct

import pytest

from cachestore.blob.table import (
    BUFFER,
    CHUNK_LIMIT,
    NEVER,
    NO_DIGEST,
    Chunk,
    Frame,
    Head,
    Table,
    aligned,
    table_size,
)
from cachestore.errors import CorruptBlob

D = bytes(range(32))
HEAD = Head(D, D[::-1], b"k" * 32, b"v" * 32, 1.5, 1_767_225_600_000_000, 7)
# 24 bytes of header; the first frame from 64 to 264, the second from 320 to 350.
NUMBERS = Frame(BUFFER, 8, 900, [Chunk(64, 100, 800, 1, D), Chunk(164, 100, 100, 0, D)])
BODY = Frame(0, 1, 30, [Chunk(320, 30, 30, 0, D)])
SOUND = Table(HEAD, [NUMBERS, BODY])
LENGTH = 160 + 2 * 24 + 3 * 56


def parse(table: Table | bytes, *, start: int = 24, stop: int = 350) -> Table:
    raw = table.pack() if isinstance(table, Table) else table
    return Table.parse(memoryview(raw), start=start, stop=stop)


def test_what_is_packed_is_parsed() -> None:
    assert parse(SOUND) == SOUND
    assert SOUND.raw_size == 930
    assert len(SOUND.pack()) == table_size(2, 3) == LENGTH


def test_what_a_value_does_not_have_is_parsed() -> None:
    bare = HEAD._replace(key=NO_DIGEST, value_digest=NO_DIGEST, expires=NEVER, seconds=0.0, epoch=0)
    assert parse(SOUND._replace(head=bare)).head == bare


@pytest.mark.parametrize("changes", [{"expires": NEVER + 1}, {"expires": -1}, {"epoch": 2**64 - 1}], ids=str)
def test_the_limits_of_numbers_are_parsed(changes: dict[str, int]) -> None:
    head = HEAD._replace(**changes)
    assert parse(SOUND._replace(head=head)).head == head


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf])
def test_seconds_are_finite(seconds: float) -> None:
    with pytest.raises(CorruptBlob, match="seconds"):
        parse(SOUND._replace(head=HEAD._replace(seconds=seconds)))


@pytest.mark.parametrize("kind", range(5))
def test_the_last_frame_is_the_body_of_any_kind(kind: int) -> None:
    assert parse(Table(HEAD, [NUMBERS, BODY._replace(kind=kind)])).frames[-1].kind == kind


def test_a_body_of_no_bytes_takes_no_room_and_is_not_aligned() -> None:
    table = Table(HEAD, [NUMBERS, Frame(0, 1, 0, [])])
    assert parse(table, stop=264) == table
    nothing = Table(HEAD, [Frame(3, 1, 0, [])])
    assert parse(nothing, stop=24) == nothing
    with pytest.raises(CorruptBlob, match="add up"):
        parse(nothing, stop=64)


@pytest.mark.parametrize("place", [0, 1])
def test_a_buffer_has_a_chunk(place: int) -> None:
    frames = [NUMBERS, BODY]
    frames.insert(place, Frame(BUFFER, 8, 0, []))
    with pytest.raises(CorruptBlob, match="0 chunks"):
        parse(Table(HEAD, frames))


@pytest.mark.parametrize(("kind", "limit"), [(1, 2**20), (3, 16 * 2**20)], ids=["array", "plain"])
def test_bodies_that_are_parsed_as_a_whole_have_a_limit(kind: int, limit: int) -> None:
    def body(size: int) -> Frame:
        sizes = [min(CHUNK_LIMIT, size - start) for start in range(0, size, CHUNK_LIMIT)]
        return Frame(kind, 1, size, [Chunk(64 + at, 1, raw_size, 1, D) for at, raw_size in enumerate(sizes)])

    for size in (limit, limit + 1):
        table = Table(HEAD, [body(size)])
        stop = 64 + len(table.frames[0].chunks)
        if size == limit:
            assert parse(table, stop=stop) == table
        else:
            with pytest.raises(CorruptBlob, match=f"{size} bytes"):
                parse(table, stop=stop)


def test_offsets_are_aligned_to_64() -> None:
    assert [aligned(offset) for offset in (0, 1, 24, 63, 64, 65, 128)] == [0, 64, 64, 64, 64, 128, 128]


def with_chunks(*chunks: Chunk, raw_size: int = 900) -> Table:
    return SOUND._replace(frames=[NUMBERS._replace(chunks=list(chunks), raw_size=raw_size), BODY])


FIRST, SECOND = NUMBERS.chunks
ONLY = BODY.chunks[0]


@pytest.mark.parametrize(
    "table",
    [
        with_chunks(FIRST, SECOND._replace(offset=163)),  # overlap
        with_chunks(FIRST, SECOND._replace(offset=165)),  # gap inside of a frame
        with_chunks(FIRST, SECOND._replace(offset=192)),  # aligned, but not the first of its frame
        with_chunks(FIRST, SECOND._replace(offset=2**64 - 1)),  # beyond the end
        with_chunks(FIRST._replace(offset=0), SECOND),  # in the header
        with_chunks(FIRST._replace(offset=24), SECOND._replace(offset=124)),  # not aligned
        with_chunks(FIRST._replace(offset=128), SECOND._replace(offset=228)),  # a gap that is too wide
        SOUND._replace(frames=[NUMBERS, BODY._replace(chunks=[ONLY._replace(offset=264)])]),  # not aligned
        SOUND._replace(frames=[NUMBERS, BODY._replace(chunks=[ONLY._replace(offset=384)])]),
        with_chunks(FIRST, SECOND._replace(stored_size=101)),  # stored larger than raw
        SOUND._replace(frames=[NUMBERS, BODY._replace(chunks=[ONLY._replace(stored_size=29)])]),  # too short
        with_chunks(FIRST, SECOND._replace(raw_size=101)),  # the sum differs from the frame's
        with_chunks(FIRST, SECOND, raw_size=899),
        with_chunks(FIRST, SECOND, raw_size=2**64 - 1),
        with_chunks(FIRST, SECOND, raw_size=10**15),
        with_chunks(
            FIRST._replace(stored_size=0, raw_size=700),
            SECOND._replace(offset=64, stored_size=200, raw_size=200),
        ),
        with_chunks(FIRST._replace(raw_size=99), SECOND._replace(raw_size=801)),  # stored larger than raw
        with_chunks(FIRST._replace(raw_size=CHUNK_LIMIT + 1), SECOND, raw_size=CHUNK_LIMIT + 101),
        SOUND._replace(frames=[]),
        SOUND._replace(frames=[NUMBERS, BODY._replace(kind=BUFFER)]),  # no body
        SOUND._replace(frames=[NUMBERS._replace(kind=0), BODY]),  # two bodies
        SOUND._replace(frames=[NUMBERS._replace(kind=1), BODY]),
        SOUND._replace(frames=[NUMBERS._replace(kind=254), BODY]),
    ],
)
def test_chunks_that_lie_wrongly_are_corrupt(table: Table) -> None:
    with pytest.raises(CorruptBlob):
        parse(table)


@pytest.mark.parametrize("stop", [24, 349, 351, 384, 0])
def test_the_metadata_begin_where_the_last_chunk_ends(stop: int) -> None:
    with pytest.raises(CorruptBlob, match="add up"):
        parse(SOUND, stop=stop)


def test_a_body_before_its_buffers_is_corrupt() -> None:
    """As in format 0."""
    body = Frame(0, 1, 30, [Chunk(64, 30, 30, 0, D)])
    numbers = Frame(BUFFER, 8, 100, [Chunk(128, 100, 100, 0, D)])
    with pytest.raises(CorruptBlob, match="kind"):
        parse(Table(HEAD, [body, numbers]), stop=228)


@pytest.mark.parametrize("length", [0, 1, 159, 160, 200, LENGTH - 1, LENGTH + 1, LENGTH + 56])
def test_a_table_of_another_length_is_corrupt(length: int) -> None:
    with pytest.raises(CorruptBlob, match=f"{length} bytes"):
        parse(SOUND.pack()[:length].ljust(length, b"\0"))


@pytest.mark.parametrize(
    ("frames", "chunks"), [(2, 2**32 - 1), (2**32 - 1, 3), (2**32 - 1, 2**32 - 1), (0, 0), (9, 0), (1, 4)]
)
def test_counts_that_do_not_fill_the_table_are_corrupt(frames: int, chunks: int) -> None:
    raw = bytearray(SOUND.pack())
    struct.pack_into("<II", raw, 152, frames, chunks)
    with pytest.raises(CorruptBlob):
        parse(bytes(raw))


@pytest.mark.parametrize("frame", [0, 1])
def test_a_frame_may_not_claim_chunks_that_there_are_not(frame: int) -> None:
    raw = bytearray(SOUND.pack())
    struct.pack_into("<I", raw, 160 + 24 * frame + 8, 2**32 - 1)
    with pytest.raises(CorruptBlob, match="4294967295 chunks"):
        parse(bytes(raw))


def test_a_chunk_that_belongs_to_no_frame_is_corrupt() -> None:
    body = BODY._replace(chunks=[Chunk(320, 20, 20, 0, D), Chunk(340, 10, 10, 0, D)])
    table = Table(HEAD, [NUMBERS, body])
    assert parse(table) == table
    raw = bytearray(table.pack())
    struct.pack_into("<I4xQ", raw, 160 + 24 + 8, 1, 20)  # the body's number of chunks and raw size
    with pytest.raises(CorruptBlob, match="add up"):
        parse(bytes(raw), stop=340)


def test_one_frame_cannot_take_the_chunks_of_another() -> None:
    raw = bytearray(SOUND.pack())
    struct.pack_into("<I4xQ", raw, 160 + 8, 3, 930)
    struct.pack_into("<I4xQ", raw, 160 + 24 + 8, 0, 0)
    with pytest.raises(CorruptBlob):
        parse(bytes(raw))
