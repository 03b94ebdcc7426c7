"""One blob becomes one value again, if every byte of it is as it was written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Final, Protocol

from blake3 import blake3

from cachestore.blob.codecs import RAW, check_chunk, decompress_chunk
from cachestore.blob.header import HEADER_LENGTH, Trailer
from cachestore.blob.metadata import Metadata
from cachestore.blob.pickling import unpickle_value
from cachestore.blob.table import Chunk, Frame, FrameKind, Table
from cachestore.errors import BlobError, CorruptBlob

# The first request: small blobs come whole, and of the others the part that says what else to ask for.
_SUFFIX: Final = 2**20

# Later requests: large enough for a remote store, small beside the value.
_WINDOW: Final = 32 * 2**20


class Source(Protocol):
    """Is where a reader gets the bytes of one object from."""

    def suffix(self, length: int) -> bytes:
        """Return the last `length` bytes, or the whole object when it is shorter."""

    def range(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`."""


class BlobReader:
    """Reads one blob in as few requests as possible, and believes nothing unchecked.

    Digests are checked before anything is decompressed, and everything before anything is unpickled.

    Parameters
    ----------
    metadata
        What the blob says of itself.
    size
        Its length in bytes.
    """

    metadata: Metadata
    size: int

    def __init__(self, source: Source, tail: memoryview, trailer: Trailer) -> None:
        self._source = source
        self._tail = tail
        self._tail_start = trailer.total_length - len(tail)
        self._trailer = trailer
        self.size = trailer.total_length
        self._table = self._read_table()
        self.metadata = self._read_metadata()

    @classmethod
    def open(cls, source: Source, *, key: str | None = None) -> BlobReader:
        """Read what a blob says of itself, in one request unless that is more than 1 MiB.

        Parameters
        ----------
        source
            Where its bytes are.
        key
            The key that was asked for; None accepts whichever key the blob names.

        Raises
        ------
        CorruptBlob
            If it is no blob, is damaged, or names another key.
        NewerBlob
            If a later cachestore wrote it.
        """
        tail = memoryview(source.suffix(_SUFFIX))
        trailer = Trailer.parse(tail)
        if len(tail) < _SUFFIX and len(tail) != trailer.total_length:
            raise CorruptBlob(
                f"The blob has {len(tail)} bytes and declares {trailer.total_length}. Recompute the value."
            )
        reader = cls(source, tail, trailer)
        if key is not None and reader.metadata.key != key:
            raise CorruptBlob(
                f"The blob asked for with key {key} holds the value of key {reader.metadata.key}. "
                "It was put in the wrong place; recompute the value."
            )
        return reader

    @property
    def key(self) -> str:
        """The key of the call that made the value."""
        return self.metadata.key

    @property
    def seconds(self) -> float:
        """How long computing took."""
        return self.metadata.seconds

    @property
    def value_digest(self) -> str | None:
        """The digest of the value, where it has one."""
        return self.metadata.value_digest

    def value(self) -> object:
        """Return the value.

        Raises
        ------
        CorruptBlob
            If any byte is not as it was written.
        BlobError
            If the value does not fit into memory, or cannot be unpickled here.
        """
        contents = [_Content(frame) for frame in self._table.frames]
        targets = chain.from_iterable(repeat(content, len(content.frame.chunks)) for content in contents)
        for content, (chunk, stored) in zip(targets, self._stored(), strict=True):
            check_chunk(chunk.codec, stored, chunk.raw_size)
            content.take(chunk, stored)
        body, *buffers = [content.raw for content in contents]
        return unpickle_value(body, buffers)

    def verify(self) -> None:
        """Check every digest, and neither decompress nor unpickle anything.

        A source does not tell how long its object is. Of an object over 1 MiB, bytes inserted just before the
        last 1 MiB are never read: who knows its length compares it with `size`.

        Raises
        ------
        CorruptBlob
            If any byte is not as it was written.
        """
        for chunk, stored in self._stored():
            check_chunk(chunk.codec, stored, chunk.raw_size)

    def _stored(self) -> Iterator[tuple[Chunk, memoryview]]:
        """Yield each chunk with its stored bytes, whose digests are right."""
        chunks = [chunk for frame in self._table.frames for chunk in frame.chunks]
        start = 0
        for window in _windows(chunks):
            stop = window[-1].offset + window[-1].stored_size
            data = self._bytes(start, stop)
            if not start:  # the header comes with the first chunks, not in a request of its own
                self._check_header(data[:HEADER_LENGTH])
            views = [data[chunk.offset - start :][: chunk.stored_size] for chunk in window]
            for chunk, stored in zip(window, views, strict=True):
                if blake3(stored).digest() != chunk.digest:
                    raise CorruptBlob(
                        f"The blob is damaged in the {chunk.stored_size} bytes at {chunk.offset}: "
                        "their digest does not match. Recompute the value."
                    )
            yield from zip(window, views, strict=True)
            start = stop

    def _check_header(self, header: memoryview) -> None:
        # The digest says that the header is the one that was written, the comparison that it agrees with the
        # trailer, whose format and features have been looked at already.
        if header != self._trailer.header() or blake3(header).digest() != self._table.header_digest:
            raise CorruptBlob(
                f"The blob begins with {bytes(header)!r}, which is no header of it. Recompute the value."
            )

    def _read_table(self) -> Table:
        trailer = self._trailer
        raw = self._bytes(trailer.table_offset, trailer.table_offset + trailer.table_length)
        if blake3(raw).digest() != trailer.table_digest:
            raise CorruptBlob("The blob's table is damaged: its digest does not match. Recompute the value.")
        return Table.parse(raw, start=HEADER_LENGTH, stop=trailer.metadata_offset)

    def _read_metadata(self) -> Metadata:
        trailer = self._trailer
        raw = self._bytes(trailer.metadata_offset, trailer.table_offset)
        if blake3(raw).digest() != self._table.metadata_digest:
            raise CorruptBlob(
                "The blob's metadata are damaged: their digest does not match. Recompute the value."
            )
        metadata = Metadata.from_json(bytes(raw))
        if metadata.raw_size != self._table.raw_size:
            raise CorruptBlob(
                f"The blob's metadata speak of {metadata.raw_size} raw bytes, "
                f"its table of {self._table.raw_size}. Recompute the value."
            )
        return metadata

    def _bytes(self, start: int, stop: int) -> memoryview:
        """Return these bytes of the blob, asking the source only for what did not come with the tail."""
        tail_start = self._tail_start
        if start >= tail_start:
            return self._tail[start - tail_start : stop - tail_start]
        wanted = min(stop, tail_start)
        fetched = self._source.range(start, wanted)
        if len(fetched) != wanted - start:
            raise CorruptBlob(
                f"The blob ends early: bytes {start} to {wanted} were asked for, and {len(fetched)} came. "
                "Recompute the value."
            )
        if stop > tail_start:
            fetched = b"".join((fetched, self._tail[: stop - tail_start]))
        return memoryview(fetched)


