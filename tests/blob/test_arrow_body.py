"""Tables, columns and indexes come back exactly, in memory that is not copied; what cannot is left to pickle."""

from __future__ import annotations

import datetime
import sys
from typing import Any

import numpy
import pandas
import polars
import pyarrow
import pytest

from cachestore.blob import arrow_parts
from cachestore.blob.arrow_body import arrow_body, arrow_value
from cachestore.blob.bodies import body_of, value_of
from cachestore.blob.body import Body, BodyKind
from cachestore.errors import BlobError, CorruptBlob

N = 3000
COUNT = numpy.arange(N)
COLUMNS = pandas.DataFrame(
    {
        "int": COUNT,
        "float": numpy.where(COUNT % 3, COUNT / 7, numpy.nan),
        "float32": COUNT.astype("f4"),
        "bool": COUNT % 2 == 0,
        "complex": COUNT * 1j,
        "text": [None if n % 5 == 4 else f"é{n}" for n in COUNT],
        "pyarrow": pandas.array(["a", None, "é"] * (N // 3), dtype="string[pyarrow]"),
        "python": pandas.array(["a", None, "é"] * (N // 3), dtype="string[python]"),
        "date": pandas.date_range("2020", periods=N, freq="h").where(COUNT % 2 == 0),
        "nanoseconds": numpy.arange(N).astype("M8[ns]"),
        "zone": pandas.date_range("2020", periods=N, freq="h", tz="Europe/Berlin"),
        "utc": pandas.date_range("2020", periods=N, freq="h", tz=datetime.UTC),
        "duration": pandas.to_timedelta(COUNT, unit="s"),
        "period": pandas.period_range("2020", periods=N, freq="D"),
        "interval": pandas.interval_range(0, N, periods=N, closed="left"),
        "category": pandas.Categorical(["u", "v", None] * (N // 3), categories=["v", "u"], ordered=True),
        "numbers of a category": pandas.Categorical([3, 1, 2] * (N // 3)),
        "Int64": pandas.array([1, None, 3] * (N // 3), dtype="Int64"),
        "Float64": pandas.array([1.5, None, 2] * (N // 3), dtype="Float64"),
        "boolean": pandas.array([True, None, False] * (N // 3), dtype="boolean"),
        "object": pandas.Series(["p", "q", "r"] * (N // 3), dtype=object),
        "None": pandas.Series(["p", None, "q"] * (N // 3), dtype=object),
        "nan": pandas.Series(["p", numpy.nan, "q"] * (N // 3), dtype=object),
        "NA": pandas.Series(["p", pandas.NA, "q"] * (N // 3), dtype=object),
        "long": pandas.Series([f"p{n}" if n % 2 else None for n in range(2 * N)], dtype=object)[:N],
        "arrow": pandas.array([1, None, 2] * (N // 3), dtype=pandas.ArrowDtype(pyarrow.int32())),
        "lists": pandas.Series(
            [[1], None, [2, 3]] * (N // 3), dtype=pandas.ArrowDtype(pyarrow.list_(pyarrow.int32()))
        ),
    }
)
OBJECTS = pandas.concat([COLUMNS[["object", "None", "nan", "NA"]]] * 2, ignore_index=True)
ATTRS = COLUMNS[["int"]].head()
ATTRS.attrs = {"unit": "m", "history": [1, (2, b"x")]}
TABLE = pyarrow.table(
    {
        "int": [1, 2, None],
        "text": ["x", None, "yy"],
        "list": [[1], None, [2, 3]],
        "struct": [{"p": 1, "q": "z"}, None, {"p": 2, "q": None}],
        "dictionary": pyarrow.array(["a", "b", "a"]).dictionary_encode(),
        "decimal": pyarrow.array([1, 2, None], pyarrow.decimal128(10, 2)),
        "timestamp": pyarrow.array([1, 2, 3], pyarrow.timestamp("ns", tz="UTC")),
        "map": pyarrow.array([[("k", 1)], [], None], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
        "null": pyarrow.nulls(3),
        "pairs": pyarrow.array([[1, 2], None, [3, 4]], pyarrow.list_(pyarrow.int8(), 2)),
        "bool": [True, None, False],
        "binary": [b"x", None, b""],
        "half": pyarrow.array(numpy.zeros(3, "f2")),
        "two": pyarrow.array([b"ab", None, b"cd"], pyarrow.binary(2)),
    }
).replace_schema_metadata({"k": "v"})
POLARS = polars.DataFrame(
    {
        "int": [1, None],
        "text": ["x", None],
        "list": [[1], None],
        "struct": [{"p": 1}, {"p": None}],
        "date": [datetime.date(2020, 1, 1), None],
        "datetime": [datetime.datetime(2020, 1, 1), None],
        "null": [None, None],
        "time": [datetime.time(1), None],
        "duration": [datetime.timedelta(1), None],
        "binary": [b"a", None],
        "category": polars.Series(["a", None], dtype=polars.Categorical),
        "enum": polars.Series(["a", None], dtype=polars.Enum(["b", "a"])),
    }
)
TEXTS = numpy.array(["a", "b"], dtype=object)
VALUES: dict[str, Any] = {
    **{f"frame of {name}": COLUMNS[[name]] for name in COLUMNS},
    **{f"series of {name}": COLUMNS[name] for name in COLUMNS},
    **{
        f"index of {name}": pandas.Index(COLUMNS[name])
        for name in COLUMNS
        if name not in ("lists", "complex")
    },
    "frame": COLUMNS,
    "slice": COLUMNS.iloc[5:50],
    "every second": COLUMNS.iloc[::2],
    "backwards": COLUMNS[::-1],
    "many objects": OBJECTS,
    "two levels": COLUMNS.set_index(["int", "text"]),
    "levels of their own": pandas.MultiIndex.from_arrays([[1, 2], ["a", None]], names=["p", None]),
    "unused levels": COLUMNS.set_index(["int", "category"]).index[:3],
    "dates as index": COLUMNS.set_index("date"),
    "frequency": pandas.Series(1.0, index=pandas.date_range("2020", periods=5, freq="h", name="t")),
    "months": pandas.date_range("2020", periods=5, freq="MS", tz="Europe/Berlin"),
    "over a change of the clock": pandas.date_range("2020-03-28", periods=2, freq="D", tz="Europe/Berlin"),
    "durations": pandas.timedelta_range("1h", periods=3, freq="2h"),
    "range": pandas.DataFrame({"x": [1, 2]}, index=pandas.RangeIndex(3, 7, 2, name="r")),
    "the same label": pandas.DataFrame([[1, 2.5]], columns=["x", "x"]),
    "labels of two types": pandas.DataFrame([[1, 2.5]], columns=[1, "x"]),
    "true and one": pandas.DataFrame([[1, 2]], columns=pandas.Index([True, 1], dtype=object)),
    "tuples as labels": pandas.DataFrame(
        [[1, 2]], columns=pandas.Index([("a", 1), "b"], tupleize_cols=False)
    ),
    "objects as labels": pandas.DataFrame([[1, 2]], columns=pandas.Index(TEXTS, dtype=object, name="n")),
    "two levels of labels": pandas.DataFrame(
        [[1, 2]], columns=pandas.MultiIndex.from_tuples([("a", 1), ("b", 2)])
    ),
    "name of labels": pandas.DataFrame([[1]], columns=pandas.Index(["a"], name=("cols", 1))),
    "rows together": pandas.DataFrame(numpy.random.default_rng(0).random((100, 5))),
    "columns together": pandas.DataFrame(numpy.asfortranarray(numpy.random.default_rng(0).random((100, 5)))),
    "nothing": pandas.DataFrame(),
    "no rows": COLUMNS.iloc[:0],
    "no columns": COLUMNS[[]],
    "few objects": pandas.DataFrame({"o": [1, "a", None, 1.5, True, (1, 2)]}),
    "no objects": pandas.Series([], dtype=object),
    "attrs": ATTRS,
    "series with attrs": ATTRS["int"],
    "category index": pandas.CategoricalIndex(["a", "b"], name="q"),
    "big-endian": pandas.Series(numpy.zeros(3, ">f8")),
    "table": TABLE,
    "slice of a table": TABLE.slice(1, 2),
    "bytes into a table": pyarrow.concat_tables([TABLE] * 10).combine_chunks().slice(9, 20),
    "table without rows": TABLE.slice(0, 0),
    "table without columns": pyarrow.table({}),
    "table in pieces": pyarrow.concat_tables([TABLE, TABLE]),
    "batch": TABLE.to_batches()[0],
    "array": TABLE["text"].chunk(0),
    "slice of structs": TABLE["struct"].chunk(0).slice(1),
    "slice of lists": TABLE["list"].chunk(0).slice(1),
    "chunks": TABLE["list"],
    "long texts": pyarrow.array([f"text {n}" for n in range(N)]),
    "polars": POLARS,
    "rows of polars": POLARS[1:],
    "no rows of polars": POLARS.head(0),
    "nothing of polars": polars.DataFrame(),
    **{f"polars series of {name}": POLARS[name] for name in POLARS.columns},
}


class Frame(pandas.DataFrame):
    pass


FOR_PICKLE: dict[str, Any] = {
    "subclass": Frame({"x": [1]}),
    "lists": pandas.DataFrame({"x": [[1], 2]}),
    "attrs": COLUMNS[["int"]].head().pipe(lambda frame: frame.attrs.update(x=object()) or frame),
    "flags": COLUMNS[["int"]].set_flags(allows_duplicate_labels=False),
    "sparse": pandas.DataFrame({"x": pandas.arrays.SparseArray([0, 0, 1])}),
    "holidays": pandas.bdate_range("2020", periods=3, freq="C", holidays=["2020-01-02"]),
    "offset": pandas.Series(
        pandas.date_range("2020", periods=3, tz=datetime.timezone(datetime.timedelta(hours=2)))
    ),
    "dates": pandas.Series([datetime.date(2020, 1, 1)], dtype=object),
    "two kinds of missing": pandas.Series(["a", None, numpy.nan] * N, dtype=object),
    "numbers among texts": pandas.Series(["a", 1.5] * N, dtype=object),
    "half of a pair": pandas.Series(["\ud800"] * 2 * N, dtype=object),
    "name": pandas.Series([1], name=pandas.Timestamp("2020")),
    "union": pyarrow.table(
        {"u": pyarrow.UnionArray.from_sparse(pyarrow.array([0], pyarrow.int8()), [pyarrow.array([1])])}
    ),
    "views": pyarrow.table({"u": pyarrow.array(["a"], pyarrow.string_view())}),
    "objects in polars": polars.DataFrame({"o": polars.Series([object()], dtype=polars.Object)}),
    "query": polars.LazyFrame({"x": [1]}),
    "scalar": pyarrow.scalar(1),
    "timestamp": pandas.Timestamp("2020"),
}


def buffers_of(body: Body) -> list[memoryview]:
    return [numpy.frombuffer(bytearray(buffer.raw), numpy.uint8).data for buffer in body.buffers]


def again(value: object) -> Any:
    body = arrow_body(value)
    assert body is not None
    assert body.kind == BodyKind.ARROW
    assert all(buffer.raw.nbytes for buffer in body.buffers)
    return arrow_value(body.raw, buffers_of(body))


def check_same(one: Any, other: Any) -> None:
    """Compare types, dtypes, labels, missing values and what pandas' own comparison passes over."""
    assert type(one) is type(other)
    if isinstance(one, pandas.DataFrame):
        pandas.testing.assert_frame_equal(one, other, check_exact=True, check_freq=True)
        assert one.attrs == other.attrs
        check_same(one.index, other.index)
        check_same(one.columns, other.columns)
        for place in range(one.shape[1]):
            check_same(one.iloc[:, place], other.iloc[:, place])
    elif isinstance(one, pandas.Series):
        pandas.testing.assert_series_equal(one, other, check_exact=True, check_freq=True)
        assert repr(one.dtype) == repr(other.dtype)
        assert type(one.array) is type(other.array)
        assert one.attrs == other.attrs
        if one.dtype == object:
            assert list(map(type, one)) == list(map(type, other))
    elif isinstance(one, pandas.MultiIndex):
        assert one.names == other.names
        for mine, theirs in zip(one.levels, other.levels, strict=True):
            check_same(mine, theirs)
        for codes, others in zip(one.codes, other.codes, strict=True):
            assert codes.dtype == others.dtype
            assert codes.tolist() == others.tolist()
    elif isinstance(one, pandas.Index):
        pandas.testing.assert_index_equal(one, other, exact=True)
        assert repr(one.dtype) == repr(other.dtype)
        assert one.names == other.names
        assert getattr(one, "freq", None) == getattr(other, "freq", None)
        if one.dtype == object:
            assert list(map(type, one)) == list(map(type, other))
    elif isinstance(one, pyarrow.Table | pyarrow.RecordBatch):
        assert one.equals(other)
        assert one.schema.equals(other.schema, check_metadata=True)
        other.validate(full=True)
    elif isinstance(one, pyarrow.Array | pyarrow.ChunkedArray):
        assert one.equals(other)
        assert one.type == other.type
    elif isinstance(one, polars.DataFrame):
        assert one.schema == other.schema
        assert one.equals(other)
    else:
        assert (one.name, one.dtype) == (other.name, other.dtype)
        assert one.equals(other)


@pytest.mark.parametrize("name", VALUES)
def test_it_comes_back_exactly(name: str) -> None:
    check_same(VALUES[name], again(VALUES[name]))


@pytest.mark.parametrize("name", FOR_PICKLE)
def test_the_rest_is_for_pickle(name: str) -> None:
    assert arrow_body(FOR_PICKLE[name]) is None


def test_columns_are_written_where_they_lie() -> None:
    frame = pandas.DataFrame({"x": COUNT, "y": COUNT + 1, "z": COUNT / 7})
    body = arrow_body(frame)
    assert body is not None
    assert [(len(buffer.raw), buffer.item_size) for buffer in body.buffers] == [(16 * N, 8), (8 * N, 8)]
    for buffer, name in zip(body.buffers, ("x", "z"), strict=True):
        assert numpy.shares_memory(numpy.frombuffer(buffer.raw, "u1"), frame[name].to_numpy())
    texts = pyarrow.array([f"text {n}" for n in range(N)])
    written = arrow_body(texts)
    assert written is not None
    addresses = [numpy.frombuffer(buffer.raw, "u1").ctypes.data for buffer in written.buffers]
    assert addresses == [texts.buffers()[1].address, texts.buffers()[2].address]
    assert [buffer.item_size for buffer in written.buffers] == [4, 1]


def test_of_a_slice_nothing_else_is_written() -> None:
    secret = pyarrow.array(["secret"] * N + ["open"] * 10 + ["secret"])
    body = arrow_body(secret.slice(N, 10))
    assert body is not None
    assert not body.buffers
    assert b"open" in bytes(body.raw)
    assert b"secret" not in bytes(body.raw)
    small = arrow_body(pandas.Series(["secret"] * N + ["open"]).iloc[-1:])
    assert small is not None
    assert b"secret" not in bytes(small.raw)


def test_texts_that_begin_inside_of_their_memory_are_written_from_there() -> None:
    offsets = pyarrow.py_buffer(numpy.array([6, 8, 10], "i4"))
    texts = pyarrow.StringArray.from_buffers(2, offsets, pyarrow.py_buffer(b"secretopen"))
    body = arrow_body(texts)
    assert body is not None
    assert b"secret" not in bytes(body.raw)
    assert again(texts).to_pylist() == ["op", "en"]


def test_what_comes_back_lives_in_the_buffers_and_can_be_written_to() -> None:
    frame = pandas.DataFrame({"x": COUNT / 7, "y": COUNT})
    body = arrow_body(frame)
    assert body is not None
    buffers = buffers_of(body)
    read: Any = arrow_value(body.raw, buffers)
    assert numpy.shares_memory(read["x"].to_numpy(), numpy.asarray(buffers[0]))
    read.loc[0, "x"] = 7.0
    read["y"] += 1
    small = again(frame.head(3))
    small.loc[0, "x"] = 7.0
    assert (read["x"].iloc[0], read["y"].iloc[0], small["x"].iloc[0]) == (7.0, 1, 7.0)


def test_before_pandas_3_a_frame_is_put_together_by_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas.api.internals", None)
    for name in (
        "frame",
        "the same label",
        "two levels",
        "no rows",
        "nothing",
        "rows together",
        "two levels of labels",
    ):
        check_same(VALUES[name], again(VALUES[name]))


def test_without_pyarrow_numbers_are_read_and_texts_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers, texts = arrow_body(COLUMNS[["int", "float"]].head()), arrow_body(pyarrow.array(["a"]))
    assert numbers is not None
    assert texts is not None
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BlobError, match="pip install pyarrow"):
        arrow_value(texts.raw, [])
    assert body_of(OBJECTS["object"]).kind == BodyKind.PICKLE


def test_a_time_zone_that_is_not_known_here_is_no_corruption() -> None:
    body = arrow_body(COLUMNS[["zone"]].head())
    assert body is not None
    elsewhere = bytes(body.raw).replace(b"Europe/Berlin", b"Europe/Utopia")
    with pytest.raises(BlobError, match="Europe/Utopia") as caught:
        arrow_value(memoryview(elsewhere), [])
    assert not isinstance(caught.value, CorruptBlob)


def test_what_another_version_lacks_is_no_corruption(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = arrow_body(pandas.Series(pandas.array(["a"], pandas.StringDtype("python"))))
    lists = arrow_body(pyarrow.array([[1]]))
    assert texts is not None
    assert lists is not None
    monkeypatch.delattr(pandas, "StringDtype")
    monkeypatch.setattr(pyarrow.types, "is_list", lambda _: False)
    for body in (texts, lists):
        with pytest.raises(BlobError, match="with the packages that are installed") as caught:
            arrow_value(body.raw, buffers_of(body))
        assert not isinstance(caught.value, CorruptBlob)


def with_head(body: Body, old: bytes, new: bytes) -> memoryview:
    """Return the bytes of a body, something in the head of which is replaced."""
    length = 4 + int.from_bytes(body.raw[:4], "little")
    head = bytes(body.raw[4:length]).replace(old, new)
    raw = len(head).to_bytes(4, "little") + head
    return memoryview(raw + bytes(-len(raw) % 64) + bytes(body.raw[length + -length % 64 :]))


@pytest.mark.parametrize("storage", ["pyarrow", "python"])
def test_a_column_of_texts_that_holds_numbers_is_corrupt(storage: str) -> None:
    column = pandas.Series(pandas.array(["a"], pandas.StringDtype(storage)))
    numbers = pandas.Series(pandas.array([7], pandas.ArrowDtype(pyarrow.int64())))
    body, other = arrow_body(column), arrow_body(numbers)
    assert body is not None
    assert other is not None
    texts = f'"is":"texts","storage":"{storage}","missing":"NA"'.encode()
    assert texts in bytes(body.raw)
    with pytest.raises(CorruptBlob, match="int64 are no texts"):
        arrow_value(with_head(other, b'"is":"arrow"', texts), [])


@pytest.mark.parametrize(
    ("pieces", "two", "one"),
    [
        (pyarrow.concat_tables([TABLE, TABLE]), b"pyarrow.Table", b"pyarrow.RecordBatch"),
        (pyarrow.chunked_array([["a"], ["b"]]), b"pyarrow.ChunkedArray", b"pyarrow.Array"),
    ],
    ids=["batch", "array"],
)
def test_what_has_one_piece_is_corrupt_with_two(pieces: Any, two: bytes, one: bytes) -> None:
    body = arrow_body(pieces)
    assert body is not None
    check_same(pieces, arrow_value(with_head(body, two, two), []))
    with pytest.raises(CorruptBlob):
        arrow_value(with_head(body, two, one), [])


def test_what_is_not_text_is_never_believed_to_be() -> None:
    body = arrow_body(pyarrow.array([f"text {n}" for n in range(N)]))
    assert body is not None
    for damage in (b"\xff" * 8, (2**31 - 1).to_bytes(4, "little")):
        for place in (0, 1):
            buffers = buffers_of(body)
            buffers[place][4 : 4 + len(damage)] = damage
            with pytest.raises(CorruptBlob):
                arrow_value(body.raw, buffers)


def test_a_buffer_is_read_once_and_whole() -> None:
    body = arrow_body(pandas.DataFrame({"x": COUNT / 7, "y": COUNT}))
    assert body is not None
    buffers = buffers_of(body)
    for wrong in (buffers[:1], [buffers[0], buffers[1][:-8]], []):
        with pytest.raises(CorruptBlob):
            arrow_value(body.raw, wrong)
    twice = bytes(body.raw).replace(b'"at":1', b'"at":0')
    with pytest.raises(CorruptBlob):
        arrow_value(memoryview(twice), buffers)


def test_more_parts_than_a_blob_may_have_are_for_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_parts, "_BUFFERS_LIMIT", 3)
    assert arrow_body(COLUMNS) is None


def test_rows_without_columns_are_refused_for_pickle_would_lose_them() -> None:
    rows = pyarrow.table({"a": [1, 2, 3]}).select([])
    for value in (rows, rows.to_batches()[0]):
        with pytest.raises(BlobError, match="3 rows and no columns"):
            body_of(value)
    described = pyarrow.table({}).replace_schema_metadata({"a": "b"})
    body = body_of(described)
    again = value_of(body.kind, body.raw, body.buffers)
    assert again.schema.equals(described.schema, check_metadata=True)
