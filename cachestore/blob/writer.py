"""One value becomes one blob."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from blake3 import blake3

from cachestore.blob.codecs import BLOSC2, RAW, SMALL, Codec, choose_codec, compress_chunk
from cachestore.blob.header import METADATA_LIMIT, TABLE_LIMIT, TRAILER_LENGTH, Trailer, pack_header
from cachestore.blob.metadata import Metadata
from cachestore.blob.pickling import pickle_value
from cachestore.blob.table import CHUNK_LIMIT, Chunk, Frame, FrameKind, Table
from cachestore.errors import BlobError
from cachestore.settings.settings import Compress

_HEADER: Final = pack_header()
_HEADER_DIGEST: Final = blake3(_HEADER).digest()


@dataclass(frozen=True, slots=True)
class Encoded:
    """Holds a blob that is not yet stored.

    Parameters
    ----------
    parts
        Its bytes, in order. Some are views of the value's own memory: write them before the value changes.
    size
        How many bytes that are.
    metadata
        What it says of itself, with kind and raw size filled in.
    """

    parts: Sequence[bytes | memoryview]
    size: int
    metadata: Metadata


def encode(value: object, metadata: Metadata, *, compress: Compress = None) -> Encoded:
    """Turn `value` into a blob.

    Parameters
    ----------
    value
        Anything that pickle or cloudpickle accepts.
    metadata
        What the blob shall say of it; kind and raw size are filled in.
    compress
        None looks at the data; see `cachestore.settings.Settings`.

    Raises
    ------
    BlobError
        If the value cannot be pickled, or its metadata or table is too large.
    SettingsError
        If `compress` has no meaning.
    """
    codec = choose_codec(compress)
    body, buffers = pickle_value(value)
    blob = _Frames(codec)
    blob.add(FrameKind.PICKLE, body, item_size=1)
    for raw, item_size in buffers:
        blob.add(FrameKind.BUFFER, raw, item_size=item_size)
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    metadata = replace(metadata, kind=kind, raw_size=blob.raw_size)
    raw_metadata = metadata.to_json()
    table = Table(_HEADER_DIGEST, blake3(raw_metadata).digest(), blob.frames).pack()
    for name, section, limit in (("metadata", raw_metadata, METADATA_LIMIT), ("table", table, TABLE_LIMIT)):
        if len(section) > limit:
            raise BlobError(
                f"The blob of {metadata.function} would have {len(section)} bytes of {name}; at most "
                f"{limit} are "
                "allowed. Return a value of fewer parts, or do not cache the function."
            )
    table_offset = blob.end + len(raw_metadata)
    trailer = Trailer(
        table_digest=blake3(table).digest(),
        metadata_offset=blob.end,
        metadata_length=len(raw_metadata),
        table_offset=table_offset,
        table_length=len(table),
        total_length=table_offset + len(table) + TRAILER_LENGTH,
    )
    return Encoded((*blob.parts, raw_metadata + table + trailer.pack()), trailer.total_length, metadata)


class _Frames:
    """Collects the frames of a blob, and the bytes they are stored as."""

    def __init__(self, codec: Codec | None) -> None:
        self.parts: list[bytes | memoryview] = [_HEADER]
        self.frames: list[Frame] = []
        self.end = len(_HEADER)
        self.raw_size = 0
        self._codec = codec

    def add(self, kind: FrameKind, raw: memoryview, *, item_size: int) -> None:
        """Store `raw` in chunks of whole items, each compressed where that pays."""
        if item_size > CHUNK_LIMIT:
            item_size = 1
        codec = self._codec if raw.nbytes >= SMALL else None
        step = CHUNK_LIMIT - CHUNK_LIMIT % item_size
        chunks = [
            self._store(raw[start : start + step], codec, item_size) for start in range(0, raw.nbytes, step)
        ]
        self.frames.append(Frame(kind, item_size, raw.nbytes, chunks))
        self.raw_size += raw.nbytes

    def _store(self, raw: memoryview, codec: Codec | None, item_size: int) -> Chunk:
        compressed = compress_chunk(raw, codec=codec, item_size=item_size) if codec else None
        part = raw if compressed is None else compressed
        chunk = Chunk(self.end, len(part), len(raw), RAW if part is raw else BLOSC2, blake3(part).digest())
        self.parts.append(part)
        self.end += len(part)
        return chunk
