"""pandas: equal frames are equal however they were built."""

import datetime as dt
import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cachestore.errors import KeyingError
from cachestore.keys import digest, encode

COLUMNS = {
    "int": [1, 2, 3],
    "float": [1.0, np.nan, 3.0],
    "bool": [True, False, True],
    "text": ["x", None, "z"],
    "object": pd.Series([1, "a", [2]], dtype=object),
    "time": pd.to_datetime(["2020-01-01", None, "2020-01-03"]),
    "zone": pd.date_range("2020", periods=3, tz="Europe/Berlin"),
    "span": pd.to_timedelta([1, 2, 3], unit="s"),
    "category": pd.Categorical(["u", "v", "u"]),
    "nullable": pd.array([1, None, 3], dtype="Int64"),
    "flag": pd.array([True, None, False], dtype="boolean"),
    "period": pd.period_range("2020", periods=3, freq="M"),
    "interval": pd.interval_range(0, 3),
    "sparse": pd.arrays.SparseArray([0, 1, 0]),
    "arrow": pd.array(["a", None, "c"], dtype=pd.ArrowDtype(pa.string())),
    "python": pd.array(["x", None, "z"], dtype="string[python]"),
}


@pytest.fixture
def frame():
    return pd.DataFrame(COLUMNS)


def test_built_in_other_ways(frame):
    expected = digest(frame)
    assert digest(frame.copy()) == expected
    assert digest(pickle.loads(pickle.dumps(frame))) == expected
    assert digest(pd.concat([frame.iloc[:1], frame.iloc[1:]])) == expected
    one_by_one = pd.DataFrame(index=frame.index)
    for name in frame.columns:
        one_by_one[name] = frame[name]
    assert digest(one_by_one) == expected
    numbers = pd.DataFrame(np.arange(6.0).reshape(3, 2), columns=["a", "b"])
    assert digest(numbers) == digest(pd.DataFrame({"a": [0.0, 2.0, 4.0], "b": [1.0, 3.0, 5.0]}))


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_counts(frame, name):
    other = frame.copy()
    other[name] = frame[name].iloc[[1, 0, 2]].set_axis(frame.index)
    assert digest(other) != digest(frame)
    assert digest(frame[name]) == digest(frame[name].copy()) != digest(other[name])
    assert digest(frame[name].array) == digest(frame[name].copy().array)
    if name not in {"object", "sparse"}:
        assert (
            digest(pd.Index(frame[name]))
            == digest(pd.Index(frame[name].copy()))
            != digest(pd.Index(other[name]))
        )


def test_names_index_and_attributes_count(frame):
    others = [
        frame,
        frame.rename(columns={"int": "i"}),
        frame.set_axis([3, 4, 5]),
        frame.iloc[::-1],
        frame[frame.columns[::-1]],
        frame.rename_axis("n"),
        frame.set_index("int"),
        frame.set_index(["int", "text"]),
        frame.astype({"int": "int32"}),
        frame["int"],
        frame["int"].rename("j"),
        frame["int"].array,
        frame["int"].to_numpy(),
    ]
    noted = frame.copy()
    noted.attrs["from"] = "here"
    others.append(noted)
    assert len(set(map(digest, others))) == len(others)


def test_indexes():
    assert digest(pd.RangeIndex(3)) == digest(pd.Index([0, 1, 2]))
    pairs = [("a", 1), ("b", 2)]
    assert digest(pd.MultiIndex.from_tuples(pairs)) == digest(pd.MultiIndex.from_arrays([["a", "b"], [1, 2]]))
    assert digest(pd.MultiIndex.from_tuples(pairs)) != digest(pd.MultiIndex.from_tuples(pairs[::-1]))


def test_categories_count():
    values = [
        pd.Categorical(["a"], ["a", "b"]),
        pd.Categorical(["a"], ["a"]),
        pd.Categorical(["a"], ["a", "b"], ordered=True),
    ]
    assert len(set(map(digest, values))) == 3


def test_what_lies_under_a_mask_does_not_count():
    one = pd.arrays.IntegerArray(np.array([1, 2]), np.array([False, True]))
    assert digest(one) == digest(pd.arrays.IntegerArray(np.array([1, 9]), np.array([False, True])))


def test_texts_are_alike_in_every_storage():
    for texts in (["x", None, "zü"], ["x", "zü"], [None], []):
        python, arrow = (pd.array(texts, dtype=f"string[{storage}]") for storage in ("python", "pyarrow"))
        assert digest(python) == digest(arrow)


def test_scalars():
    values = [
        pd.Timestamp("2020"),
        pd.Timestamp("2020", tz="UTC"),
        pd.NaT,
        pd.NA,
        pd.Timedelta(1),
        pd.Period("2020"),
        None,
    ]
    assert len(set(map(digest, values))) == len(values)
    assert digest(pd.Timestamp("2020")) == digest(pd.Timestamp("2020"))


def test_the_way_to_a_culprit_in_a_frame():
    frame = pd.DataFrame({"ok": [1, 2], "bad": [1, (i for i in range(3))]})
    with pytest.raises(KeyingError, match=r"argument 'df' -> \['bad'\]\[1\] -> <generator>"):
        digest(frame, name="argument 'df'")


