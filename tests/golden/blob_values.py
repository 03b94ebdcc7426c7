"""Values of each kind of body, by names: the package that a value needs, and what makes it.

What stands here is written to a blob once, and read for ever: add, and never change.
"""

import datetime as dt
import hashlib
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy
import pandas
import polars
import pyarrow

import cachestore


@dataclass
class Mesh:
    """A team's own type, with a serializer of its own."""

    name: str
    points: numpy.ndarray
    nothing: bytes = b""


def dump_mesh(mesh):
    return mesh.name.encode(), [mesh.points, mesh.nothing]


def load_mesh(raw, buffers):
    return Mesh(bytes(raw).decode(), numpy.frombuffer(buffers[0]), bytes(buffers[1]))


MESH = "cachestore.golden.Mesh/1"
cachestore.register_serializer(Mesh, name=MESH, dump=dump_mesh, load=load_mesh)

N = 1500
NOISE = hashlib.shake_128(b"noise").digest(24_000)  # the same with every numpy
WAVE = (numpy.arange(20_000) % 997) * 0.25 - 100.0
MOMENT = dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC)


def plain():
    return {
        "none": None, "true": True, "int": -7, "large int": 10**700, "float": 1.5, "infinity": -math.inf,
        "text": "größe €\U0001f600", "half surrogates": "\ud83d\ude00", "bytes": b"\0abc", "no text": "",
        "long text": "größe" * 9000, "long bytes": NOISE,
        "list": [1, "a", None, [2.5, []]], "tuple": ((), (1, ("a",))), "dict": {"b": 1, "a": {"c": [True]}},
        "mixed dict": {1: "a", None: b"b", (1, "c"): [frozenset({2})]}, "dollar": {"$tuple": [1]},
        "sets": [{1, "a", None}, frozenset("abc"), set()], "floats": [i / 7 for i in range(2000)],
        "ints": tuple(range(-1000, 1000)), "mixed": {"x": [0.5] * 1024, "y": list(range(1024)), "z": NOISE[:20_000]},
    }  # fmt: skip


def array():
    record = numpy.dtype({"names": ["a", "b", "c"], "formats": ["<f8", ("u1", (2, 3)), "S3"], "offsets": [8, 0, 20],
                          "itemsize": 24})  # fmt: skip
    return {
        "floats": WAVE, "noise": numpy.frombuffer(NOISE, "u1"), "one": numpy.arange(5),
        "columns": numpy.asfortranarray(numpy.arange(6_000.0).reshape(20, 300)), "empty": numpy.empty((3, 0), "<f4"),
        "big-endian": numpy.arange(N).astype(">i4"), "booleans": numpy.arange(N) % 3 == 0,
        "complex": numpy.arange(N) * 1j, "half": numpy.arange(300).astype("f2"), "texts": numpy.arange(N).astype("U5"),
        "bytes": numpy.arange(N).astype("S7"), "void": numpy.frombuffer(NOISE, "V24"),
        "moments": numpy.arange(N).astype("M8[25s]"), "spans": numpy.arange(N).astype("m8[ns]"),
        "records": numpy.frombuffer(NOISE[:24_000], record), "no dimension": numpy.array(2.5),
        "number": numpy.float32(0.1), "moment": numpy.datetime64("2026-01-02T03:04:05.123"),
        "large items": numpy.frombuffer(NOISE, "V12000"),
        "many chunks": (numpy.arange(300_000) % 1000).astype("<i8"), "constant": numpy.full(20_000, numpy.nan),
    }  # fmt: skip


