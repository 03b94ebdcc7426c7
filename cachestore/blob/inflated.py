"""One blob becomes the same blob without compression: of the same value, under the same key."""

from __future__ import annotations

from collections.abc import Iterator

from blake3 import blake3

from cachestore.blob.codecs import RAW
from cachestore.blob.header import pack_header
from cachestore.blob.reader import BlobReader
from cachestore.blob.table import Chunk, Frame, Table, aligned
from cachestore.blob.writer import pack_end


class Inflated:
    """Is a blob whose chunks are stored as they are: iterating over it makes it, part by part.

    Every byte of the other blob is checked on the way, and little of it is in memory at any time.

    Parameters
    ----------
    reader
        Of the other blob; all it says of itself is taken over.
    """

    def __init__(self, reader: BlobReader) -> None:
        self._reader = reader

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """Make the blob.

        Raises
        ------
        CorruptBlob
            If a byte of the other blob is not as it was written.
        """
        header = pack_header()
        yield header
        end = len(header)
        frames = []
        raw_chunks = self._reader.raw_chunks()
        for frame in self._reader.table.frames:
            chunks: list[Chunk] = []
            for _ in frame.chunks:
                if not chunks:
                    yield bytes(aligned(end) - end)
                    end = aligned(end)
                raw = next(raw_chunks)
                chunks.append(Chunk(end, raw.nbytes, raw.nbytes, RAW, blake3(raw).digest()))
                yield raw
                end += raw.nbytes
            frames.append(Frame(frame.kind, frame.item_size, frame.raw_size, chunks))
        # Features that may be ignored are left behind: what they say is said of the other blob.
        head = self._reader.table.head._replace(header_digest=blake3(header).digest())
        yield pack_end(Table(head, frames), self._reader.raw_metadata, start=end)
