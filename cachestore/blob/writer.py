"""One value becomes one blob, in one pass."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from typing import Final, NamedTuple

from blake3 import blake3

from cachestore.blob.bodies import body_of
from cachestore.blob.codecs import (
    BLOSC2,
    MOST_THREADS,
    RAW,
    Chooser,
    Codec,
    Place,
    codec_chooser,
    compress_chunk,
)
from cachestore.blob.header import METADATA_LIMIT, TABLE_LIMIT, TRAILER_LENGTH, Trailer, pack_header
from cachestore.blob.metadata import Metadata
from cachestore.blob.table import ALIGNMENT, BUFFER, Chunk, Frame, Table, aligned, table_size
from cachestore.errors import BlobError
from cachestore.in_order import in_order, processors
from cachestore.settings.settings import Compress

# Raw bytes of the chunks that are written: they, and what they are compressed to, stay in a processor's cache, and
# a slice of an array needs few bytes beside its own.
CHUNK_SIZE: Final = 2**20

# So many of them at a time are digested where they are stored as they are: they take no memory, and handing one on
# takes half as long as digesting it.
_RAW_CHUNKS: Final = 4

_HEADER: Final = pack_header()
_HEADER_DIGEST: Final = blake3(_HEADER).digest()
_ZEROS: Final = bytes(ALIGNMENT)


class Encoded:
    """Is a blob that is not yet stored: iterating over it encodes it, part by part, and may be done again.

    Parts may be views of the value's own memory: write each before the value changes. Chunks are compressed and
    digested in threads while those before them are written; only a few are in memory at any time.

    Parameters
    ----------
    size
        How many bytes it has; known when it has been iterated over.
    metadata
        What it says of itself, with kind and raw size filled in.
    """

    size: int
    metadata: Metadata

    def __init__(self, frames: Sequence[_RawFrame], metadata: Metadata, choose: Chooser) -> None:
        self.metadata = metadata
        self.size = 0
        self._frames = frames
        self._choose = choose
        self._raw_metadata = metadata.to_json()
        self._head = metadata.to_head(
            header_digest=_HEADER_DIGEST, metadata_digest=blake3(self._raw_metadata).digest()
        )
        chunks = sum(len(frame.starts()) for frame in frames)
        for name, size, limit in (
            ("metadata", len(self._raw_metadata), METADATA_LIMIT),
            ("table", table_size(len(frames), chunks), TABLE_LIMIT),
        ):
            if size > limit:
                raise BlobError(
                    f"The blob of {metadata.function} would have {size} bytes of {name}; at most {limit} are "
                    "allowed. Return a value of fewer parts, or do not cache the function."
                )

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """Encode the value."""
        yield _HEADER
        end = len(_HEADER)
        frames = []
        with closing(self._stored()) as stored:
            for kind, raw, item_size in self._frames:
                chunks: list[Chunk] = []
                for _ in _RawFrame(kind, raw, item_size).starts():
                    if not chunks and end != aligned(end):
                        yield _ZEROS[: aligned(end) - end]
                        end = aligned(end)
                    part, raw_size, digest = next(stored)
                    codec = RAW if len(part) == raw_size else BLOSC2
                    chunks.append(Chunk(end, len(part), raw_size, codec, digest))
                    yield part
                    end += len(part)
                frames.append(Frame(kind, item_size, raw.nbytes, chunks))
        yield self._end(frames, end)

    def _stored(self) -> Generator[_Stored]:
        large = self.metadata.raw_size >= 2 * CHUNK_SIZE
        at_once = min(processors(), MOST_THREADS) if large else 1
        with closing(in_order(_store, self._runs(), at_once=at_once)) as runs:
            yield from chain.from_iterable(runs)

    def _runs(self) -> Iterator[_Run]:
        for frame in self._frames:
            codec = self._choose(frame.raw, frame.item_size)
            step = frame.step * (1 if codec else _RAW_CHUNKS)
            for start in range(0, frame.raw.nbytes, step):
                yield _Run(frame._replace(raw=frame.raw[start : start + step]), codec)

    def _end(self, frames: Sequence[Frame], end: int) -> bytes:
        behind = pack_end(Table(self._head, frames), self._raw_metadata, start=end)
        self.size = end + len(behind)
        return behind


def pack_end(table: Table, raw_metadata: bytes, *, start: int) -> bytes:
    """Return what stands behind the chunks, which end at `start`."""
    raw_table = table.pack()
    trailer = Trailer(
        table_digest=blake3(raw_table).digest(),
        metadata_offset=start,
        metadata_length=len(raw_metadata),
        table_offset=start + len(raw_metadata),
        table_length=len(raw_table),
        total_length=start + len(raw_metadata) + len(raw_table) + TRAILER_LENGTH,
    )
    return raw_metadata + raw_table + trailer.pack()


def encode(value: object, metadata: Metadata, *, compress: Compress = None, place: Place = "near") -> Encoded:
    """Turn `value` into a blob.

    Parameters
    ----------
    value
        Anything that pickle or cloudpickle accepts; what needs no pickle is stored without.
    metadata
        What the blob shall say of it; kind and raw size are filled in.
    compress, place
        How frames are compressed: see `codec_chooser`.

    Raises
    ------
    BlobError
        If the value cannot be stored, or its metadata or table is too large.
    SettingsError
        If `compress` has no meaning.
    """
    choose = codec_chooser(compress, place=place)
    body = body_of(value)
    frames = [_RawFrame(BUFFER, raw, item_size) for raw, item_size in body.buffers]
    # The body comes last: it says what the buffers are, and whoever has read the end of a blob has it.
    frames.append(_RawFrame(body.kind, body.raw, 1))
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raw_size = sum(frame.raw.nbytes for frame in frames)
    return Encoded(frames, replace(metadata, kind=kind, raw_size=raw_size), choose)


class _RawFrame(NamedTuple):
    kind: int
    raw: memoryview
    item_size: int

    @property
    def step(self) -> int:
        """The bytes of a chunk: whole items, for they are shuffled together."""
        return CHUNK_SIZE - CHUNK_SIZE % self.item_size if self.item_size <= CHUNK_SIZE else CHUNK_SIZE

    def starts(self) -> range:
        """Where its chunks begin."""
        return range(0, self.raw.nbytes, self.step)

    def chunks(self) -> Iterator[memoryview]:
        """Iterate over its chunks."""
        return (self.raw[start : start + self.step] for start in self.starts())


class _Run(NamedTuple):
    frame: _RawFrame
    codec: Codec | None


class _Stored(NamedTuple):
    part: bytes | memoryview
    raw_size: int
    digest: bytes


def _store(run: _Run) -> list[_Stored]:
    return [_store_chunk(raw, run.codec, run.frame.item_size) for raw in run.frame.chunks()]


def _store_chunk(raw: memoryview, codec: Codec | None, item_size: int) -> _Stored:
    compressed = compress_chunk(raw, codec=codec, item_size=item_size) if codec else None
    part = raw if compressed is None else compressed
    return _Stored(part, raw.nbytes, blake3(part).digest())
