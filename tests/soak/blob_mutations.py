"""Damage blobs of every kind, as accidents and hostile writers do: `python -m tests.soak.blob_mutations N SEED`.

Accidents leave the digests wrong; a hostile writer makes all of them right again. Prints what came of it as JSON.
"""

from __future__ import annotations

import gc
import json
import random
import resource
import struct
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import pandas
import polars
import pyarrow
from blake3 import blake3

import cachestore.blob.bodies
import cachestore.blob.reader
from cachestore.blob import BlobReader, Metadata, encode
from cachestore.blob.header import TRAILER_LENGTH, Trailer, pack_header
from cachestore.blob.table import Chunk, Frame, Table, aligned
from cachestore.errors import BlobError, CorruptBlob, NewerBlob
from cachestore.storage.stored_object import scatter
from tests.blob import second_reader
from tests.golden.blob_values import MESH, Mesh, load_mesh, same

MIB = 2**20
METADATA = Metadata(
    key="ab" * 32,
    function="project.features",
    code_version="cd" * 32,
    code_parts={"function:project:features": "01" * 32},
    arguments={"table": "23" * 32},
    started_at=datetime(2026, 1, 2, tzinfo=UTC),
    seconds=1.5,
    creator="ana",
    python="3.11.7",
)
second_reader.SERIALIZERS[MESH] = load_mesh


class Source:
    """Is an object in memory; the shorter the first answer, the more is asked for afterwards."""

    at_once = 1

    def __init__(self, data: bytes, suffix_length: int) -> None:
        self.data = data
        self.suffix_length = suffix_length

    def suffix(self, length: int) -> bytes:
        return self.data[-length:]

    def range(self, start: int, stop: int) -> bytes:
        return self.data[start:stop]

    def read_into(self, start: int, outs: Sequence[memoryview]) -> int:
        return scatter(self.data[start : start + sum(out.nbytes for out in outs)], outs)


def values() -> list[tuple[Any, Any]]:
    """Return values of every kind, and how they are compressed."""
    noise = numpy.random.default_rng(0).bytes(60_000)
    numbers = numpy.arange(3000)
    frame = pandas.DataFrame(
        {
            "n": numbers, "f": numbers / 7, "text": [f"t{n}" for n in numbers], "when": pandas.to_datetime(numbers),
            "kind": pandas.Categorical(["u", "v", None] * 1000), "maybe": pandas.array([1, None, 3] * 1000, "Int64"),
        }
    )  # fmt: skip
    table = pyarrow.table({"text": ["x", None, "yy"] * 400, "list": [[1], None, [2, 3]] * 400})
    return [
        (None, None),
        ({"a": [1, 2.5, "text"], "b": (1, {2}), "c": b"bytes"}, None),
        ([i / 7 for i in range(4000)], "zstd"),
        ([noise, "text"], None),
        (numpy.arange(5000.0), None),
        (numpy.frombuffer(noise, "u1"), None),
        (numpy.asfortranarray(numpy.arange(12_000.0).reshape(100, 120)), ("zstd", 5, "bitshuffle")),
        (numpy.arange(300_000), ("zlib", 9)),  # several chunks
        (numpy.zeros(200_000), None),  # chunks of a few bytes
        (numpy.datetime64("2026-01-02"), None),
        (frame, None),
        (frame.head(20), None),
        (table, False),
        (polars.DataFrame({"x": [1, None, 3] * 900, "y": ["a", None, "b"] * 900}), "lz4"),
        (Mesh("größe", numpy.arange(4000.0), b""), None),
        ([datetime(2026, 1, 2), *(numpy.arange(2200 + i) for i in range(30))], None),
        ([datetime(2026, 1, 2), numpy.frombuffer(noise, "f8").copy(), numpy.arange(9000)], False),
        (["x" * 300_000, datetime(2026, 1, 2)], "zstd"),
    ]


class Sound:
    """A blob as it was written, and its parts."""

    def __init__(self, value: Any, compress: Any) -> None:
        self.value = value
        self.data = b"".join(encode(value, METADATA, compress=compress))
        self.trailer = Trailer.parse(memoryview(self.data))
        section = self.data[self.trailer.table_offset :][: self.trailer.table_length]
        self.table = Table.parse(memoryview(section), start=24, stop=self.trailer.metadata_offset)
        self.metadata = self.data[self.trailer.metadata_offset : self.trailer.table_offset]
        self.frames = [
            (frame.kind, [self.data[chunk.offset :][: chunk.stored_size] for chunk in frame.chunks])
            for frame in self.table.frames
        ]


