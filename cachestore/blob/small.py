"""The blob that most values become, checked at one go: a body of one raw chunk, and nothing else."""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from blake3 import blake3

from cachestore.blob.header import FORMAT, TRAILER_LENGTH, Trailer, pack_header
from cachestore.blob.table import ALIGNMENT, BODIES, CHUNK_LIMIT, Head

# As in FORMAT.md: the table of one frame with one chunk, and the trailer with its check and end magic.
_TABLE: Final = Struct("<32s32s32s32sdqQII BxxxIIxxxxQ QIIBxxxxxxx32s")
_TRAILER: Final = Struct("<32s5QIIII II8s")
_CHECKED: Final = TRAILER_LENGTH - 16

_HEADER: Final = pack_header()
_HEADER_DIGEST: Final = blake3(_HEADER).digest()
_START: Final = _HEADER.ljust(ALIGNMENT, b"\0")
_END_MAGIC: Final = Trailer(bytes(32), 0, 0, 0, 0, 0).pack()[-8:]


class SmallBlob(NamedTuple):
    """Holds a blob of which every byte has been checked."""

    head: Head
    raw_metadata: bytes
    kind: int
    body: memoryview


def small_blob(data: bytes) -> SmallBlob | None:
    """Check a whole blob if it is of the kind that most are, as `BlobReader` checks every kind.

    Returns
    -------
    SmallBlob or None
        None for whatever is not exactly such a blob, with every byte as it was written: the general way of reading
        finds out what it is, or what is wrong with it.
    """
    size = len(data)
    table_offset = size - TRAILER_LENGTH - _TABLE.size
    if table_offset < ALIGNMENT:
        return None
    trailer = _TRAILER.unpack_from(data, size - TRAILER_LENGTH)
    table_digest, end, metadata_length = trailer[:3]
    table = data[table_offset : size - TRAILER_LENGTH]
    check = crc32(data[size - TRAILER_LENGTH : size - TRAILER_LENGTH + _CHECKED])
    if (
        # All that the trailer says is what it must say, so nothing of it is left to believe but these three.
        trailer[3:] != (table_offset, _TABLE.size, size, FORMAT, 0, 0, 0, check, 0, _END_MAGIC)
        or end + metadata_length != table_offset
        or blake3(table).digest() != table_digest
    ):
        return None
    *head, frames, chunks, kind, _, count, raw, offset, stored_size, raw_size, codec, digest = _TABLE.unpack(
        table
    )
    raw_metadata = data[end:table_offset]
    body = memoryview(data)[ALIGNMENT:end]
    if (
        (frames, chunks, count, codec, offset) != (1, 1, 1, 0, ALIGNMENT)
        or not 0 < stored_size == raw_size == raw == end - ALIGNMENT <= CHUNK_LIMIT
        or kind not in BODIES
        or data[:ALIGNMENT] != _START
        or head[0] != _HEADER_DIGEST
        or blake3(raw_metadata).digest() != head[1]
        or blake3(body).digest() != digest
    ):
        return None
    return SmallBlob(Head._make(head), raw_metadata, kind, body)
