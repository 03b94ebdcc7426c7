"""Damage bodies at random, as if their digests were right: none of them crashes or asks for more memory than it has.

`CACHESTORE_SOAK_MUTATIONS` is how many of each kind are tried, `CACHESTORE_SOAK_SEED` where the random numbers begin.
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

# In a process of its own: it may crash, an audit hook cannot be taken back, nor a limit on memory.
CAMPAIGN = """
import json, random, re, resource, sys, warnings
from collections import Counter

import numpy, pandas, polars, pyarrow

import cachestore
from cachestore.blob.bodies import body_of, value_of
from cachestore.errors import BlobError

warnings.simplefilter("ignore")
kind, mutations, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
generator = random.Random(seed)
unpickled = 0


def watch(event, arguments):
    global unpickled
    unpickled += event == "pickle.find_class"


class Own(bytes):
    pass


cachestore.register_serializer(
    Own, name="own", dump=lambda own: (bytes(own), [bytes(own)]), load=lambda raw, buffers: Own(raw)
)
numbers = numpy.arange(3000)
frame = pandas.DataFrame(
    {
        "n": numbers, "f": numbers / 7, "text": [f"t{n}" for n in numbers], "when": pandas.to_datetime(numbers),
        "zone": pandas.to_datetime(numbers, utc=True).tz_convert("Europe/Berlin"),
        "kind": pandas.Categorical(["u", "v", None] * 1000), "maybe": pandas.array([1, None, 3] * 1000, "Int64"),
        "object": pandas.Series(["p", None, "q"] * 1000, dtype=object),
        "lists": pandas.Series([[1], None, [2, 3]] * 1000, dtype=pandas.ArrowDtype(pyarrow.list_(pyarrow.int32()))),
    }
)
table = pyarrow.table(
    {
        "text": ["x", None, "yy"] * 400, "list": [[1], None, [2, 3]] * 400,
        "struct": [{"p": 1, "q": "z"}, None, {"p": 2, "q": None}] * 400,
        "map": pyarrow.array([[("k", 1)], [], None] * 400, pyarrow.map_(pyarrow.string(), pyarrow.int64())),
        "dictionary": pyarrow.array(["a", "b", "a"] * 400).dictionary_encode(),
        "pairs": pyarrow.array([[1, 2], None, [3, 4]] * 400, pyarrow.list_(pyarrow.int8(), 2)),
        "nothing": pyarrow.nulls(1200),
    }
)
VALUES = {
    "array": [
        numbers / 7, numpy.zeros((30, 40), order="F"), numpy.float32(3), numpy.array(["a", "bcd"]),
        numpy.zeros(5, [("a", "i1"), ("b", ">f8", (2, 3)), ("c", [("d", "M8[ns]")])]), numpy.zeros((0, 3)),
    ],
    "arrow": [
        frame, frame.head(3), frame.set_index(["n", "text"]), frame["kind"], table, table.slice(1, 3),
        pandas.Series(1.5, index=pandas.date_range("2020", periods=9, freq="h", name="t")),
        polars.DataFrame({"a": [1, None], "s": ["x", None], "l": [[1], None]}), pandas.Index(["a", "b"], name=("x", 1)),
        pandas.DataFrame({"p": pandas.period_range("2020", periods=3), "i": pandas.interval_range(0, 3)}),
    ],
    "plain": [
        {"a": [1, 2.5, None, True], "b": (1, {2, 3}, b"x"), 7: frozenset({(1, 2)}), "n": 10**700},
        [[[["deep"]]], {"text": "\\ud800"}, float("inf")], [1.5] * 3000, {n: str(n) for n in range(2000)}, b"x" * 20000,
    ],
    "registered": [Own(b"value"), Own(b"")],
}[kind]
BODIES = []
for value in VALUES:
    body = body_of(value)
    assert body.kind.name.lower() == kind, type(value)
    BODIES.append((body.kind, bytes(body.raw), [bytes(buffer.raw) for buffer in body.buffers]))