# -- accidents


NUMBERS = (0, 1, 63, 64, 2**22, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1, 10**15)


def damage(sound: Sound, blobs: Sequence[Sound], generator: random.Random) -> tuple[str, bytes]:
    """Return the blob, damaged without anyone meaning to."""
    data = bytearray(sound.data)
    kind = generator.choice(["flip", "flips", "cut", "splice", "number", "insert", "remove", "swap", "zeros"])
    at = generator.randrange(len(data))
    if generator.random() < 0.6:  # the ends hold what is worth damaging
        near_end = len(data) - 1 - generator.randrange(min(len(data), 1500))
        at = generator.choice((generator.randrange(64), near_end))
    length = generator.randrange(1, 64)
    if kind == "flip":
        data[at] ^= 1 << generator.randrange(8)
    elif kind == "flips":
        for _ in range(length):
            data[generator.randrange(len(data))] ^= generator.randrange(1, 256)
    elif kind == "cut":
        data = generator.choice((data[:at], data[at:]))
    elif kind == "splice":
        other = generator.choice(blobs).data
        # At the same distance from the start or the end, or anywhere.
        there = generator.choice((at, len(other) - len(data) + at, generator.randrange(len(other))))
        data = data[:at] + other[max(there, 0) :]
    elif kind == "number":
        value = generator.choice((*NUMBERS, len(data), generator.getrandbits(32)))
        form, most = generator.choice((("<I", 2**32), ("<Q", 2**64)))
        struct.pack_into(form, data, min(at, len(data) - 8), value % most)
    elif kind == "insert":
        data[at:at] = generator.randbytes(length)
    elif kind == "remove":
        del data[at : at + length]
    elif kind == "swap":
        data = data[at:] + data[:at]
    else:
        data[at : at + length] = bytes(len(data[at : at + length]))
    return kind, bytes(data)


# -- a hostile writer


def put_together(
    frames: Sequence[tuple[int, Sequence[bytes]]],
    metadata: bytes,
    change: Callable[[list[Frame]], list[Frame]] = lambda frames: frames,
    *,
    like: Table,
    header: bytes = pack_header(),
    head: dict[str, Any] | None = None,
    trailer: dict[str, int] | None = None,
) -> bytes:
    """Return a blob of these parts, in which every digest is right."""
    data, described = bytearray(header), []
    for number, (kind, chunks) in enumerate(frames):
        was = like.frames[number] if number < len(like.frames) else like.frames[-1]
        listed = []
        for place, stored in enumerate(chunks):
            if not listed:
                data += bytes(aligned(len(data)) - len(data))
            raw_size, codec = len(stored), 0
            if place < len(was.chunks):
                raw_size, codec = was.chunks[place].raw_size, was.chunks[place].codec
            listed.append(Chunk(len(data), len(stored), raw_size, codec, blake3(stored).digest()))
            data += stored
        described.append(Frame(kind, was.item_size, sum(chunk.raw_size for chunk in listed), listed))
    described = change(described)
    fields = {
        "header_digest": blake3(header).digest(),
        "metadata_digest": blake3(metadata).digest(),
        **(head or {}),
    }
    table = Table(like.head._replace(**fields), described).pack()
    numbers = {
        "metadata_offset": len(data),
        "metadata_length": len(metadata),
        "table_offset": len(data) + len(metadata),
        "table_length": len(table),
        "total_length": len(data) + len(metadata) + len(table) + TRAILER_LENGTH,
        **(trailer or {}),
    }
    return bytes(data) + metadata + table + Trailer(blake3(table).digest(), **numbers).pack()


