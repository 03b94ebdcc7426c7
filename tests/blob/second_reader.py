"""A second reader of blobs, written from FORMAT.md alone: it shares no line with the first.

It is slow, reads from bytes in memory, and checks whatever FORMAT.md says that a reader must refuse.
"""

from __future__ import annotations

import base64
import json
import math
import pickle
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import blosc2
import numpy
from blake3 import blake3

MIB = 2**20

# Microseconds from 1970 to the beginnings of these years.
YEAR_1 = -62_135_596_800 * 10**6
YEAR_10000 = 253_402_300_800 * 10**6

# The members of the metadata, and what each must be.
TEXTS = ("function", "code_version", "started_at", "creator", "python", "kind")
OBJECTS_OF_TEXTS = ("code_parts", "arguments", "packages", "summaries")
HEXADECIMAL = re.compile("([0-9a-fA-F]{2})*")


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
        zero,
    ) = struct.unpack_from("<32sQQQQQIIIIII", trailer)
    _check(check == zlib.crc32(trailer[:88]) and zero == 0, "check of the trailer")
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
        _check(last or count > 0, "a buffer without chunks")
        _check(raw_size <= {1: MIB, 3: 16 * MIB}.get(kind, raw_size), "size of a body")
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
    _check(expires == -(2**63) or YEAR_1 <= expires < YEAR_10000, "expiry outside of the years 1 to 9999")
    started = datetime.fromisoformat(metadata["started_at"]).timestamp() * 1_000_000
    _check(YEAR_1 <= started + seconds * 1_000_000 < YEAR_10000, "an end outside of the years 1 to 9999")
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
    _check(all(_is_text(members.get(name)) for name in TEXTS), "a text in the metadata")
    for name in OBJECTS_OF_TEXTS:
        texts = members.get(name)
        _check(isinstance(texts, dict) and all(map(_is_text, (*texts, *texts.values()))), name)
    encoding = members.get("encoding", 0)
    _check(
        encoding is None or (_is_text(encoding) and HEXADECIMAL.fullmatch(encoding) is not None), "encoding"
    )
    parents = members.get("parents")
    _check(isinstance(parents, list), "parents")
    for parent in parents:
        _check(isinstance(parent, list) and len(parent) == 2 and _is_text(parent[0]), "a parent")
        _check(parent[1] is None or _is_text(parent[1]), "a parent's value digest")
    _check(isinstance(members.get("drew_random"), bool), "drew_random")
    _check(type(members.get("raw_size")) is int and members["raw_size"] == raw_size, "raw_size")
    try:
        _check(datetime.fromisoformat(members["started_at"]).tzinfo is not None, "a time without an offset")
    except ValueError as error:
        raise Corrupt("a time that is none") from error
    return members


def _is_text(member: Any) -> bool:
    return isinstance(member, str) and not any("\ud800" <= one <= "\udfff" for one in member)


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


# -- the value, by the kind of the body


def _pickled(body: bytearray, buffers: list[bytearray]) -> Any:
    return pickle.loads(body, buffers=buffers)


def _array(body: bytearray, buffers: list[bytearray]) -> Any:
    described = json.loads(body)
    array = _numpy(described, buffers[0] if buffers else None)
    return array[()] if described.get("scalar") else array


def _numpy(described: Any, raw: Any) -> Any:
    dtype, shape = _dtype(described["dtype"]), described["shape"]
    size = math.prod(shape) * dtype.itemsize
    _check(size == (0 if raw is None else len(raw)), "length of an array")
    raw = bytearray() if raw is None else raw
    return numpy.ndarray(shape, dtype, raw, order=described["order"])


def _dtype(described: Any) -> Any:
    if isinstance(described, str):
        return numpy.dtype(described)
    if "items" in described:
        return numpy.dtype((_dtype(described["items"]), tuple(described["shape"])))
    fields = {name: described[name] for name in ("names", "offsets", "itemsize")}
    fields["formats"] = [_dtype(field) for field in described["formats"]]
    return numpy.dtype(fields, align=described["aligned"])


