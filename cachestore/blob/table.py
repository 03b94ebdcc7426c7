"""The table of a blob: which frames it has, where their chunks lie, and the digest of each."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from itertools import islice
from struct import Struct
from typing import Final, NamedTuple

from cachestore.errors import CorruptBlob

# Raw bytes of a chunk at most: the unit in which blobs are fetched, checked and decompressed.
CHUNK_LIMIT: Final = 4 * 2**20

_HEAD: Final = Struct("<32s32sII")  # digest of the header, digest of the metadata, frames, chunks
_FRAME: Final = Struct("<BxxxIIxxxxQ")  # kind, item size, chunks, raw size
_CHUNK: Final = Struct("<QIIBxxxxxxx32s")  # offset, stored size, raw size, codec, digest


class FrameKind(IntEnum):
    """Says what the bytes of a frame are."""

    PICKLE = 0  # the body: a pickle of protocol 5
    BUFFER = 1  # an out-of-band buffer of the body, in the order in which the body asks for them


class Chunk(NamedTuple):
    """Describes one run of stored bytes, and what they become."""

    offset: int
    stored_size: int
    raw_size: int
    codec: int
    digest: bytes


class Frame(NamedTuple):
    """Describes one run of raw bytes: the body, or one of its buffers."""

    kind: int
    item_size: int
    raw_size: int
    chunks: Sequence[Chunk]


class Table(NamedTuple):
    """Describes everything between the header and the table itself."""

    header_digest: bytes
    metadata_digest: bytes
    frames: Sequence[Frame]

    @property
    def raw_size(self) -> int:
        """The bytes of all frames before compression."""
        return sum(frame.raw_size for frame in self.frames)

    def pack(self) -> bytes:
        """Return the table as it stands in a blob."""
        frames, chunks = [], []
        for frame in self.frames:
            frames.append(_FRAME.pack(frame.kind, frame.item_size, len(frame.chunks), frame.raw_size))
            chunks += [_CHUNK.pack(*chunk) for chunk in frame.chunks]
        head = _HEAD.pack(self.header_digest, self.metadata_digest, len(frames), len(chunks))
        return b"".join((head, *frames, *chunks))

    @classmethod
    def parse(cls, raw: memoryview, *, start: int, stop: int) -> Table:
        """Read a table whose digest has been checked.

        Parameters
        ----------
        raw
            The bytes of the table.
        start, stop
            Where the chunks of the blob begin and end.

        Raises
        ------
        CorruptBlob
            If its numbers do not add up, or a chunk lies where none may lie.
        """
        if len(raw) < _HEAD.size:
            raise CorruptBlob(f"The blob's table has {len(raw)} bytes, too few. Recompute the value.")
        header_digest, metadata_digest, frame_count, chunk_count = _HEAD.unpack_from(raw)
        frames_end = _HEAD.size + frame_count * _FRAME.size
        if frames_end + chunk_count * _CHUNK.size != len(raw):
            raise CorruptBlob(
                f"The blob's table of {len(raw)} bytes declares {frame_count} frames and {chunk_count} "
                "chunks, "
                "which does not add up. Recompute the value."
            )
        chunks = map(Chunk._make, _CHUNK.iter_unpack(raw[frames_end:]))
        frames: list[Frame] = []
        expected_kind = FrameKind.PICKLE
        for kind, item_size, count, raw_size in _FRAME.iter_unpack(raw[_HEAD.size : frames_end]):
            frame = Frame(kind, item_size, raw_size, tuple(islice(chunks, count)))
            if kind != expected_kind:
                raise CorruptBlob(
                    f"Frame {len(frames)} of the blob is of kind {kind}, not {expected_kind}. Recompute."
                )
            start = _check_frame(frame, count, start)
            frames.append(frame)
            expected_kind = FrameKind.BUFFER
        if not frames or start != stop or next(chunks, None) is not None:
            raise CorruptBlob(
                f"The blob's {frame_count} frames end at byte {start}, its metadata begin at byte {stop}: "
                "this does not add up. Recompute the value."
            )
        return cls(header_digest, metadata_digest, tuple(frames))


def _check_frame(frame: Frame, count: int, start: int) -> int:
    """Check that the chunks of `frame` follow each other from `start` on, and return where they end."""
    raw_size = 0
    for chunk in frame.chunks:
        if chunk.offset != start or not 0 < chunk.stored_size <= chunk.raw_size <= CHUNK_LIMIT:
            raise CorruptBlob(
                f"A chunk of {chunk.stored_size} stored and {chunk.raw_size} raw bytes is declared at byte "
                f"{chunk.offset}; expected was byte {start}, and at most {CHUNK_LIMIT} bytes. "
                "Recompute the value."
            )
        start += chunk.stored_size
        raw_size += chunk.raw_size
    if raw_size != frame.raw_size or not frame.chunks or len(frame.chunks) != count:
        raise CorruptBlob(
            f"A frame declares {frame.raw_size} bytes in {count} chunks, and has {raw_size} "
            f"in {len(frame.chunks)}. Recompute the value."
        )
    return start