def test_equal_frames_of_other_parts():
    frame = pd.DataFrame({"a": [1, 2], "b": [1.5, 2.5]})
    assert digest(frame) == digest(pd.concat([frame[["a"]], frame[["b"]]], axis=1))
    assert digest(frame) == digest(frame.iloc[::-1].iloc[::-1]) == digest(frame.set_index(pd.Index([0, 1])))
    chunks = pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([[1], [2]])))
    assert digest(chunks) == digest(pd.Series([1, 2], dtype=pd.ArrowDtype(pa.int64())))
    assert digest(pd.Categorical(["a", "b"])) == digest(pd.Categorical.from_codes([0, 1], ["a", "b"]))
    assert digest(pd.DataFrame([[1, 2]], columns=["a", "a"])) != digest(
        pd.DataFrame([[2, 1]], columns=["a", "a"])
    )


def test_equal_indexes_of_other_parts():
    product = pd.MultiIndex.from_product([["a", "b"], [1, 2]])
    turned = pd.MultiIndex(levels=[["b", "a"], [2, 1]], codes=[[1, 1, 0, 0], [1, 0, 1, 0]])
    assert digest(product) == digest(turned)
    assert digest(product[:2]) == digest(pd.MultiIndex.from_product([["a"], [1, 2]]))
    days = pd.date_range("2020", periods=2)
    assert digest(days) == digest(pd.DatetimeIndex(["2020-01-01", "2020-01-02"]).as_unit(days.unit))
    zones = [None, "UTC", "Europe/Berlin"]
    assert len({digest(pd.date_range("2020", periods=2, tz=zone)) for zone in zones}) == 3
    assert digest(pd.date_range("2020", periods=2, tz="UTC")) == digest(
        pd.date_range("2020", periods=2, tz=dt.UTC)
    )


def test_what_looks_alike_but_is_not():
    texts = [pd.Series(["a", None], dtype=dtype) for dtype in ("str", "string", object, "category")]
    times = [pd.Series(pd.to_datetime(["2020"]).as_unit(unit)) for unit in ("s", "ns")]
    empty = [pd.DataFrame(), pd.DataFrame({"a": []}), pd.DataFrame(index=[1]), pd.Series(dtype=float)]
    missing = [pd.Series([none], dtype=object) for none in (None, np.nan, pd.NA, pd.NaT)]
    closed = [pd.interval_range(0, 3), pd.interval_range(0, 3, closed="left")]
    values = [*texts, *times, *empty, *missing, *closed]
    assert len(set(map(digest, values))) == len(values)


def test_subclasses_of_frames_count():
    class Frame(pd.DataFrame):
        _metadata = ("unit",)

    one, other = Frame({"a": [1]}), Frame({"a": [1]})
    one.unit, other.unit = "m", "km"
    assert len(set(map(digest, [one, other, pd.DataFrame({"a": [1]})]))) == 3


def test_the_version_of_pandas_does_not_count(frame):
    # Which of its modules a class of pandas says it is from differs from one version to the next.
    plain = frame[["int", "text", "time"]]
    assert encode([plain, plain["int"], plain.index])[1] == {}


def test_times_count_to_the_nanosecond_and_with_their_unit():
    spans = [
        pd.Timedelta(1),
        pd.Timedelta(2),
        *(pd.Timedelta("1s").as_unit(unit) for unit in ("s", "ms", "ns")),
    ]
    times = [
        pd.Timestamp(1),
        pd.Timestamp(2),
        *(pd.Timestamp("2020").as_unit(unit) for unit in ("s", "ms", "ns")),
    ]
    zoned = [time.tz_localize("UTC") for time in times]
    values = [*spans, *times, *zoned, dt.timedelta(0, 1), dt.datetime(2020, 1, 1), pd.NaT]
    assert len(set(map(digest, values))) == len(values)
    asked = pd.Timedelta("1s")
    before = digest(asked)
    assert asked.seconds == asked.components.seconds == 1
    assert digest(asked) == before
    assert list(map(digest, values)) == [digest(pickle.loads(pickle.dumps(value))) for value in values]


@pytest.mark.parametrize("value", [pd.DataFrame({"a": [1]}), pd.Series([1])], ids=["frame", "series"])
def test_whether_labels_must_be_unique_counts(value):
    unique = value.set_flags(allows_duplicate_labels=False)
    assert digest(unique) == digest(unique.copy()) != digest(value)


def test_an_index_of_one_level():
    levels = [pd.MultiIndex.from_arrays([[1]]), pd.MultiIndex.from_arrays([[2]]), pd.Index([1])]
    assert len(set(map(digest, levels))) == 3


def test_the_class_of_a_dtype_of_others_counts(load):
    source = """
        import pandas as pd
        from pandas.api.extensions import ExtensionDtype
        class Money(ExtensionDtype):
            name, type, digits = "money", float, 2
    """
    one = load(team=source).Money()
    assert "class:team:Money" in encode(one)[1]
    assert digest(one) != digest(load(team=source.replace("2", "3")).Money())