def _plain(body: bytes | bytearray, buffers: list[bytearray]) -> Any:
    text = bytes(body[1:]).decode("utf-8", "surrogatepass")
    if body[:1] == b"=":
        return json.loads(text)
    _check(body[:1] == b"$", "tag of a plain body")
    long_bytes = {}

    def untagged(members: dict[str, Any]) -> Any:
        if len(members) != 1 or not next(iter(members)).startswith("$"):
            return members
        ((tag, content),) = members.items()
        if tag in ("$tuple", "$set", "$frozenset"):
            made = {"$tuple": tuple, "$set": set, "$frozenset": frozenset}[tag](content)
            _check(len(made) == len(content), "equal members of a set")
            return made
        if tag == "$dict":
            keys, values = content
            return dict(zip(keys, values, strict=True))
        if tag == "$int":
            return int(content, 16)
        if tag == "$bytes":
            if isinstance(content, str):
                return base64.b64decode(content)
            return long_bytes.setdefault(content, bytes(buffers[content]))
        _check(tag in ("$floats", "$ints"), "a tag")
        return [
            number for (number,) in struct.iter_unpack("<d" if tag == "$floats" else "<q", buffers[content])
        ]

    return json.loads(text, object_hook=untagged)


# What a process has registered: a function of the bytes and the buffers, by its name.
SERIALIZERS: dict[str, Any] = {}


def _registered(body: bytearray, buffers: list[bytearray]) -> Any:
    (length,) = struct.unpack_from("<I", body)
    head = json.loads(body[4 : 4 + length])
    remaining = iter(buffers)
    given = [next(remaining) if size else bytearray() for size in head["sizes"]]
    _check([len(buffer) for buffer in given] == head["sizes"], "sizes of buffers")
    _check(next(remaining, None) is None, "more buffers than sizes")
    return SERIALIZERS[head["name"]](body[4 + length :], given)


def _arrow(body: bytearray, buffers: list[bytearray]) -> Any:
    return _Arrow(body, buffers).value()