def forge(sound: Sound, blobs: Sequence[Sound], generator: random.Random) -> tuple[str, bytes]:
    """Return a blob that somebody made wrong on purpose, with digests that are right."""
    kinds = "head field chunks frames content blosc2 metadata body buffers trailer features raw"
    kind = generator.choice(kinds.split())
    frames, metadata = [(number, list(chunks)) for number, chunks in sound.frames], sound.metadata
    build: dict[str, Any] = {"like": sound.table}
    number = generator.choice((*NUMBERS, generator.getrandbits(generator.choice((8, 16, 32, 64)))))
    if kind == "head":
        names = "header_digest metadata_digest key value_digest seconds expires epoch"
        name = generator.choice(names.split())
        value: Any = generator.randbytes(32)
        if name == "seconds":
            value = generator.choice(
                (float("nan"), float("inf"), -1.0, struct.unpack("<d", generator.randbytes(8))[0])
            )
        elif name in ("expires", "epoch"):
            value = number % 2**63
        build["head"] = {name: value}
    elif kind in ("field", "chunks", "frames"):
        change = {"field": field_changed, "chunks": chunks_moved, "frames": frames_moved}[kind]
        build["change"] = change(generator, number)
    elif kind in ("content", "blosc2"):
        _, chunks = generator.choice([frame for frame in frames if frame[1]])
        place = generator.randrange(len(chunks))
        stored = bytearray(chunks[place])
        most = min(len(stored), 32) if kind == "blosc2" else len(stored)
        for _ in range(generator.choice((1, 1, 2, 8))):
            stored[generator.randrange(most)] = generator.choice((0, 1, 0x7F, 0xFF, generator.randrange(256)))
        if kind == "content" and generator.random() < 0.3:
            stored = stored[: generator.randrange(1, len(stored) + 1)]
        chunks[place] = bytes(stored)
    elif kind == "metadata":
        members = json.loads(metadata)
        name = generator.choice(list(members))
        members[name] = generator.choice((None, -1, 1.5, [], {}, "2026", [[]], {"a": 1}, True, number))
        metadata = json.dumps(members).encode()
        metadata = generator.choice(
            (metadata, metadata, metadata[:-1], b"[" * 3000, b"", metadata + b" " * 5000)
        )
    elif kind == "body":  # a body of another blob, or of another kind
        other = generator.choice(blobs)
        body = other.frames[-1]
        frames[-1] = generator.choice((body, (body[0], frames[-1][1]), (frames[-1][0], body[1])))
        build["like"] = sound.table._replace(frames=[*sound.table.frames[:-1], other.table.frames[-1]])
    elif kind == "buffers":
        other = generator.choice(blobs)
        frames = [*other.frames[:-1], frames[-1]]
        build["like"] = sound.table._replace(frames=[*other.table.frames[:-1], sound.table.frames[-1]])
        if generator.random() < 0.3 and len(frames) > 1:
            place = generator.randrange(len(frames) - 1)
            frames[place] = (frames[place][0], [])
    elif kind == "trailer":
        name = generator.choice(
            (
                "metadata_offset",
                "metadata_length",
                "table_offset",
                "table_length",
                "total_length",
                "appendix_length",
            )
        )
        off = generator.choice((-1, 1, 8, 64, 2**24, number))
        most = 2**32 if name == "appendix_length" else 2**64
        build["trailer"] = {name: (getattr(sound.trailer, name) + off) % most}
    elif kind == "features":
        name = generator.choice(("format", "must_understand", "may_ignore"))
        value = number % 2**32
        build["trailer"] = {name: value}
        if generator.random() < 0.5:
            order = {"format": 1, "must_understand": 0, "may_ignore": 0, name: value}
            build["header"] = pack_header(*order.values())
    else:
        # One number anywhere in the table or the trailer.
        data = bytearray(sound.data)
        start = len(data) - TRAILER_LENGTH
        at = generator.randrange(sound.trailer.table_offset, start + 88)
        data[at : at + 1] = generator.choice((b"\0", b"\xff", generator.randbytes(1)))
        table = bytes(data[sound.trailer.table_offset : start])
        if at < start or generator.random() < 0.5:
            data[start : start + 32] = blake3(table).digest()
        data[start + 88 : start + 92] = struct.pack(
            "<I", cachestore.blob.header.crc32(bytes(data[start : start + 88]))
        )
        return kind, bytes(data)
    return kind, put_together(frames, metadata, **build)


