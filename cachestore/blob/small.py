"""The blob that most values become, checked at one go: a body of one raw chunk, and nothing else."""

from __future__ import annotations

from functools import cached_property
from math import isfinite
from struct import Struct
from typing import Any, Final
from zlib import crc32

from blake3 import blake3

from cachestore.blob.bodies import LoadPolicy, value_of
from cachestore.blob.codecs import RAW
from cachestore.blob.described import Described
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


class SmallBlob(Described):
    """Holds a blob of which every byte has been checked, and answers as `BlobReader` does.

    Parameters
    ----------
    fields
        What its table says.
    raw_metadata
        Its metadata as they stand in it.
    body
        The bytes of its body.
    """

    def __init__(self, fields: tuple[Any, ...], raw_metadata: bytes, body: memoryview) -> None:
        self._fields = fields
        self._raw_metadata = raw_metadata
        self._body = body

    @cached_property
    def _head(self) -> Head:  # type: ignore[override]
        return Head._make(self._fields[:7])

    @property
    def _raw_size(self) -> int:  # type: ignore[override]
        size: int = self._fields[12]
        return size

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
        value = value_of(self._fields[9], self._body, (), policy=policy)
        del self._body
        return value


def small_blob(data: bytes, *, key: str) -> SmallBlob | None:
    """Check a whole blob if it is as most are, as `BlobReader` checks every one.

    Returns
    -------
    SmallBlob or None
        None for whatever is not exactly such a blob, of this key and with every byte as it was written: the general
        way of reading finds out what it is, or what is wrong with it.
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
        or not isfinite(fields[4])
        or fields[0] != _HEADER_DIGEST
        or fields[2].hex() != key
        or not data.startswith(_START)
        or blake3(raw_metadata).digest() != fields[1]
        or blake3(body).digest() != digest
    ):
        return None
    return SmallBlob(fields, raw_metadata, body)