class _Arrow:
    def __init__(self, body: bytearray, buffers: list[bytearray]) -> None:
        (length,) = struct.unpack_from("<I", body)
        self.head = json.loads(body[4 : 4 + length].decode("utf-8", "surrogatepass"))
        self.small = body[-(-(4 + length) // 64) * 64 :]
        self.buffers = buffers
        if "schema" in self.head:
            import pyarrow

            message = pyarrow.py_buffer(bytes(self.bytes(self.head["schema"])))
            self.schema = pyarrow.ipc.read_schema(message)

    def value(self) -> Any:
        package, _, name = self.head["is"].partition(".")
        if package == "pandas":
            return self.pandas(name)
        import pyarrow

        if name in ("ChunkedArray", "Array"):
            column = self.column(self.head["values"])
            return column if name == "ChunkedArray" else column.chunk(0)
        columns = [self.column(part) for part in self.head["columns"]]
        schema = self.schema if "schema" in self.head else pyarrow.schema([])
        table = pyarrow.Table.from_arrays(columns, schema=schema)
        _check(table.num_rows == self.head["rows"], "rows of a table")
        if package == "pyarrow":
            return table if name == "Table" else table.to_batches()[0]
        import polars

        frame = polars.from_arrow(table)
        return frame if name == "DataFrame" else frame.to_series()

    def bytes(self, at: Any) -> Any:
        if isinstance(at, int):
            return self.buffers[at]
        start, length = at
        _check(start % 64 == 0 and start + length <= len(self.small), "place of a small part")
        return self.small[start : start + length]

    def array(self, part: Any) -> Any:
        return _numpy(part, None if part["at"] is None else self.bytes(part["at"]))

    def plain(self, text: str) -> Any:
        return _plain(text.encode("utf-8", "surrogatepass"), [])

    def column(self, part: Any) -> Any:
        import pyarrow

        kind = self.schema.field(part["field"]).type
        return pyarrow.chunked_array([self.node(kind, node) for node in part["chunks"]], kind)

    def node(self, kind: Any, node: Any) -> Any:
        import pyarrow

        types = pyarrow.types
        if types.is_dictionary(kind):
            indices = self.node(kind.index_type, {key: node[key] for key in ("count", "nulls", "at")})
            values = self.node(kind.value_type, node["dictionary"])
            return pyarrow.DictionaryArray.from_arrays(indices, values, ordered=kind.ordered)
        buffers = [None if at is None else pyarrow.py_buffer(bytes(self.bytes(at))) for at in node["at"]]
        if types.is_map(kind):
            inner = [pyarrow.struct([kind.key_field, kind.item_field])]
        elif types.is_struct(kind):
            inner = [field.type for field in kind]
        elif types.is_nested(kind):
            inner = [kind.value_type]
        else:
            inner = []
        children = [
            self.node(each, child) for each, child in zip(inner, node.get("children", []), strict=True)
        ]
        array = pyarrow.Array.from_buffers(kind, node["count"], buffers, node["nulls"], 0, children)
        array.validate(full=True)
        return array

    def pandas(self, name: str) -> Any:
        import pandas

        head = self.head
        if name == "Index":
            return self.index(head["index"])
        index = self.index(head["index"])
        if name == "Series":
            values = self.pandas_column(head["values"])
            value = pandas.Series(values, index=index, name=self.plain(head["name"]), dtype=values.dtype)
        else:
            found = {}
            for block in head["blocks"]:
                values = self.pandas_column(block["values"])
                rows = values if values.ndim == 2 else [values]
                found.update(zip(block["places"], rows, strict=True))
            series = {i: pandas.Series(found[i], index=index, dtype=found[i].dtype) for i in sorted(found)}
            _check(list(series) == list(range(len(series))), "places of columns")
            value = pandas.DataFrame(series, index=index)
            value.columns = self.index(head["columns"])
        value.attrs = self.plain(head["attrs"])
        return value

    def pandas_column(self, part: Any) -> Any:
        import pandas

        what = part["is"]
        if what == "numpy":
            return self.array(part)
        if what == "dates":
            array = self.array(part)
            if part["tz"] is None:
                return array
            zone = UTC if part["tz"] == "utc" else ZoneInfo(part["tz"].removeprefix("zoneinfo:"))
            return pandas.DatetimeIndex(array).tz_localize("UTC").tz_convert(zone).array
        if what == "periods":
            return pandas.PeriodIndex.from_ordinals(self.array(part), freq=part["freq"]).array
        if what == "intervals":
            sides = (self.index(part[side]) for side in ("left", "right"))
            return pandas.arrays.IntervalArray.from_arrays(*sides, closed=part["closed"])
        if what == "categories":
            categories = self.index(part["categories"])
            return pandas.Categorical.from_codes(self.array(part), categories, ordered=part["ordered"])
        if what == "masked":
            data, mask = self.array(part["data"]), self.array(part["mask"])
            name = {"b": "Boolean", "f": "Floating"}.get(data.dtype.kind, "Integer")
            return getattr(pandas.arrays, f"{name}Array")(data, mask)
        if what == "texts":
            missing = {"NA": pandas.NA, "nan": numpy.nan}[part["missing"]]
            dtype = pandas.StringDtype(part["storage"], na_value=missing)
            return pandas.array(self.column(part).to_pylist(), dtype=dtype)
        if what == "arrow":
            return pandas.arrays.ArrowExtensionArray(self.column(part))
        _check(what == "objects", "a column")
        if "plain" in part:
            items = self.plain(part["plain"])
        else:
            null = {None: None, "None": None, "nan": numpy.nan, "NA": pandas.NA}[part["null"]]
            items = [null if item is None else item for item in self.column(part).to_pylist()]
        values = numpy.empty(len(items), object)
        for place, item in enumerate(items):
            values[place] = item
        return values

    def index(self, part: Any) -> Any:
        import pandas

        if part["is"] == "range":
            return pandas.RangeIndex(*part["range"], name=self.plain(part["name"]))
        if part["is"] == "levels":
            levels = [self.index(level) for level in part["levels"]]
            codes = [self.array(code) for code in part["codes"]]
            return pandas.MultiIndex(levels, codes, names=self.plain(part["names"]))
        values = self.pandas_column(part["values"])
        index = pandas.Index(values, dtype=values.dtype, name=self.plain(part["name"]))
        if "freq" in part:
            index.freq = part["freq"]
        return index


# What makes the value, by the kind of the body.
VALUE_OF = {0: _pickled, 1: _array, 2: _arrow, 3: _plain, 4: _registered}
