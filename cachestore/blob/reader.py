"""One blob becomes one value again, if every byte of it is as it was written."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from io import BytesIO
from itertools import accumulate
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, Protocol

from blake3 import blake3

from cachestore.blob.bodies import check_policy, value_of
from cachestore.blob.body import BodyKind
from cachestore.blob.codecs import MOST_THREADS, RAW, check_chunk, decompress_chunk
from cachestore.blob.described import Described
from cachestore.blob.header import HEADER_LENGTH, Trailer
from cachestore.blob.table import BUFFER, Chunk, Frame, Table
from cachestore.errors import BlobError, CorruptBlob
from cachestore.in_order import in_order
from cachestore.settings.settings import LoadPolicy

if TYPE_CHECKING:
    from cachestore.blob.array_body import ArrayLayout

# What is fetched, checked and decompressed by one thread at a time: large enough for a remote store, and small
# enough that some of them in memory at once are little beside a large value.
_WINDOW: Final = 4 * 2**20


# Bytes of a table that is remembered at most: that of an array of a gigabyte.
_REMEMBERED: Final = 64 * 2**10


class Source(Protocol):
    """Is where a reader gets the bytes of one object from; safe to use from several threads.

    Parameters
    ----------
    suffix_length
        How many bytes to ask for first: small blobs come whole, and of others the part that says what else to ask
        for.
    at_once
        How many ranges are worth asking for at once.
    """

    @property
    def suffix_length(self) -> int: ...

    @property
    def at_once(self) -> int: ...

    def suffix(self, length: int) -> bytes:
        """Return the last `length` bytes, or the whole object when it is shorter."""

    def range(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`, fewer where the object ends."""

    def read_into(self, start: int, outs: Sequence[memoryview]) -> int:
        """Fill `outs`, one after the other, with the bytes from `start` on; return how many there were."""

    def stream(self) -> BinaryIO | None:
        """Open the file that the object is, to be mapped into memory; None where it is no file."""


