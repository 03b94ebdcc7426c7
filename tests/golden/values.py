"""Values of each kind, by their names: `plain` ones need nothing but Python, the others the packages of that name.

No value may bring the version of a package with it: that is not for a file to know.
"""

import array
import collections
import datetime as dt
import decimal
import fractions
import functools
import io
import ipaddress
import operator
import pathlib
import random
import re
import types
import typing
import uuid
import zoneinfo

from tests.golden import functions
from tests.golden.functions import Access, Colour, Fixed, Model, Pair, Point, Spoken


def plain():
    shared = [1, {"a": 2.5}]
    ring = [1]
    ring.append({"back": ring})
    moment = dt.datetime(2020, 10, 25, 2, 30, 1, 5)
    mixed = {"a": 1, 2: "b", None: [3], (1, "c"): {4}, 1.5: b"d", frozenset({1, "x"}): 0}
    return {
        "none": None, "true": True, "false": False, "ellipsis": ..., "not implemented": NotImplemented,
        "zero": 0, "one": 1, "negative": -7, "big": 10**40, "bigger": -(10**5000),
        "float zero": 0.0, "negative zero": -0.0, "float": 1.5, "nan": float("nan"), "infinity": float("-inf"),
        "complex": 1.5 - 2j, "complex nan": complex(float("nan"), 1),
        "text": "abc", "no text": "", "umlauts": "äöü €\U0001f600", "surrogate": "\ud800", "long text": "ab" * 500,
        "bytes": b"abc", "no bytes": b"", "long bytes": b"ab" * 500, "bytearray": bytearray(b"abc"),
        "memoryview": memoryview(b"abcd")[::2],
        "list": [1, "a", None], "nested": [[], [[]], ((),), {}], "shared": [shared, shared], "cycle": ring,
        "long list": list(range(1000)), "floats": [i / 7 for i in range(300)], "texts": [str(i) for i in range(300)],
        "tuple": (1, "a"), "pair": Pair(1, "a"), "no tuple": (),
        "dict": {"b": 1, "a": 2}, "mixed dict": mixed, "long dict": {f"k{i}": i for i in range(300)},
        "records": [{"id": i, "name": f"n{i}", "tags": {"a", str(i)}} for i in range(50)],
        "set": {"a", "b", 1, None, (2, "c")}, "frozenset": frozenset("abc"), "no set": set(),
        "ordered dict": collections.OrderedDict(b=1, a=2), "default dict": collections.defaultdict(list, a=[1]),
        "counter": collections.Counter("hello"), "deque": collections.deque([1, 2], 3),
        "chain map": collections.ChainMap({1: 2}, {3: 4}), "user dict": collections.UserDict(a=1),
        "mapping proxy": types.MappingProxyType({"a": 1}), "namespace": types.SimpleNamespace(a=1, b=[2]),
        "range": range(0, 10, 3), "slice": slice(1, None, 2), "packed": array.array("d", [1.5, 2.5]),
        "decimal": decimal.Decimal("1.10"), "fraction": fractions.Fraction(-1, 3), "uuid": uuid.UUID(int=5),
        "date": dt.date(2020, 1, 2), "time": dt.time(1, 2, 3, 4), "moment": moment, "span": dt.timedelta(1, 2, 3),
        "moment utc": moment.replace(tzinfo=dt.UTC), "zone": zoneinfo.ZoneInfo("Europe/Berlin"),
        "moment fold": moment.replace(tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"), fold=1),
        "offset": dt.timezone(dt.timedelta(hours=-3), "X"),
        "path": pathlib.PurePosixPath("a/b.txt"), "windows path": pathlib.PureWindowsPath("a\\b.txt"),
        "pattern": re.compile("a+", re.I | re.M), "bytes pattern": re.compile(b"a"), "flags of a pattern": re.I | re.M,
        "address": ipaddress.ip_address("::1"), "getter": operator.itemgetter(1, "a"), "error": ValueError("a", 1),
        "memory file": io.BytesIO(b"abc"), "random": random.Random(3),
        "enum": Colour.RED, "flag": Access.READ | Access.WRITE, "dataclass": Point(1.5), "slots": Fixed(3),
        "object": Model({"a", "b", "c"}), "spoken": Spoken([1, {"a"}]), "sentinel": functions.MISSING,
        "list of objects": [Point(1), Fixed(2), Colour.BLUE], "instances": {"a": [Model.make("x")]},
        "type": int, "class": Model, "enum class": Colour, "alias": dict[str, list[int]], "union": int | None | str,
        "callable type": typing.Callable[[int], str], "literal": typing.Literal["a", 1], "typing": typing.List[int],  # noqa: UP006
        "module": re, "built-in": len, "built-in method": "abc".upper, "descriptor": str.upper,
        "operator": operator.add, "function": functions.helper, "lambda": lambda x: x + 1,
        "closure": functions.adder(3),
        "partial": functools.partial(functions.plain, 1, flag=True), "method": Model({"a"}).predict,
        "class method": Model.make, "static method": Model.double, "decorated": functions.decorated,
        "generated": functools.cmp_to_key, "standard": re.match,
    }  # fmt: skip


def numpy():
    import numpy as np

    numbers = np.arange(24.0).reshape(2, 3, 4)
    records = np.zeros(2, np.dtype([("a", "i1"), ("b", "f8", (2,)), ("c", "U2")], align=True))
    records["a"], records["c"] = [1, 2], ["x", "yz"]
    dtypes = [
        "?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8",
        "c8", "c16", "S3", "U3", "M8[D]", "M8[ns]", "m8[s]", "V5",
    ]  # fmt: skip
    return {
        **{f"zeros {dtype}": np.zeros((2, 3), dtype) for dtype in dtypes},
        **{f"scalar {dtype}": np.zeros(1, dtype)[0] for dtype in dtypes},
        "c order": numbers, "fortran order": np.asfortranarray(numbers), "every other": numbers[:, ::2],
        "transposed": numbers.transpose(1, 0, 2), "backwards": numbers[::-1], "broadcast": np.broadcast_to(1.5, (2, 3)),
        "big endian": np.arange(3, dtype=">i4"), "no dimension": np.array(5), "empty": np.zeros((0, 3), "f4"),
        "one kilobyte": np.arange(128.0), "large": np.arange(300_000, dtype="i8"),
        "large view": np.arange(300_000)[::3], "records": records, "one record": records[1],
        "matrix of records": records.reshape(1, 2),
        "objects": np.array([1, "a", None, [2], {"b": {3}}], dtype=object),
        "masked": np.ma.array([1, 2, 3], mask=[False, True, False]), "nan": np.float32("nan"),
        "nans": np.array([np.nan]),
        "dtype": np.dtype("f4"), "record dtype": records.dtype, "list of arrays": [numbers, numbers[0], np.int64(3)],
        "dict of arrays": {"x": numbers, "y": np.arange(3)},
    }  # fmt: skip


def pandas():
    import numpy as np
    import pandas as pd

    columns = {
        "int": pd.array([1, 2, 3], dtype="int64"),
        "float": np.array([1.0, np.nan, 3.0]),
        "flag": np.array([True, False, True]),
        "object": pd.Series([1, "a", [2]], dtype=object),
        "text": pd.array(["x", None, "zü"], dtype=pd.StringDtype("python")),
        "category": pd.Categorical.from_codes([0, 1, -1], pd.Index([1, 2])),
        "nullable": pd.array([1, None, 3], dtype="Int64"),
        "nullable float": pd.array([1.5, None, 3], dtype="Float32"),
        "nullable flag": pd.array([True, None, False], dtype="boolean"),
        "time": pd.DatetimeIndex(["2020-01-01", None, "2020-01-03"]).as_unit("ns"),
        "zone": pd.DatetimeIndex(["2020-01-01", None, "2020-01-03"], tz="Europe/Berlin").as_unit("us"),
        "span": pd.to_timedelta([1, 2, 3], unit="s").as_unit("ms"),
    }
    index = pd.Index([10, 20, 30], name=1)
    labelled = pd.DataFrame(dict(enumerate(columns.values()))).set_axis(index)
    noted = labelled.copy()
    noted.attrs = {"source": "here"}
    return {
        **{f"series {name}": pd.Series(column, name=name) for name, column in columns.items()},
        "frame": labelled,
        "noted frame": noted,
        "empty frame": pd.DataFrame(index=pd.RangeIndex(0), columns=pd.RangeIndex(0)),
        "range": pd.RangeIndex(5),
        "pairs": pd.MultiIndex.from_arrays([[1, 2], [0.5, 1.5]], names=[1, None]),
        "missing": pd.NA,
    }


def pyarrow():
    import pyarrow as pa

    arrays = {
        "int": pa.array([1, None, 3]),
        "float": pa.array([1.5, None, float("nan")], pa.float32()),
        "flag": pa.array([True, None, False]),
        "text": pa.array(["a", None, "bc"]),
        "large text": pa.array(["a", None, "bc"], pa.large_string()),
        "bytes": pa.array([b"a", None, b"bc"]),
        "list": pa.array([[1], None, [2, 3]]),
        "struct": pa.array([{"a": 1}, None, {"a": 3}]),
        "category": pa.array(["a", None, "a"]).dictionary_encode(),
        "moment": pa.array([1, None, 3], pa.timestamp("us", "UTC")),
        "decimal": pa.array([1, None, 3]).cast(pa.decimal128(30, 2)),
        "null": pa.nulls(3),
    }
    table = pa.table(arrays)
    return {
        **arrays,
        "slice": arrays["text"][1:],
        "chunks": pa.chunked_array([[1], [2, 3]]),
        "table": table,
        "batch": table.to_batches()[0],
        "schema": table.schema,
        "type": pa.list_(pa.int8()),
        "scalar": arrays["int"][0],
    }


def scipy():
    import numpy as np
    from scipy import sparse

    dense = np.array([[0, 1.5, 0], [2.5, 0, 0]])
    return {
        kind: sparse.csr_array(dense).asformat(kind) for kind in ("csr", "csc", "coo", "lil", "dok", "dia")
    }


def polars():
    import polars as pl

    columns = {
        "int": pl.Series("int", [1, None, 3]),
        "text": pl.Series("text", ["a", None, "bc"]),
        "enum": pl.Series("enum", ["u", "v", "u"], dtype=pl.Enum(["u", "v"])),
        "list": pl.Series("list", [[1], None, [2, 3]]),
    }
    return {**columns, "frame": pl.DataFrame(columns)}


KINDS = (plain, numpy, pandas, pyarrow, scipy, polars)