WORDS = [
    b"-1", b"0", b"1", b"2", b"9223372036854775807", b"99999999999999999999", b"null", b"[]", b"{}", b"true",
    b'"|O"', b'"<U999999999"', b'"<f8"', b'"|V2147483647"', b'"<M8[ns]"', b'"x"', b"1e9", b"[[[[",
    b'{"$floats":0}', b'{"$tuple":[]}', b'"$set"', b"[0,4611686018427387904]",
]
TOKEN = re.compile(rb'-?[0-9.]+|"[^"]*"|null|true|false|[\\[\\]{},:]')


def mutate(raw):
    raw = bytearray(raw)
    for _ in range(generator.choice((1, 1, 1, 2, 4))):
        how = generator.randrange(7)
        place = generator.randrange(len(raw) + 1)
        if how == 0 and raw:
            raw[place % len(raw)] ^= 1 << generator.randrange(8)
        elif how == 1:
            del raw[place:]
        elif how == 2:
            raw[place:place] = generator.randbytes(generator.randrange(8))
        elif how == 3:
            del raw[place : place + generator.randrange(9)]
        elif how in (4, 5):
            tokens = list(TOKEN.finditer(raw))
            if tokens:
                token = generator.choice(tokens)
                other = generator.choice(WORDS) if how == 4 else bytes(generator.choice(tokens).group())
                raw[token.start() : token.end()] = other
                if kind in ("arrow", "registered") and len(raw) > 4:  # so that the head is still found
                    change = len(other) - len(token.group())
                    raw[:4] = max(0, int.from_bytes(raw[:4], "little") + change).to_bytes(8, "little")[:4]
        else:
            other = generator.choice(BODIES)[1]
            raw[place:] = other[generator.randrange(len(other) + 1) :]
    return bytes(raw)


def read(kind, raw, buffers):
    memory = [numpy.frombuffer(bytearray(buffer), numpy.uint8).data for buffer in buffers]
    try:
        value = value_of(kind, memoryview(raw), memory, policy="data")
    except BlobError as error:
        return type(error).__name__
    except RecursionError:
        raise
    # What came of it may be wrong, but it can be used: nothing in it reaches over its memory.
    if isinstance(value, (pandas.DataFrame, pandas.Series, pandas.Index)):
        str(value.copy())
    elif isinstance(value, pyarrow.Table):
        value.to_pydict() if value.num_rows < 10000 else None
    elif isinstance(value, numpy.ndarray):
        value.copy()
    return "value"


for kind_number, raw, buffers in BODIES:
    assert read(kind_number, raw, buffers) == "value"
for _ in range(200):  # what is imported late, and what is remembered
    read(*((each := generator.choice(BODIES))[0], mutate(each[1]), each[2]))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
sys.addaudithook(watch)
outcomes = Counter()
for number in range(mutations):
    number_of_kind, raw, buffers = generator.choice(BODIES)
    buffers = list(buffers)
    if buffers and generator.random() < 0.3:
        place = generator.randrange(len(buffers))
        how = generator.randrange(3)
        if how == 0:
            buffers[place] = mutate(buffers[place])
        elif how == 1:
            del buffers[place]
        else:
            buffers[place] = generator.choice(buffers)
        if generator.random() < 0.5:
            raw = mutate(raw)
    else:
        raw = mutate(raw)
    outcomes[read(number_of_kind, raw, buffers)] += 1
print(json.dumps({"outcomes": outcomes, "unpickled": unpickled}))
"""


@pytest.mark.timeout(60 + MUTATIONS // 20)
@pytest.mark.parametrize("kind", ["array", "arrow", "plain", "registered"])
def test_a_damaged_body_is_an_error_or_a_value_that_can_be_used(kind: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", CAMPAIGN, kind, str(MUTATIONS), str(SEED)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    print(kind, found)
    assert found["unpickled"] == 0
    assert set(found["outcomes"]) <= {"CorruptBlob", "BlobError", "value"}
    assert found["outcomes"]["CorruptBlob"] > MUTATIONS / 5
