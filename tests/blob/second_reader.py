"""A second reader of blobs, written from FORMAT.md alone: it shares no line with the first.

It is slow, reads from bytes in memory, and checks whatever FORMAT.md says that a reader must refuse.
"""

from __future__ import annotations

import json
import math
import pickle
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import blosc2
from blake3 import blake3

MIB = 2**20

# The members of the metadata, and what each must be.
TEXTS = ("function", "code_version", "started_at", "creator", "python", "kind")
OBJECTS_OF_TEXTS = ("code_parts", "arguments", "packages", "summaries")


class Corrupt(Exception):
    """Says which rule of FORMAT.md a blob breaks."""


class Newer(Exception):
    """Says that a blob is of a later format, or has a feature that this reader does not know."""


@dataclass(frozen=True)
class Blob:
    """Is what a blob says, every digest checked."""

    key: str | None
    value_digest: str | None
    seconds: float
    expires: int | None
    epoch: int
    metadata: Mapping[str, Any]
    kind: int
    body: bytearray
    buffers: list[bytearray]
    item_sizes: list[int]
    chunk_sizes: list[list[int]]
    codecs: list[list[int]]
    offsets: list[list[int]]

    def value(self) -> Any:
        """Return the value that the body and the buffers make."""
        return VALUE_OF[self.kind](self.body, self.buffers)


