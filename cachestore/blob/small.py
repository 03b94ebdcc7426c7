"""The blob that most values become, checked at one go: a body of one raw chunk, and nothing else."""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from blake3 import blake3

from cachestore.blob.codecs import RAW
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
    trailer_offset = size - TRAILER_LENGTH
    table_offset = trailer_offset - _TABLE.size
    if table_offset < ALIGNMENT:
        return None
    table_digest, end, metadata_length, *rest = _TRAILER.unpack_from(data, trailer_offset)
    check = crc32(data[trailer_offset : trailer_offset + _CHECKED])
    if (
        # All that the trailer says besides is what it must say, so nothing of that is left to believe.
        rest != [table_offset, _TABLE.size, size, FORMAT, 0, 0, 0, check, 0, _END_MAGIC]
        or end + metadata_length != table_offset
        or blake3(data[table_offset:trailer_offset]).digest() != table_digest
    ):
        return None
    fields = _TABLE.unpack_from(data, table_offset)
    kind, _, _, raw, _, stored_size, raw_size, _, digest = fields[9:]
    raw_metadata = data[end:table_offset]
    body = memoryview(data)[ALIGNMENT:end]
    if (
        (fields[7:9], fields[11], fields[13], fields[16]) != ((1, 1), 1, ALIGNMENT, RAW)
        or not 0 < stored_size == raw_size == raw == end - ALIGNMENT <= CHUNK_LIMIT
        or kind not in BODIES
        or fields[0] != _HEADER_DIGEST
        or not data.startswith(_START)
        or blake3(raw_metadata).digest() != fields[1]
        or blake3(body).digest() != digest
    ):
        return None
    return SmallBlob(Head._make(fields[:7]), raw_metadata, kind, body)
