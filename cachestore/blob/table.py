"""The table of a blob: what a hit needs at once, where the chunks of its frames lie, and the digest of each."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from struct import Struct
from typing import Final, NamedTuple

from cachestore.blob.body import BODY_LIMITS, BodyKind
from cachestore.errors import CorruptBlob

# Raw bytes of a chunk at most: the unit in which blobs are checked and decompressed.
CHUNK_LIMIT: Final = 4 * 2**20

# Each frame begins at a multiple of this, so that raw ones can be mapped into memory as arrays.
ALIGNMENT: Final = 64

# The kind of every frame but the last, which is the body and says of which kind it is.
BUFFER: Final = 255
_BUFFERS: Final = frozenset({BUFFER})
BODIES: Final = frozenset(BodyKind)

NO_DIGEST: Final = bytes(32)
NEVER: Final = -(2**63)

# Digests of header and metadata, key, value digest, seconds, expiry, epoch, frames, chunks.
_HEAD: Final = Struct("<32s32s32s32sdqQII")
_FRAME: Final = Struct("<BxxxIIxxxxQ")  # kind, item size, chunks, raw size
_CHUNK: Final = Struct("<QIIBxxxxxxx32s")  # offset, stored size, raw size, codec, digest


def aligned(offset: int) -> int:
    """Return where a frame begins that follows `offset` bytes.

    Examples
    --------
    >>> aligned(24), aligned(64), aligned(65)
    (64, 64, 128)
    """
    return offset + -offset % ALIGNMENT


def table_size(frames: int, chunks: int) -> int:
    """Return the bytes of a table of so many frames and chunks."""
    return _HEAD.size + frames * _FRAME.size + chunks * _CHUNK.size


def plain_table(frames: int) -> Struct:
    """Return how the table of so many frames is packed, each of which has one chunk."""
    return Struct(_HEAD.format + frames * _FRAME.format[1:] + frames * _CHUNK.format[1:])


class Head(NamedTuple):
    """Holds what the first bytes of a table say, as it stands there.

    Parameters
    ----------
    header_digest, metadata_digest
        Of these two sections.
    key
        What the blob is stored under; zeros where it has no key.
    value_digest
        Zeros where the value has none.
    seconds
        How long the computation took.
    expires
        Microseconds since 1970 in UTC, or `NEVER`.
    epoch
        The invalidation epoch that was known at the start.
    """

    header_digest: bytes
    metadata_digest: bytes
    key: bytes
    value_digest: bytes
    seconds: float
    expires: int
    epoch: int

    @property
    def key_text(self) -> str:
        """The key in hexadecimal digits; empty where there is none."""
        return self.key.hex() if self.key != NO_DIGEST else ""

    @property
    def value_digest_text(self) -> str | None:
        """The digest of the value in hexadecimal digits, where it has one."""
        return self.value_digest.hex() if self.value_digest != NO_DIGEST else None


class Chunk(NamedTuple):
    """Describes one run of stored bytes, and what they become."""

    offset: int
    stored_size: int
    raw_size: int
    codec: int
    digest: bytes


class Frame(NamedTuple):
    """Describes one run of raw bytes: a buffer, or the body."""

    kind: int
    item_size: int
    raw_size: int
    chunks: Sequence[Chunk]


class Table(NamedTuple):
    """Describes everything between the header and the table itself."""

    head: Head
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
        return b"".join((_HEAD.pack(*self.head, len(frames), len(chunks)), *frames, *chunks))

    @classmethod
    def parse(cls, raw: memoryview, *, start: int, stop: int) -> Table:
        """Read a table whose digest has been checked.

        Parameters
        ----------
        raw
            The bytes of the table.
        start, stop
            Where the header of the blob ends, and its metadata begin.

        Raises
        ------
        CorruptBlob
            If its numbers do not add up, or a chunk lies where none may lie.
        """
        if len(raw) < _HEAD.size:
            raise CorruptBlob(f"The blob's table has {len(raw)} bytes, too few. Recompute the value.")
        *fields, frame_count, chunk_count = _HEAD.unpack_from(raw)
        if table_size(frame_count, chunk_count) != len(raw):
            raise CorruptBlob(
                f"The blob's table of {len(raw)} bytes declares {frame_count} frames and {chunk_count} "
                "chunks, which does not add up. Recompute the value."
            )
        head = Head._make(fields)
        if not isfinite(head.seconds):
            raise CorruptBlob(f"The blob's computation took {head.seconds} seconds. Recompute the value.")
        frames = []
        end, at = start, table_size(frame_count, 0)
        for number in range(1, frame_count + 1):
            kind, item_size, count, raw_size = _FRAME.unpack_from(
                raw, _HEAD.size + (number - 1) * _FRAME.size
            )
            chunks_end = at + count * _CHUNK.size
            chunks = [Chunk._make(fields) for fields in _CHUNK.iter_unpack(raw[at:chunks_end])]
            is_buffer = number < frame_count
            if (
                kind not in (_BUFFERS if is_buffer else BODIES)
                or chunks_end > len(raw)
                or (is_buffer and not count)
            ):
                raise CorruptBlob(
                    f"Frame {number} of {frame_count} of the blob, of kind {kind} and {count} chunks, cannot "
                    "stand there. Recompute the value."
                )
            if not is_buffer and raw_size > BODY_LIMITS.get(kind, raw_size):
                raise CorruptBlob(
                    f"The blob's body of kind {kind} has {raw_size} bytes, more than such bodies have. "
                    "Recompute the value."
                )
            frame = Frame(kind, item_size, raw_size, chunks)
            end, at = _check_chunks(frame, end), chunks_end
            frames.append(frame)
        if not frames or end != stop or at != len(raw):
            raise CorruptBlob(
                f"The blob's {frame_count} frames end at byte {end}, its metadata begin at byte {stop}: "
                "this does not add up. Recompute the value."
            )
        return cls(head, frames)


def _check_chunks(frame: Frame, end: int) -> int:
    """Check that the chunks of `frame` lie where they must, after the bytes before `end`; return where they end."""
    raw_size = 0
    start = aligned(end) if frame.chunks else end
    for chunk in frame.chunks:
        if chunk.offset != start or not 0 < chunk.stored_size <= chunk.raw_size <= CHUNK_LIMIT:
            raise CorruptBlob(
                f"A chunk of {chunk.stored_size} stored and {chunk.raw_size} raw bytes is declared at byte "
                f"{chunk.offset}; expected was byte {start}, and at most {CHUNK_LIMIT} bytes. "
                "Recompute the value."
            )
        start += chunk.stored_size
        raw_size += chunk.raw_size
    if raw_size != frame.raw_size:
        raise CorruptBlob(
            f"A frame declares {frame.raw_size} bytes, and its {len(frame.chunks)} chunks have {raw_size}. "
            "Recompute the value."
        )
    return start