def field_changed(generator: random.Random, number: int) -> Callable[[list[Frame]], list[Frame]]:
    def change(frames: list[Frame]) -> list[Frame]:
        place = generator.randrange(len(frames))
        frame = frames[place]
        if generator.random() < 0.4 or not frame.chunks:
            name = generator.choice(("kind", "item_size", "raw_size"))
            most = {"kind": 2**8, "item_size": 2**32, "raw_size": 2**64}[name]
            frames[place] = frame._replace(**{name: number % most})
            return frames
        chunks = list(frame.chunks)
        at = generator.randrange(len(chunks))
        name = generator.choice(("offset", "stored_size", "raw_size", "codec"))
        most = {"offset": 2**64, "stored_size": 2**32, "raw_size": 2**32, "codec": 2**8}[name]
        old = getattr(chunks[at], name)
        chunks[at] = chunks[at]._replace(**{name: generator.choice((number, old + 1, old - 1)) % most})
        # Most liars have their sums right.
        raw_size = sum(chunk.raw_size for chunk in chunks) if generator.random() < 0.7 else frame.raw_size
        frames[place] = frame._replace(chunks=chunks, raw_size=raw_size)
        return frames

    return change


def chunks_moved(generator: random.Random, _: int) -> Callable[[list[Frame]], list[Frame]]:
    def change(frames: list[Frame]) -> list[Frame]:
        frame = generator.choice(frames)
        chunks = list(frame.chunks)
        if chunks:
            one, other = generator.randrange(len(chunks)), generator.randrange(len(chunks))
            how = generator.randrange(3)
            if how == 0:
                chunks[one], chunks[other] = chunks[other], chunks[one]
            elif how == 1:
                del chunks[one]
            else:
                chunks.insert(one, chunks[other])
        raw_size = sum(chunk.raw_size for chunk in chunks)
        return [each._replace(chunks=chunks, raw_size=raw_size) if each is frame else each for each in frames]

    return change


def frames_moved(generator: random.Random, _: int) -> Callable[[list[Frame]], list[Frame]]:
    def change(frames: list[Frame]) -> list[Frame]:
        one, other = generator.randrange(len(frames)), generator.randrange(len(frames))
        how = generator.randrange(3)
        if how == 0:
            frames[one], frames[other] = frames[other], frames[one]
        elif how == 1:
            del frames[one]
        else:
            frames.insert(one, frames[other])
        return frames

    return change


def bombs() -> list[bytes]:
    """Return blobs that declare far more than they hold, whose numbers add up as far as they can."""
    small = Sound(numpy.arange(5000.0), None)
    stored = b"\5" * 40
    found = []
    for raw_size in (2**22, 2**31 - 1, 2**32 - 1):
        for codec in (0, 1):
            chunks = [Chunk(64 + 40 * i, 40, raw_size, codec, blake3(stored).digest()) for i in range(50_000)]
            for declared in (raw_size * len(chunks), 10**15, 2**64 - 1):
                frame = Frame(255, 8, declared, chunks)
                body = Chunk(aligned(64 + 40 * len(chunks)), 40, 40, 0, blake3(stored).digest())
                data = pack_header().ljust(64, b"\0") + stored * len(chunks)
                data = data.ljust(body.offset, b"\0") + stored
                like = small.table._replace(frames=[frame, Frame(1, 1, 40, [body])])
                table = like.pack()
                offset = len(data) + len(small.metadata)
                trailer = Trailer(
                    blake3(table).digest(), len(data), len(small.metadata), offset, len(table),
                    offset + len(table) + TRAILER_LENGTH,
                )  # fmt: skip
                found.append(data + small.metadata + table + trailer.pack())
    return found


# -- what comes of it


class Watch:
    """Counts what is unpickled, and what is made of bodies, while it is armed."""

    def __init__(self) -> None:
        self.armed = False
        self.unpickled = self.made = 0
        sys.addaudithook(self._audit)
        value_of = cachestore.blob.reader.value_of

        def counting(*given: Any, **how: Any) -> object:
            self.made += self.armed
            return value_of(*given, **how)

        cachestore.blob.reader.value_of = counting

    def _audit(self, event: str, _: object) -> None:
        if self.armed and event == "pickle.find_class":
            self.unpickled += 1


