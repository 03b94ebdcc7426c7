"""The two ends of a blob: the header it starts with and the trailer it ends with."""

from __future__ import annotations

from functools import cache
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from blake3 import blake3

from cachestore.errors import BlobError, CorruptBlob, NewerBlob

FORMAT: Final = 1

# The first byte is no text, and the line ends are spoilt by any transfer that "repairs" them.
_MAGIC: Final = b"\x93CSB\r\n\x1a\n"
_END_MAGIC: Final = b"\n\x1a\r\nBSC\x93"

_HEADER: Final = Struct("<8sIIII")  # magic, format, must understand, may ignore, zero
_TRAILER: Final = Struct("<32s5QIIII")  # without its check and the end magic
_CHECK: Final = Struct("<II8s")  # CRC-32 of the fields before, zero, end magic

HEADER_LENGTH: Final = _HEADER.size
TRAILER_LENGTH: Final = _TRAILER.size + _CHECK.size

# What a reader holds in memory before it knows whether a blob is sound.
METADATA_LIMIT: Final = 16 * 2**20
TABLE_LIMIT: Final = 16 * 2**20

# The features that this reader understands: none yet, FORMAT.md reserves the first few.
_UNDERSTOOD: Final = 0


def pack_header(format_number: int = FORMAT, must_understand: int = 0, may_ignore: int = 0) -> bytes:
    """Return the first bytes of a blob."""
    return _HEADER.pack(_MAGIC, format_number, must_understand, may_ignore, 0)


def pack_trailer(*fields: bytes | int) -> bytes:
    """Return the last bytes of a blob; these are the fields of a `Trailer`, which a hit does without."""
    packed = _TRAILER.pack(*fields)
    return packed + _CHECK.pack(crc32(packed), 0, _END_MAGIC)


@cache
def _header_and_digest(format_number: int, must_understand: int, may_ignore: int) -> tuple[bytes, bytes]:
    header = pack_header(format_number, must_understand, may_ignore)
    return header, blake3(header).digest()


class Trailer(NamedTuple):
    """Says where the metadata and the table of a blob lie, and what it takes to read it.

    Parameters
    ----------
    table_digest
        The BLAKE3 digest of the table, 32 bytes.
    metadata_offset, metadata_length, table_offset, table_length
        Bytes from the start of the blob, and bytes.
    total_length
        The length of the whole blob.
    format, must_understand, may_ignore
        As in the header.
    appendix_length
        The bytes between table and trailer: they belong to features that may be ignored.
    """

    table_digest: bytes
    metadata_offset: int
    metadata_length: int
    table_offset: int
    table_length: int
    total_length: int
    format: int = FORMAT
    must_understand: int = 0
    may_ignore: int = 0
    appendix_length: int = 0

    def pack(self) -> bytes:
        """Return the last bytes of a blob."""
        return pack_trailer(*self)

    def header(self) -> tuple[bytes, bytes]:
        """Return the header that a blob with this trailer starts with, and its digest."""
        return _header_and_digest(self.format, self.must_understand, self.may_ignore)

    @classmethod
    def parse(cls, tail: memoryview) -> Trailer:
        """Read the trailer from the last bytes of a blob.

        Parameters
        ----------
        tail
            The last bytes of the blob, or all of it.

        Raises
        ------
        CorruptBlob
            If these bytes do not end in a trailer, or its numbers do not add up.
        NewerBlob
            If the blob has a later format, or a feature that must be understood and is not.
        BlobError
            If it has an earlier format.
        """
        if len(tail) < HEADER_LENGTH + TRAILER_LENGTH:
            raise CorruptBlob(
                f"The object has {len(tail)} bytes, fewer than the smallest blob. It was cut off, or is "
                "no blob; recompute the value."
            )
        raw = tail[-TRAILER_LENGTH:]
        *check, end_magic = _CHECK.unpack_from(raw, _TRAILER.size)
        if end_magic != _END_MAGIC:
            raise CorruptBlob(
                f"The object ends in {end_magic!r} instead of a blob's end mark. "
                "It was cut off, or is no blob; recompute the value."
            )
        # Before any of its numbers is believed: else a flipped bit would read as "written by a later one".
        if check != [crc32(raw[: _TRAILER.size]), 0]:
            raise CorruptBlob("The blob's trailer is damaged: its check does not match. Recompute the value.")
        trailer = cls._make(_TRAILER.unpack_from(raw))
        if trailer.format != FORMAT or trailer.must_understand & ~_UNDERSTOOD:
            trailer._refuse_others()
        trailer._check_sums(len(tail))
        return trailer

    def _refuse_others(self) -> None:
        if self.format < FORMAT:
            raise BlobError(
                f"The blob has format {self.format}, of before the first release, which is not read any more. "
                "Recompute the value."
            )
        if self.format > FORMAT:
            raise NewerBlob(
                f"The blob has format {self.format}, and this cachestore reads formats up to {FORMAT}. "
                "A later cachestore wrote it; upgrade."
            )
        raise NewerBlob(
            f"The blob uses features {self.must_understand & ~_UNDERSTOOD:#010x}, which this cachestore does not "
            "understand. A later cachestore wrote it; upgrade."
        )

    def _check_sums(self, available: int) -> None:
        # The sections touch each other and fill the blob: no byte escapes a digest, and nothing overlaps.
        if (
            self.metadata_offset < HEADER_LENGTH
            or self.metadata_offset + self.metadata_length != self.table_offset
            or self.table_offset + self.table_length + self.appendix_length + TRAILER_LENGTH
            != self.total_length
            or self.total_length < available
            or (self.appendix_length and not self.may_ignore)
        ):
            raise CorruptBlob(
                "The blob's trailer does not add up: metadata at "
                f"{self.metadata_offset}+{self.metadata_length}, table at "
                f"{self.table_offset}+{self.table_length}, appendix of {self.appendix_length}, "
                f"{self.total_length} bytes in all, {available} bytes at hand. Recompute the value."
            )
        if self.metadata_length > METADATA_LIMIT or self.table_length > TABLE_LIMIT:
            raise CorruptBlob(
                f"The blob declares {self.metadata_length} bytes of metadata and {self.table_length} of table; at "
                f"most {METADATA_LIMIT} and {TABLE_LIMIT} are allowed. Recompute the value."
            )
