"""Damage blobs at random: none of them gives a value, is unpickled, or costs much memory.

`CACHESTORE_SOAK_MUTATIONS` is how many are tried, `CACHESTORE_SOAK_SEED` where the random numbers begin.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MUTATIONS = int(os.environ.get("CACHESTORE_SOAK_MUTATIONS", "2000"))
SEED = int(os.environ.get("CACHESTORE_SOAK_SEED", "0"))

# In a process of its own: an audit hook cannot be taken back, nor a limit on memory.
CAMPAIGN = '''
import gc, json, random, resource, struct, sys
from collections import Counter
from datetime import UTC, datetime

import blosc2
import numpy
from blake3 import blake3

import cachestore.blob.reader
from cachestore.blob import BlobReader, Metadata, encode
from cachestore.errors import CorruptBlob, NewerBlob

mutations, seed = int(sys.argv[1]), int(sys.argv[2])
generator = random.Random(seed)
armed = False
unpickled = 0


def watch(event, arguments):
    global unpickled
    if armed and event == "pickle.find_class":
        unpickled += 1


sys.addaudithook(watch)
unpickle_value = cachestore.blob.reader.unpickle_value


def counting(body, buffers):
    global unpickled
    unpickled += armed
    return unpickle_value(body, buffers)


cachestore.blob.reader.unpickle_value = counting


class Source:
    def __init__(self, data):
        self.data = data

    def suffix(self, length):
        return self.data[-length:]

    def range(self, start, stop):
        return self.data[start:stop]


def blob(value, compress=None):
    metadata = Metadata(
        key=f"{generator.getrandbits(256):064x}",
        function="project.features",
        code_version=f"{generator.getrandbits(256):064x}",
        code_parts={"function:project:features": f"{generator.getrandbits(256):064x}"},
        arguments={"table": f"{generator.getrandbits(256):064x}"},
        started_at=datetime(2026, 1, 2, tzinfo=UTC),
        seconds=generator.random(),
        creator="ana",
        python="3.11.7",
    )
    return b"".join(encode(value, metadata, compress=compress).parts)


MIB = 2**20
blobs = [
    blob(None),
    blob({"a": [1, 2.5, "text"], "when": datetime(2026, 1, 2)}),
    blob(numpy.arange(5000.0)),
    blob([numpy.arange(3000), numpy.arange(40_000).astype("M8[s]")], compress="zstd"),
    blob("x" * 300_000),
    blob(numpy.random.default_rng(seed).bytes(1_200_000)),
]


def resealed(data):
    """Change a number in the table or the trailer, and make the digests above it right again."""
    table_offset, table_length = struct.unpack_from("<QQ", data, len(data) - 104 + 48)
    where = generator.choice(("table", "table", "trailer"))
    if where == "table":
        # A wrong number there must be found by itself. Padding is not looked at, and an item size says only
        # how a chunk was made: neither can change a value.
        frames, = struct.unpack_from("<I", data, table_offset + 64)
        chunks, = struct.unpack_from("<I", data, table_offset + 68)
        places = [0, 32, 64, 68]
        places += [72 + 24 * i + at for i in range(frames) for at in (0, 8, 16)]
        places += [72 + 24 * frames + 56 * i + at for i in range(chunks) for at in (0, 8, 12, 16, 24)]
        at = table_offset + generator.choice(places)
    else:
        at = len(data) - 104 + generator.choice(range(32, 88, 4))
    size = generator.choice((1, 2, 4))
    old = bytes(data[at : at + size])
    flipped = bytes([old[0] ^ 1]) + old[1:]
    new = generator.choice((b"\\xff" * size, b"\\0" * size, generator.randbytes(size), flipped))
    data[at : at + size] = new
    start = len(data) - 104
    if where == "table":
        data[start : start + 32] = blake3(bytes(data[table_offset : table_offset + table_length])).digest()
    data[start + 88 : start + 96] = blake3(bytes(data[start : start + 88])).digest()[:8]


def mutate(data):
    data = bytearray(data)
    kind = generator.choice("flip flips cut splice number insert remove swap zeros reseal".split())
    at = generator.randrange(len(data))
    if generator.random() < 0.5:  # the ends hold what is worth damaging
        near_end = len(data) - 1 - generator.randrange(min(len(data), 1200))
        at = generator.choice((generator.randrange(24), near_end))
    length = generator.randrange(1, 64)
    if kind == "flip":
        data[at] ^= 1 << generator.randrange(8)
    elif kind == "flips":
        for _ in range(length):
            data[generator.randrange(len(data))] ^= generator.randrange(1, 256)
    elif kind == "cut":
        data = generator.choice((data[:at], data[at:]))
    elif kind == "splice":
        other = generator.choice(blobs)
        data = data[:at] + other[generator.randrange(len(other)) :]
    elif kind == "number":
        form = generator.choice("<I <Q".split())
        value = generator.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, len(data), generator.getrandbits(32)))
        at = min(at, len(data) - 8)
        struct.pack_into(form, data, at, value)
    elif kind == "insert":
        data[at:at] = generator.randbytes(length)
    elif kind == "remove":
        del data[at : at + length]
    elif kind == "swap":
        data = data[at:] + data[:at]
    elif kind == "zeros":
        data[at : at + length] = bytes(len(data[at : at + length]))
    elif kind == "reseal":
        resealed(data)
    return kind, bytes(data)


def lengthened(data):
    """Return the blob that `data` are, but for bytes inserted just before the last 1 MiB, which nobody reads.

    Who does not know the length of an object cannot see them (FORMAT.md says so); the value must be right.
    """
    for original in blobs:
        front = len(original) - MIB
        if front > 0 and len(data) > len(original):
            if data[:front] == original[:front] and data[-MIB:] == original[-MIB:]:
                return original
    return None


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


for data in blobs:
    BlobReader.open(Source(data)).value()  # imports what reading imports
gc.collect()
before = peak()
# Whatever a damaged blob declares, the process gets 256 MiB more than it has.
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))

outcomes, values, others = Counter(), [], []
tried = longer = 0
while tried < mutations:
    kind, data = mutate(generator.choice(blobs))
    if data in blobs:
        continue
    original = lengthened(data)
    if original is not None:
        longer += 1
        reader, expected = BlobReader.open(Source(data)), BlobReader.open(Source(original))
        if reader.value() != expected.value() or reader.size == len(data):
            values.append((kind, "lengthened", data.hex()[-208:]))
        continue
    tried += 1
    armed = True
    for act in (BlobReader.value, BlobReader.verify):
        try:
            act(BlobReader.open(Source(data)))
            values.append((kind, act.__name__, data.hex()[-208:]))
        except (CorruptBlob, NewerBlob) as error:
            outcomes[f"{kind}: {type(error).__name__}"] += 1
        except BaseException as error:
            others.append((kind, act.__name__, repr(error), data.hex()[-208:]))
    armed = False

json.dump(
    {
        "outcomes": outcomes,
        "values": values[:5],
        "others": others[:5],
        "unpickled": unpickled,
        "longer": longer,
        "memory": peak() - before,
    },
    sys.stdout,
)
'''


@pytest.mark.timeout(120 + MUTATIONS / 50)
def test_no_damaged_blob_gives_a_value() -> None:
    command = [sys.executable, "-c", CAMPAIGN, str(MUTATIONS), str(SEED)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, timeout=60 + MUTATIONS / 50, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(json.dumps(found, indent=1))
    assert found["values"] == []
    assert found["others"] == []
    assert found["unpickled"] == 0
    assert found["memory"] < 64 * 2**20
    assert sum(found["outcomes"].values()) == 2 * MUTATIONS
    # Something was tried, and where digests are right again, the numbers are looked at.
    kinds = {outcome.split(":")[0] for outcome in found["outcomes"]}
    assert len(kinds) == 10
    assert "reseal: NewerBlob" in found["outcomes"]
    assert "reseal: CorruptBlob" in found["outcomes"]