def unseen(data: bytes, blobs: Sequence[Sound], suffix_length: int) -> Sound | None:
    """Return the blob whose bytes a reader is given, though `data` are longer or shorter by some between two requests.

    Who does not know the length of an object cannot see that (FORMAT.md says so); the value must be right.
    """
    for sound in blobs:
        front = len(sound.data) - suffix_length
        if front > 0 and data[:front] == sound.data[:front] and data[-suffix_length:] == sound.data[front:]:
            return sound
    return None


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def campaign(mutations: int, seed: int) -> dict[str, Any]:
    """Try so many mutants, and return what was found."""
    warnings.simplefilter("ignore")
    generator = random.Random(seed)
    watch = Watch()
    blobs = [Sound(value, compress) for value, compress in values()]
    originals = {sound.data for sound in blobs}
    for sound in blobs:  # imports what reading imports
        reader = BlobReader.open(Source(sound.data, 1000))
        assert same(reader.value(), sound.value)
        reader.verify()
        second_reader.read_blob(sound.data)
        damage(sound, blobs, generator), forge(sound, blobs, generator)
    hostile_bombs = bombs()
    gc.collect()
    # Whatever a damaged blob declares, the process gets 256 MiB more than it has.
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))

    outcomes: Counter[str] = Counter()
    wrong: list[Any] = []
    others: list[Any] = []
    differing: list[Any] = []
    other_length = 0

    def attempt(kind: str, data: bytes, act: Callable[[BlobReader], Any], suffix_length: int) -> Any:
        try:
            found = act(BlobReader.open(Source(data, suffix_length)))
        except (CorruptBlob, NewerBlob) as error:
            outcomes[f"{kind}: {type(error).__name__}"] += 1
            return error
        except BlobError as error:
            outcomes[f"{kind}: BlobError"] += 1
            return error
        except BaseException as error:
            others.append((kind, repr(error), data.hex()[-400:]))
            return error
        outcomes[f"{kind}: read"] += 1
        return found

    def compare(kind: str, data: bytes, refused: bool) -> None:
        """Ask the second reader the same."""
        try:
            second_reader.read_blob(data)
            also = False
        except (second_reader.Corrupt, second_reader.Newer) as error:
            if "cannot be decompressed" in str(error):
                return  # verify() decompresses nothing
            also = True
        if refused != also:
            differing.append((kind, refused, data.hex()[-400:]))

    for number in range(mutations):
        sound = generator.choice(blobs)
        suffix_length = generator.choice((300, 2000, 2**16, MIB))
        if number % 2:
            kind, data = damage(sound, blobs, generator)
            kind = f"accident: {kind}"
            if data in originals:
                outcomes[f"{kind}: same"] += 2
                continue
            meant = unseen(data, blobs, suffix_length)
            if meant is not None:
                other_length += 1
                found = attempt(kind, data, BlobReader.value, suffix_length)
                if not same(found, meant.value) or BlobReader.open(Source(data, suffix_length)).size == len(
                    data
                ):
                    wrong.append((kind, data.hex()[-400:]))
                outcomes[f"{kind}: read"] += 1
                continue
            watch.armed = True
            for act in (BlobReader.value, BlobReader.verify):
                if not isinstance(attempt(kind, data, act, suffix_length), Exception):
                    wrong.append((kind, act.__name__, data.hex()[-400:]))
            watch.armed = False
            if number % 20 == 1:
                compare(kind, data, True)
            continue
        kind, data = forge(sound, blobs, generator)
        made, watch.armed = watch.made, True
        value = attempt(f"forged: {kind}", data, lambda reader: reader.value(policy="data"), suffix_length)
        checked = attempt(f"forged: {kind}", data, BlobReader.verify, suffix_length)
        watch.armed, watch.made = False, made
        # Of the sound parts no other value may be made, whatever is said of them.
        told = kind in ("head", "field", "chunks", "trailer", "features", "metadata")
        if told and not isinstance(value, Exception) and not same(value, sound.value):
            wrong.append((kind, repr(value)[:200], data.hex()[-400:]))
        if number % 20 == 0:
            compare(kind, data, isinstance(checked, Exception))
    before = peak()
    for data in hostile_bombs:
        watch.armed = True
        for act in (BlobReader.value, BlobReader.verify):
            if not isinstance(attempt("bomb", data, act, 2**16), Exception):
                wrong.append(("bomb", act.__name__))
        watch.armed = False
    return {
        "outcomes": dict(sorted(outcomes.items())),
        "wrong": wrong[:5],
        "others": others[:5],
        "differing": differing[:5],
        "unpickled": watch.unpickled,
        "made": watch.made,
        "other length": other_length,
        "bombs": len(hostile_bombs),
        "memory of bombs": peak() - before,
    }


if __name__ == "__main__":
    json.dump(campaign(int(sys.argv[1]), int(sys.argv[2])), sys.stdout)
