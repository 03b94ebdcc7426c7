"""polars: equal frames are equal however they were built or cut."""

import datetime as dt
import pickle

import pytest

from cachestore.errors import KeyingError
from cachestore.keys import digest, encode

polars = pytest.importorskip("polars")

COLUMNS = {
    "int": [1, None, 3],
    "text": ["x", None, "z"],
    "date": [dt.date(2020, 1, day) for day in (1, 2, 3)],
    "moment": [dt.datetime(2020, 1, day) for day in (1, 2, 3)],
    "span": [dt.timedelta(days) for days in (1, 2, 3)],
    "list": [[1], [2, 3], None],
    "struct": [{"q": 1}, {"q": 2}, None],
    "category": polars.Series(["u", "v", "w"], dtype=polars.Categorical),
    "enum": polars.Series(["u", "v", "u"], dtype=polars.Enum(["u", "v"])),
    "flag": [True, None, False],
    "float": [1.5, None, float("nan")],
    "bytes": [b"a", None, b"c"],
    "wide": polars.Series([1, 2, None], dtype=polars.Int128),
    "decimal": polars.Series(["1.50", None, "2.50"]).cast(polars.Decimal(10, 2)),
    "array": polars.Series([[1, 2], [3, 4], None], dtype=polars.Array(polars.Int64, 2)),
    "object": polars.Series([{"any": 1}, None, (2,)], dtype=polars.Object),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column(name):
    column = polars.Series(name, COLUMNS[name])
    assert digest(column) == digest(column.clone()) == digest(polars.Series(name, COLUMNS[name]))
    others = [column, column[[0, 2, 1]], column[:2], column.rename("other"), column.to_frame()]
    assert len(set(map(digest, others))) == len(others)
    if name != "object":
        cut = polars.concat([column[:1], column[1:]], rechunk=False)
        assert digest(cut) == digest(column) == digest(polars.concat([column, column])[3:])


def test_frames():
    frame = polars.DataFrame({name: values for name, values in COLUMNS.items() if name != "object"})
    assert (
        digest(frame)
        == digest(pickle.loads(pickle.dumps(frame)))
        == digest(polars.concat([frame[:1], frame[1:]]))
    )
    changed = frame.with_columns(polars.Series("enum", ["u", "v", "v"], dtype=polars.Enum(["u", "v"])))
    others = [frame, frame[::-1], frame.rename({"int": "i"}), frame.cast({"int": polars.Int32}), changed]
    others += [frame[frame.columns[::-1]], polars.DataFrame(), polars.DataFrame({"a": []}), frame[:0]]
    assert len(set(map(digest, others))) == len(others)


def test_the_values_of_an_enum_count():
    many = ["u", *map(str, range(200))]
    one, other = (polars.Series(["u"], dtype=polars.Enum([*many, last])) for last in "vw")
    assert digest(one) != digest(other)


def test_subclasses_count():
    class Frame(polars.DataFrame):
        pass

    assert digest(Frame({"a": [1]})) != digest(polars.DataFrame({"a": [1]}))
    assert next(iter(encode(Frame())[1])) == f"class:{__name__}:test_subclasses_count.<locals>.Frame"


@pytest.mark.parametrize("make", [lambda: polars.LazyFrame({"a": [1]}), lambda: polars.col("a") + 1])
def test_plans_are_refused(make):
    with pytest.raises(
        KeyingError, match=r"it is a plan, nothing that was computed \(give a frame: .collect\(\)"
    ):
        digest(make())


def test_the_way_to_a_culprit():
    frame = polars.DataFrame({"bad": polars.Series([(i for i in range(3))], dtype=polars.Object)})
    with pytest.raises(KeyingError, match=r"argument 'df' -> \['bad'\]\[0\] -> <generator>"):
        digest(frame, name="argument 'df'")
