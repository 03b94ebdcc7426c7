"""The blob that most values become, checked at one go: a few frames, each of one raw chunk."""

from __future__ import annotations

import time
from functools import cached_property
from math import isfinite
from struct import Struct
from typing import Any, Final

from blake3 import blake3

from cachestore.blob.bodies import value_of
from cachestore.blob.codecs import RAW
from cachestore.blob.described import Described
from cachestore.blob.header import FORMAT, TRAILER_LENGTH, pack_header, pack_trailer
from cachestore.blob.table import ALIGNMENT, BODIES, BUFFER, CHUNK_LIMIT, NEVER, Head, plain_table, table_size
from cachestore.settings.settings import LoadPolicy

# Where the trailer has the length of the table.
_TABLE_LENGTH: Final = Struct("<56xQ")


def _layout(frames: int) -> tuple[Struct, tuple[int, int], list[tuple[frozenset[int], slice, slice]]]:
    """Return the table of so many frames: its counts, and where its fields say of each frame which kind it may be."""
    chunks = 9 + 4 * frames
    places = [
        (
            frozenset({BUFFER}) if number < frames - 1 else frozenset[int](BODIES),
            slice(9 + 4 * number, 13 + 4 * number),
            slice(chunks + 5 * number, chunks + 5 * (number + 1)),
        )
        for number in range(frames)
    ]
    return plain_table(frames), (frames, frames), places


# A number of numpy and an array are a buffer and a body. More frames are left to the general way, which takes its time.
_TABLES: Final = {table_size(frames, frames): _layout(frames) for frames in (1, 2, 3)}

_HEADER: Final = pack_header()
_HEADER_DIGEST: Final = blake3(_HEADER).digest()
_START: Final = _HEADER.ljust(ALIGNMENT, b"\0")


class SmallBlob(Described):
    """Holds a blob of which every byte has been checked, and answers as `BlobReader` does.

    Parameters
    ----------
    fields
        What its table says.
    raw_metadata
        Its metadata as they stand in it.
    frames
        The bytes of its buffers, and of its body.
    kind
        The kind of the body.
    """

    def __init__(
        self, fields: tuple[Any, ...], raw_metadata: bytes, frames: list[memoryview], kind: int
    ) -> None:
        self._fields = fields
        self._raw_metadata = raw_metadata
        self._frames = frames
        self._kind = kind

    @cached_property
    def _head(self) -> Head:  # type: ignore[override]
        return Head._make(self._fields[:7])

    @property
    def _raw_size(self) -> int:  # type: ignore[override]
        return sum(self._fields[12 : 9 + 4 * self._fields[7] : 4])

    @property
    def seconds(self) -> float:
        """How long the computation of the value took."""
        seconds: float = self._fields[4]  # at each hit
        return seconds

    def value(self, *, policy: LoadPolicy = "any") -> object:
        """Return the value, and let go of its bytes.

        Raises
        ------
        BlobError
            If it cannot be read here, or shall not be.
        """
        frames = self._frames
        # Arrays live in the memory of their buffers, and can be written to.
        buffers = list(map(bytearray, frames[:-1])) if len(frames) > 1 else ()
        value = value_of(self._kind, frames[-1], buffers, policy=policy)
        del self._frames
        return value


def small_blob(data: bytes, *, key: str) -> SmallBlob | None:
    """Check a whole blob if it is as most are, as `BlobReader` checks every one.

    Returns
    -------
    SmallBlob or None
        None for whatever is not exactly such a blob, of this key and with every byte as it was written, whose time is
        not over: the general way of reading finds out what it is, or what is wrong with it.
    """
    trailer_offset = len(data) - TRAILER_LENGTH
    if trailer_offset < ALIGNMENT:
        return None
    (table_length,) = _TABLE_LENGTH.unpack_from(data, trailer_offset)
    table_offset = trailer_offset - table_length
    layout = _TABLES.get(table_length)
    if layout is None or table_offset < ALIGNMENT or not data.startswith(_START):
        return None
    table, counts, places = layout
    fields = table.unpack_from(data, table_offset)
    view = memoryview(data)
    frames: list[memoryview] = []
    at = ALIGNMENT  # up to there, every byte is as it must be
    for kinds, in_table, in_chunks in places:
        kind, _, chunks, raw = fields[in_table]
        offset, stored, raw_size, codec, digest = fields[in_chunks]
        frame = view[offset : offset + stored]
        if (
            kind not in kinds
            or chunks != 1
            or codec != RAW
            or not 0 < stored == raw_size == raw <= CHUNK_LIMIT
            or offset != at + -at % ALIGNMENT
            or (offset != at and data.count(0, at, offset) != offset - at)
            or blake3(frame).digest() != digest
        ):
            return None
        frames.append(frame)
        at = offset + stored
    raw_metadata = data[at:table_offset]
    if (
        at > table_offset
        or fields[7:9] != counts
        or not isfinite(fields[4])
        or fields[0] != _HEADER_DIGEST
        or fields[2].hex() != key
        or (fields[5] != NEVER and fields[5] <= time.time() * 1e6)
        or blake3(raw_metadata).digest() != fields[1]
    ):
        return None
    trailer = pack_trailer(
        blake3(data[table_offset:trailer_offset]).digest(),
        at, table_offset - at, table_offset, table_length, len(data), FORMAT, 0, 0, 0,
    )  # fmt: skip
    return SmallBlob(fields, raw_metadata, frames, kind) if data.endswith(trailer) else None