def arrow():
    times = pandas.date_range("2026-03-28", periods=N, freq="h", tz="Europe/Berlin", unit="us")
    frame = pandas.DataFrame(
        {
            "number": numpy.arange(N) / 3, "count": numpy.arange(N), "flag": numpy.arange(N) % 2 == 0,
            "label": pandas.Categorical.from_codes(
                numpy.arange(N) % 8 - 1, pandas.Index(list("abcdefg"), dtype=object), ordered=True
            ),
            "text": pandas.Series([None if i % 5 == 0 else f"text {i}" for i in range(N)], dtype=object), "when": times,
            "maybe": pandas.array([None, *range(N - 1)], dtype="Int64"),
            "span": numpy.arange(N).astype("m8[s]"),
            "period": pandas.period_range("2020-01", periods=N, freq="D"),
            "interval": pandas.interval_range(0.0, float(N), N),
            "arrow": pandas.array([[i] for i in range(N)], dtype=pandas.ArrowDtype(pyarrow.list_(pyarrow.int64()))),
            "string": pandas.array([pandas.NA, *map(str, range(N - 1))], dtype=pandas.StringDtype("python")),
            "pyarrow": pandas.array([pandas.NA, *map(str, range(N - 1))], dtype=pandas.StringDtype("pyarrow")),
        }
    )  # fmt: skip
    frame.columns = pandas.Index(list(frame.columns), dtype=object)  # pandas 3 would make another type of it
    frame.attrs = {"unit": "m", "source": ("a", 1)}
    indexed = frame[["number", "text"]].set_index(
        pandas.MultiIndex.from_arrays([numpy.arange(N) // 10, numpy.arange(N) % 10], names=["a", None])
    )
    table = pyarrow.table(
        {
            "numbers": pyarrow.chunked_array([pyarrow.array([1, None, 3]), pyarrow.array(range(N))]),
            "texts": pyarrow.array(["ä", None, *map(str, range(N + 1))]),
            "lists": pyarrow.array([[1.5, None], None, [], *([float(i)] for i in range(N))]),
            "structs": pyarrow.array([{"a": i, "b": {"c": str(i)}} for i in range(N + 3)]),
            "maps": pyarrow.array(
                [[("k", i)] for i in range(N + 3)], pyarrow.map_(pyarrow.string(), pyarrow.int32())
            ),
            "words": pyarrow.array(["x", "y", None] * (N // 3 + 1)).dictionary_encode(),
            "flags": pyarrow.array([True, None, False] * (N // 3 + 1)),
            "decimals": pyarrow.array([1, 2, None] * (N // 3 + 1)).cast(pyarrow.decimal128(25, 2)),
            "fixed": pyarrow.array([b"abc", None, b"xyz"] * (N // 3 + 1), pyarrow.binary(3)),
            "pairs": pyarrow.array([[i, i] for i in range(N + 3)], pyarrow.list_(pyarrow.int32(), 2)),
            "nothing": pyarrow.nulls(N + 3),
        },
        metadata={b"made": b"here"},
    )  # fmt: skip
    lazy = polars.DataFrame(
        {"a": [1, None, 3], "b": ["x", "ä", None], "c": [[1.0], [], None], "d": [MOMENT, None, MOMENT]}
    )
    return {
        "frame": frame, "frame with levels": indexed, "empty frame": pandas.DataFrame(index=pandas.RangeIndex(3)),
        "series": pandas.Series([1.5, None, 2.5], index=pandas.Index(list("abc"), dtype=object), name=("x", 1)),
        "index": pandas.Index(["a", "b", None], dtype=object, name="letters"),
        "range": pandas.RangeIndex(3, 30, 3, name="r"),
        "moments": pandas.date_range("2026", periods=5, freq="D", unit="ns"), "many columns": pandas.DataFrame(
            numpy.arange(6_000.0).reshape(-1, 60)),
        "table": table, "no columns": pyarrow.table({}), "batch": table.slice(0, 3).combine_chunks().to_batches()[0],
        "chunks": table["texts"], "chunk": pyarrow.array(["a", None]), "polars": lazy,
        "polars column": lazy["b"], "large polars": polars.DataFrame({"x": WAVE, "y": numpy.arange(20_000)}),
    }  # fmt: skip


def pickle():
    return {
        "fraction": Fraction(1, 3), "moment": MOMENT, "shared": [[1]] * 2,
        "arrays": {"a": numpy.arange(5000.0), "b": [WAVE, numpy.asfortranarray(numpy.ones((60, 60)))]},
        "noise": [numpy.frombuffer(NOISE, "u1").copy(), bytearray(NOISE[:20_000])],
        "objects": numpy.array([1, "a", None, (2, 3)], dtype=object),
        "a hundred arrays": [numpy.arange(3000) + i for i in range(100)],
    }  # fmt: skip


def registered():
    return {"mesh": Mesh("größe", WAVE, b""), "small mesh": Mesh("", numpy.arange(3.0), b"xyz")}


KINDS = (plain, array, arrow, pickle, registered)


def same(left, right):
    """Return whether two values are equal in type, order, bits and labels."""
    if type(left) is not type(right):
        return False
    if isinstance(left, numpy.ndarray | numpy.generic):
        if left.dtype.hasobject:
            return left.tolist() == right.tolist()
        return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left), list(right)) and same(list(left.values()), list(right.values()))
    if isinstance(left, Mesh):
        return (left.name, left.nothing) == (right.name, right.nothing) and same(left.points, right.points)
    testing = {pandas.DataFrame: "frame", pandas.Series: "series"}.get(type(left))
    if testing is not None or isinstance(left, pandas.Index):
        exact = {"check_freq": True} if testing else {"exact": True}
        getattr(pandas.testing, f"assert_{testing or 'index'}_equal")(left, right, **exact)
        return getattr(left, "attrs", None) == getattr(right, "attrs", None) and getattr(
            left, "freq", None
        ) == getattr(right, "freq", None)
    if type(left).__module__.startswith("polars"):
        return left.equals(right) and (
            left.schema == right.schema if hasattr(left, "schema") else left.dtype == right.dtype
        )
    if type(left).__module__.startswith("pyarrow"):
        if hasattr(left, "schema"):
            return left.schema.equals(right.schema, check_metadata=True) and left.equals(right)
        return left.type == right.type and left.equals(right)
    if isinstance(left, float):
        return numpy.float64(left).tobytes() == numpy.float64(right).tobytes()
    return left == right