class _Content:
    """Collects the raw bytes of a frame."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.raw = memoryview(b"")
        self._filled = 0

    def take(self, chunk: Chunk, stored: memoryview) -> None:
        """Add the next chunk, which has been checked."""
        if self.frame.kind == FrameKind.PICKLE and len(self.frame.chunks) == 1 and chunk.codec == RAW:
            self.raw = stored  # only the unpickler reads it, so it need not be copied
            return
        if not self._filled:
            self.raw = _allocate(self.frame)
        stop = self._filled + chunk.raw_size
        decompress_chunk(chunk.codec, stored, self.raw[self._filled : stop])
        self._filled = stop


def _allocate(frame: Frame) -> memoryview:
    try:
        if frame.kind == FrameKind.PICKLE:
            return memoryview(bytearray(frame.raw_size))
        # Arrays will live in this memory: writable, aligned, and not filled with zeros first.
        import numpy

        return numpy.empty(frame.raw_size, numpy.uint8).data
    except MemoryError as error:
        raise BlobError(
            f"The value does not fit into memory: {frame.raw_size} bytes are not to be had."
        ) from error


def _windows(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    """Group chunks that follow each other, so that a group can be asked for at once and held in memory."""
    window: list[Chunk] = []
    size = 0
    for chunk in chunks:
        if window and size + chunk.stored_size > _WINDOW:
            yield window
            window, size = [], 0
        window.append(chunk)
        size += chunk.stored_size
    if window:
        yield window