class BlobReader(Described):
    """Reads one blob in as few requests as possible, and believes nothing unchecked.

    Digests are checked before anything is decompressed, and everything before anything is unpickled.

    Parameters
    ----------
    size
        Its length in bytes.
    """

    def __init__(self, source: Source, tail: bytes) -> None:
        self._source = source
        self._tail = memoryview(tail)
        self.size = self._trailer.total_length
        self._tail_start = self.size - len(tail)
        self._head = self.table.head
        self._raw_metadata = self._read_metadata()
        self._raw_size = self.table.raw_size

    @classmethod
    def open(cls, source: Source, *, key: str | None = None) -> BlobReader:
        """Read what a blob says of itself, in one request unless that is long.

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
        length = source.suffix_length
        tail = source.suffix(length)
        reader = cls(source, tail)
        if len(tail) < length and len(tail) != reader.size:
            raise CorruptBlob(
                f"The blob has {len(tail)} bytes and declares {reader.size}. Recompute the value."
            )
        if key is not None and reader.key != key:
            raise CorruptBlob(
                f"The blob asked for with key {key} {f'is that of key {reader.key}' if reader.key else 'has no key'}. "
                "It was put in the wrong place; recompute the value."
            )
        return reader

    @cached_property
    def _trailer(self) -> Trailer:
        return Trailer.parse(self._tail)

    @cached_property
    def table(self) -> Table:
        """What the blob is made of."""
        trailer = self._trailer
        raw = self._bytes(trailer.table_offset, trailer.table_offset + trailer.table_length)
        if blake3(raw).digest() != trailer.table_digest:
            raise CorruptBlob("The blob's table is damaged: its digest does not match. Recompute the value.")
        if len(raw) > _REMEMBERED:
            return Table.parse(raw, start=HEADER_LENGTH, stop=trailer.metadata_offset)
        return _parsed(bytes(raw), trailer.metadata_offset)

    @property
    def raw_metadata(self) -> bytes:
        """The metadata as they stand in the blob, their digest checked."""
        return self._raw_metadata

    @cached_property
    def layout(self) -> ArrayLayout | None:
        """How the bytes of the first frame are an array; None where the value is none that can be sliced.

        Raises
        ------
        CorruptBlob
            If its description has no meaning, or its buffer another size.
        """
        *buffers, body = self.table.frames
        if body.kind != BodyKind.ARRAY:
            return None
        from cachestore.blob.array_body import parse_array

        layout, is_scalar = parse_array(self.body())
        layout.check([buffer.raw_size for buffer in buffers])
        return None if is_scalar else layout

    def check_policy(self, policy: LoadPolicy) -> None:
        """Refuse, before any of it is fetched, a value that `value` would refuse.

        Raises
        ------
        BlobError
            If it may not be read.
        """
        check_policy(self.table.frames[-1].kind, policy)

    def value(self, *, policy: LoadPolicy = "any") -> object:
        """Return the value.

        Parameters
        ----------
        policy
            `data` refuses to unpickle.

        Raises
        ------
        CorruptBlob
            If any byte is not as it was written.
        BlobError
            If the value does not fit into memory, cannot be unpickled here, or shall not be.
        """
        frames = self.table.frames
        kind = _Bytes if frames[-1].kind == BodyKind.PLAIN else _Content
        contents = [*map(kind, frames[:-1]), _Content(frames[-1])]
        windows = map(_allocated, _windows(contents, self._tail_start))
        self._read(windows, self._take, worth=self._outstanding)
        *buffers, body = [content.taken() for content in contents]
        return value_of(frames[-1].kind, body, buffers, policy=policy)

    def body(self) -> memoryview:
        """Return the bytes that say what the value is, without its buffers.

        Raises
        ------
        CorruptBlob
            If they are not as they were written.
        """
        frames = self.table.frames
        if len(frames[-1].chunks) == 1:
            return self._raw(frames[-1].chunks[0])
        raw = memoryview(bytearray(frames[-1].raw_size))
        self.read_runs(len(frames) - 1, [0], len(raw), raw)
        return raw

    def read_runs(self, number: int, starts: Sequence[int], length: int, out: memoryview) -> None:
        """Read some of the raw bytes of a frame, and of the blob only the chunks that hold them.

        Parameters
        ----------
        number
            Which of the frames.
        starts
            Where each run begins among the raw bytes of the frame, in ascending order.
        length
            How many bytes each of them has.
        out
            Where they go, one run after the other.

        Raises
        ------
        CorruptBlob
            If one of these chunks is not as it was written.
        """
        contents = _scattered(self.table.frames[number], starts, length, out)
        windows = list(_neighbours(contents))
        self._read(windows, self._take, worth=len(windows))

    def raw_chunks(self) -> Iterator[memoryview]:
        """Iterate over the raw bytes of all chunks, in the order in which they stand in the blob.

        Raises
        ------
        CorruptBlob
            If any byte is not as it was written.
        """
        windows = _windows([_Content(frame) for frame in self.table.frames], self._tail_start)
        for pieces in in_order(self._check, windows, at_once=self._at_once(self._outstanding)):
            # In this thread: what compresses well would fill the memory with raw bytes that nobody has taken yet.
            for piece, stored in pieces:
                yield _inflated(piece.chunk, stored)

    def stream(self) -> BinaryIO | None:
        """Open the file that the blob is, to be mapped into memory; None where it is no file."""
        return self._source.stream()

    def verify(self) -> None:
        """Check every digest, and neither decompress nor unpickle anything.

        A source does not tell how long its object is. Of an object longer than the first request, bytes inserted
        just before its last ones are never read: who knows its length compares it with `size`.

        Raises
        ------
        CorruptBlob
            If any byte is not as it was written.
        """
        contents = [_Content(frame) for frame in self.table.frames]
        self._read(_windows(contents, self._tail_start), self._check, worth=self._outstanding)
        self.metadata  # noqa: B018 - reads and checks them

    def _raw(self, chunk: Chunk) -> memoryview:
        """Return the raw bytes of a chunk."""
        stored = self._bytes(chunk.offset, chunk.offset + chunk.stored_size)
        _check_digest(chunk, stored)
        check_chunk(chunk.codec, stored, chunk.raw_size)
        return _inflated(chunk, stored)

    @property
    def _outstanding(self) -> int:
        """How many windows are still to be asked for; what is at hand already is not worth a thread."""
        return -(-self._tail_start // _WINDOW)

    def _at_once(self, worth: int) -> int:
        return max(1, min(self._source.at_once, worth, MOST_THREADS))

    def _read(self, windows: Iterable[_Window], work: Callable[[_Window], object], *, worth: int) -> None:
        for _ in in_order(work, windows, at_once=self._at_once(worth)):
            pass

    def _take(self, window: _Window) -> None:
        """Put the raw bytes of a window where they belong."""
        if (
            window.start < self._tail_start
            and window.pieces
            and all(piece.straight for piece in window.pieces)
        ):
            self._take_raw(window)
            return
        for piece, stored in self._checked(window):
            piece.content.take(piece, stored)

    def _take_raw(self, window: _Window) -> None:
        """Read bytes that were not compressed right to where they belong, and check them there."""
        gaps, outs = [], []
        end = window.start
        for piece in window.pieces:
            gaps.append((end, memoryview(bytearray(piece.chunk.offset - end))))
            outs += [gaps[-1][1], piece.out]
            end = piece.stop
        self._fill(window.start, outs)
        for start, gap in gaps:
            self._check_gap(start, gap)
        for piece in window.pieces:
            _check_digest(piece.chunk, piece.out)

    def _fill(self, start: int, outs: Iterable[memoryview]) -> None:
        """Fill `outs` with the bytes from `start` on, asking the source only for what did not come with the tail."""
        wanted = []
        end = start
        for out in outs:
            missing = max(0, min(out.nbytes, self._tail_start - end))
            wanted.append(out[:missing])
            begin, end = end + missing, end + out.nbytes
            if begin < end:
                out[missing:] = self._tail[begin - self._tail_start : end - self._tail_start]
        stop = min(end, self._tail_start)
        count = self._source.read_into(start, wanted)
        if count != stop - start:
            raise _ends_early(start, stop, count)

    def _check(self, window: _Window) -> list[tuple[_Piece, memoryview]]:
        return list(self._checked(window))

    def _checked(self, window: _Window) -> Iterator[tuple[_Piece, memoryview]]:
        """Yield the pieces of a window with their stored bytes, whose digests are right."""
        start, end = window.start, window.start
        data = self._bytes(start, window.stop)
        for piece in window.pieces:
            chunk = piece.chunk
            self._check_gap(end, data[end - start : chunk.offset - start])
            stored = data[chunk.offset - start : piece.stop - start]
            _check_digest(chunk, stored)
            check_chunk(chunk.codec, stored, chunk.raw_size)
            yield piece, stored
            end = piece.stop
        if not window.pieces:
            self._check_gap(start, data)

    def _check_gap(self, start: int, gap: memoryview) -> None:
        """Check what stands between frames, and before the first one."""
        if start == 0:
            self._check_header(gap[:HEADER_LENGTH])
            gap = gap[HEADER_LENGTH:]
        if bytes(gap).strip(b"\0"):
            raise CorruptBlob(f"Bytes behind byte {start} of the blob should be 0. Recompute the value.")

    def _check_header(self, header: memoryview) -> None:
        # The comparison says that it agrees with the trailer, whose format and features have been looked at
        # already, and the digest that it is the one that was written.
        if (bytes(header), self._head.header_digest) != self._trailer.header():
            raise CorruptBlob(
                f"The blob begins with {bytes(header)!r}, which is no header of it. Recompute the value."
            )

    def _read_metadata(self) -> bytes:
        trailer = self._trailer
        raw = self._bytes(trailer.metadata_offset, trailer.table_offset)
        if blake3(raw).digest() != self._head.metadata_digest:
            raise CorruptBlob(
                "The blob's metadata are damaged: their digest does not match. Recompute the value."
            )
        return bytes(raw)

    def _bytes(self, start: int, stop: int) -> memoryview:
        """Return these bytes of the blob, asking the source only for what did not come with the tail."""
        tail_start = self._tail_start
        if start >= tail_start:
            return self._tail[start - tail_start : stop - tail_start]
        if stop > tail_start:
            both = memoryview(bytearray(stop - start))
            self._fill(start, [both])
            return both
        fetched = self._source.range(start, stop)
        if len(fetched) != stop - start:
            raise _ends_early(start, stop, len(fetched))
        return memoryview(fetched)


class _Content:
    """Collects the raw bytes of a frame."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.raw = memoryview(b"")

    def allocate(self) -> None:
        """Get memory for the whole frame, unless it is a body that will do as it is stored."""
        chunks = self.frame.chunks
        if self.raw or (self.frame.kind != BUFFER and len(chunks) == 1 and chunks[0].codec == RAW):
            return
        try:
            self.raw = self._memory()
        except MemoryError as error:
            raise BlobError(
                f"The value does not fit into memory: {self.frame.raw_size} bytes are not to be had."
            ) from error

    def _memory(self) -> memoryview:
        if self.frame.kind != BUFFER:
            return memoryview(bytearray(self.frame.raw_size))
        # Arrays will live in this memory: writable, aligned, and not filled with zeros first.
        import numpy

        return numpy.empty(self.frame.raw_size, numpy.uint8).data

    def take(self, piece: _Piece, stored: memoryview) -> None:
        """Add a chunk, which has been checked."""
        if self.raw:
            decompress_chunk(piece.chunk.codec, stored, piece.out)
        else:
            self.raw = stored  # only what reads the body reads it, so it need not be copied

    def taken(self) -> Any:
        """Return all of them, when they are here."""
        return self.raw