def read_blob(blob: bytes, *, key: str | None = None) -> Blob:
    """Read a blob; `key` is the one that was asked for."""
    # 1. the end
    _check(len(blob) >= 128, "fewer than 128 bytes")
    trailer = blob[-104:]
    _check(trailer[96:] == bytes.fromhex("0a1a0d0a42534393"), "end magic")
    (
        table_digest,
        metadata_at,
        metadata_length,
        table_at,
        table_length,
        total,
        number,
        must,
        may,
        appendix,
        check,
    ) = struct.unpack_from("<32sQQQQQIIIII", trailer)
    _check(check == zlib.crc32(trailer[:88]), "check of the trailer")
    # 2. formats and features
    if number > 1 or (number == 1 and must):
        raise Newer(f"format {number}, features {must:#x}")
    _check(number == 1, "format 0")
    # 3. where the sections lie
    _check(metadata_at >= 24, "metadata begin in the header")
    _check(metadata_at + metadata_length == table_at, "metadata do not end at the table")
    _check(table_at + table_length + appendix + 104 == total == len(blob), "lengths do not add up")
    _check(metadata_length <= 16 * MIB and table_length <= 16 * MIB, "a section is too long")
    _check(appendix == 0 or may != 0, "an appendix that no feature asked for")
    # 4. the table
    table = blob[table_at : table_at + table_length]
    _check(blake3(table).digest() == table_digest, "digest of the table")
    _check(table_length >= 160, "a table without a head")
    (
        header_digest,
        metadata_digest,
        own_key,
        value_digest,
        seconds,
        expires,
        epoch,
        frame_count,
        chunk_count,
    ) = struct.unpack_from("<32s32s32s32sdqQII", table)
    _check(frame_count >= 1, "no frames")
    _check(table_length == 160 + 24 * frame_count + 56 * chunk_count, "length of the table")
    _check(math.isfinite(seconds), "seconds are not finite")
    own_key_text = None if own_key == bytes(32) else own_key.hex()
    _check(key is None or key == own_key_text, "another key")
    frames = [struct.unpack_from("<B3xII4xQ", table, 160 + 24 * i) for i in range(frame_count)]
    first_chunk = 160 + 24 * frame_count
    chunks = [struct.unpack_from("<QIIB7x32s", table, first_chunk + 56 * i) for i in range(chunk_count)]
    _check(sum(count for _, _, count, _ in frames) == chunk_count, "chunks of frames")
    gaps = []
    position, taken = 24, 0
    for index, (kind, _item_size, count, raw_size) in enumerate(frames):
        last = index == frame_count - 1
        _check(kind <= 4 if last else kind == 255, "kind of a frame")
        own = chunks[taken : taken + count]
        taken += count
        _check(sum(raw for _, _, raw, _, _ in own) == raw_size, "raw size of a frame")
        for place, (offset, stored, raw, codec, _digest) in enumerate(own):
            begins = -(-position // 64) * 64 if place == 0 else position
            _check(offset == begins, "offset of a chunk")
            gaps.append((position, offset))
            _check(1 <= stored <= raw <= 4 * MIB, "sizes of a chunk")
            _check(codec in (0, 1), "codec of a chunk")
            position = offset + stored
    _check(position == metadata_at, "the last chunk does not end at the metadata")
    # 5. the metadata
    raw_metadata = blob[metadata_at:table_at]
    _check(blake3(raw_metadata).digest() == metadata_digest, "digest of the metadata")
    metadata = _metadata(raw_metadata, sum(frame[3] for frame in frames))
    # 6. the header, the gaps and the chunks
    header = blob[:24]
    _check(header[:8] == bytes.fromhex("934353420d0a1a0a"), "magic")
    _check(struct.unpack_from("<IIII", header, 8) == (number, must, may, 0), "header and trailer differ")
    _check(blake3(header).digest() == header_digest, "digest of the header")
    for start, stop in gaps:
        _check(not any(blob[start:stop]), "a gap that is not 0")
    for offset, stored, _, _, digest in chunks:
        _check(blake3(blob[offset : offset + stored]).digest() == digest, "digest of a chunk")
    # 7. and 8. only now is anything decompressed, and then made a value of
    raws, taken = [], 0
    for _, _, count, _ in frames:
        raw_frame = bytearray()
        for offset, stored, raw, codec, _ in chunks[taken : taken + count]:
            raw_frame += _decoded(blob[offset : offset + stored], raw, codec)
        raws.append(raw_frame)
        taken += count
    counts = [frame[2] for frame in frames]
    return Blob(
        key=own_key_text,
        value_digest=None if value_digest == bytes(32) else value_digest.hex(),
        seconds=seconds,
        expires=None if expires == -(2**63) else expires,
        epoch=epoch,
        metadata=metadata,
        kind=frames[-1][0],
        body=raws[-1],
        buffers=raws[:-1],
        item_sizes=[frame[1] for frame in frames],
        chunk_sizes=_by_frame([chunk[2] for chunk in chunks], counts),
        codecs=_by_frame([chunk[3] for chunk in chunks], counts),
        offsets=_by_frame([chunk[0] for chunk in chunks], counts),
    )


def _check(holds: bool, rule: str) -> None:
    if not holds:
        raise Corrupt(rule)


def _by_frame(values: list[int], counts: list[int]) -> list[list[int]]:
    remaining = iter(values)
    return [[next(remaining) for _ in range(count)] for count in counts]


def _metadata(raw: bytes, raw_size: int) -> dict[str, Any]:
    try:
        members = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Corrupt("metadata are not JSON") from error
    _check(isinstance(members, dict), "metadata are not an object")
    _check(all(isinstance(members.get(name), str) for name in TEXTS), "a text in the metadata")
    for name in OBJECTS_OF_TEXTS:
        texts = members.get(name)
        _check(isinstance(texts, dict) and all(isinstance(text, str) for text in texts.values()), name)
    parents = members.get("parents")
    _check(isinstance(parents, list), "parents")
    for parent in parents:
        _check(isinstance(parent, list) and len(parent) == 2 and isinstance(parent[0], str), "a parent")
        _check(parent[1] is None or isinstance(parent[1], str), "a parent's value digest")
    _check(isinstance(members.get("drew_random"), bool), "drew_random")
    _check(type(members.get("raw_size")) is int and members["raw_size"] == raw_size, "raw_size")
    return members


def _decoded(stored: bytes, raw_size: int, codec: int) -> bytes:
    if codec == 0:
        _check(len(stored) == raw_size, "a raw chunk of another size")
        return stored
    _check(len(stored) >= 32, "a blosc2 chunk without a header")
    own_raw, block, own_stored = struct.unpack_from("<iii", stored, 4)
    _check(stored[0] == 5, "format of a blosc2 chunk")
    _check((own_raw, own_stored) == (raw_size, len(stored)), "sizes in a blosc2 chunk")
    _check(0 <= block <= 4 * MIB, "block size of a blosc2 chunk")
    _check(all(one in (0, 1, 2) for one in stored[16:22]), "filters of a blosc2 chunk")
    _check(stored[22] in (0, 1, 2, 4, 5), "codec of a blosc2 chunk")
    _check(stored[30] == 0 and not stored[31] & 8 and (stored[31] >> 4) & 7 <= 3, "flags of a blosc2 chunk")
    try:
        decoded: bytes = blosc2.decompress2(stored)
    except (RuntimeError, ValueError) as error:
        raise Corrupt("a blosc2 chunk that cannot be decompressed") from error
    _check(len(decoded) == raw_size, "a blosc2 chunk of another size")
    return decoded


def _pickled(body: bytearray, buffers: list[bytearray]) -> Any:
    return pickle.loads(body, buffers=buffers)


# What makes the value, by the kind of the body.
VALUE_OF = {0: _pickled}