class _Bytes(_Content):
    """Collects the raw bytes of a frame in `bytes`: a value can be these, without a copy."""

    def _memory(self) -> memoryview:
        self._file = BytesIO(bytes(self.frame.raw_size))
        return self._file.getbuffer()

    def taken(self) -> bytes:
        """Return the bytes that were written to, for nobody sees them any more; else they would be a copy."""
        self.raw = memoryview(b"")
        return self._file.getvalue()


class _Scattered(_Content):
    """Collects some of the raw bytes of one chunk."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        # From where in the chunk, and to where.
        self.copies: list[tuple[int, memoryview]] = []

    def take(self, piece: _Piece, stored: memoryview) -> None:
        """Copy what is asked for of the chunk, which has been checked."""
        chunk = piece.chunk
        begin, out = self.copies[0]
        if begin == 0 and out.nbytes == chunk.raw_size:
            decompress_chunk(chunk.codec, stored, out)
            return
        raw = _inflated(chunk, stored)
        for begin, out in self.copies:
            out[:] = raw[begin : begin + out.nbytes]


class _Piece(NamedTuple):
    chunk: Chunk
    content: _Content
    begin: int  # of its raw bytes among those of the frame

    @property
    def stop(self) -> int:
        return self.chunk.offset + self.chunk.stored_size

    @property
    def straight(self) -> bool:
        """Whether its stored bytes are the raw ones, and have memory to go to."""
        chunk = self.chunk
        return chunk.codec == RAW and chunk.stored_size == chunk.raw_size and self.content.raw.nbytes > 0

    @property
    def out(self) -> memoryview:
        """Where its raw bytes belong."""
        return self.content.raw[self.begin : self.begin + self.chunk.raw_size]


class _Window(NamedTuple):
    start: int
    pieces: Sequence[_Piece]

    @property
    def stop(self) -> int:
        return self.pieces[-1].stop if self.pieces else HEADER_LENGTH


def _allocated(window: _Window) -> _Window:
    """Return a window whose frames have their memory."""
    for piece in window.pieces:
        piece.content.allocate()
    return window


def _windows(contents: Iterable[_Content], tail_start: int) -> Iterator[_Window]:
    """Group chunks that follow each other, so that a group can be asked for at once and held in memory.

    Those that came with the tail are never grouped with others: nothing has to be asked for.
    """
    start = size = 0
    pieces: list[_Piece] = []
    for content in contents:
        begin = 0
        for chunk in content.frame.chunks:
            arrived = chunk.offset >= tail_start
            if pieces and (
                size + chunk.stored_size > _WINDOW or arrived != (pieces[-1].chunk.offset >= tail_start)
            ):
                yield _Window(start, pieces)
                start, size, pieces = pieces[-1].stop, 0, []
            pieces.append(_Piece(chunk, content, begin))
            size += chunk.stored_size
            begin += chunk.raw_size
    yield _Window(start, pieces)


def _scattered(
    frame: Frame, starts: Sequence[int], length: int, out: memoryview
) -> Iterator[tuple[Chunk, _Scattered]]:
    """Yield the chunks that hold some runs of raw bytes, and what is asked for of each."""
    begins = list(accumulate((chunk.raw_size for chunk in frame.chunks), initial=0))
    content, last = _Scattered(frame), -1
    done = 0
    for start in starts:
        stop = start + length
        while start < stop:
            place = bisect_right(begins, start) - 1
            if place != last:
                if content.copies:
                    yield frame.chunks[last], content
                content, last = _Scattered(frame), place
            size = min(stop, begins[place + 1]) - start
            content.copies.append((start - begins[place], out[done : done + size]))
            start += size
            done += size
    if content.copies:
        yield frame.chunks[last], content


def _neighbours(contents: Iterable[tuple[Chunk, _Scattered]]) -> Iterator[_Window]:
    """Group chunks that follow each other."""
    start = stop = 0
    pieces: list[_Piece] = []
    for chunk, content in contents:
        piece = _Piece(chunk, content, 0)
        if pieces and (chunk.offset != stop or piece.stop - start > _WINDOW):
            yield _Window(start, pieces)
            pieces = []
        if not pieces:
            start = chunk.offset
        pieces.append(piece)
        stop = piece.stop
    if pieces:
        yield _Window(start, pieces)


def _inflated(chunk: Chunk, stored: memoryview) -> memoryview:
    """Return the raw bytes of a chunk, which has been checked."""
    if chunk.codec == RAW:
        return stored
    raw = memoryview(bytearray(chunk.raw_size))
    decompress_chunk(chunk.codec, stored, raw)
    return raw


def _check_digest(chunk: Chunk, stored: memoryview) -> None:
    if blake3(stored).digest() != chunk.digest:
        raise CorruptBlob(
            f"The blob is damaged in the {chunk.stored_size} bytes at {chunk.offset}: their digest does not "
            "match. Recompute the value."
        )


def _ends_early(start: int, stop: int, count: int) -> CorruptBlob:
    return CorruptBlob(
        f"The blob ends early: bytes {start} to {stop} were asked for, and {count} came. Recompute the value."
    )


# What is mapped again and again is parsed once. The same bytes are the same table.
@lru_cache(maxsize=16)
def _parsed(raw: bytes, stop: int) -> Table:
    return Table.parse(memoryview(raw), start=HEADER_LENGTH, stop=stop)
