"""Which kind of body is for which value, and what may be read under which policy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pandas
import polars
import pyarrow
import pytest

from cachestore.blob.bodies import body_of, value_of
from cachestore.blob.body import BodyKind
from cachestore.errors import BlobError, CorruptBlob

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, BodyKind.PLAIN),
        ([1, {"a": (2.5, b"x")}], BodyKind.PLAIN),
        (numpy.arange(3), BodyKind.ARRAY),
        (numpy.float64(3), BodyKind.ARRAY),
        (pandas.DataFrame({"x": [1]}), BodyKind.ARROW),
        (pandas.Series([1]), BodyKind.ARROW),
        (pandas.RangeIndex(3), BodyKind.ARROW),
        (polars.DataFrame({"x": [1]}), BodyKind.ARROW),
        (pyarrow.table({"x": [1]}), BodyKind.ARROW),
        (1j, BodyKind.PICKLE),
        ([numpy.arange(3)], BodyKind.PICKLE),
        (numpy.array([None]), BodyKind.PICKLE),
        (pandas.DataFrame({"x": [[1]]}), BodyKind.PICKLE),
        (polars.LazyFrame({"x": [1]}), BodyKind.PICKLE),
        (pandas.Timestamp("2020"), BodyKind.PICKLE),
        (lambda: 1, BodyKind.PICKLE),
    ],
    ids=lambda value: value.name if isinstance(value, BodyKind) else type(value).__name__,
)
def test_the_kind_is_chosen_by_type(value: Any, kind: BodyKind) -> None:
    body = body_of(value)
    assert body.kind is kind
    read = value_of(int(kind), body.raw, [bytearray(buffer.raw) for buffer in body.buffers], policy="any")
    assert type(read) is type(value)


def test_what_a_package_of_another_version_does_not_have_is_for_pickle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame = polars.DataFrame({"x": [1]})
    monkeypatch.delattr(polars, "Enum")
    body = body_of(frame)
    assert body.kind is BodyKind.PICKLE
    read: Any = value_of(body.kind, body.raw, [bytearray(buffer.raw) for buffer in body.buffers])
    assert read.equals(frame)


def test_what_is_met_twice_stays_one_object() -> None:
    shared = [1]
    body = body_of([shared, shared])
    read: Any = value_of(body.kind, body.raw, [], policy="any")
    assert read[0] is read[1]


def test_a_kind_that_there_is_not_is_corrupt() -> None:
    with pytest.raises(CorruptBlob, match="kind 5"):
        value_of(5, memoryview(b""), [], policy="any")


def test_a_pickle_is_not_read_where_only_data_may_be() -> None:
    body = body_of(1j)
    assert value_of(body.kind, body.raw, [], policy="any") == 1j
    with pytest.raises(BlobError, match="is a pickle, and load_policy='data'"):
        value_of(body.kind, body.raw, [], policy="data")


# numpy and pandas import pickle themselves: what counts is that nobody finds a class through it.
READING = """
import sys

class Refused(Exception):
    pass

def watch(event, arguments):
    if event == "pickle.find_class":
        raise Refused(arguments)

sys.addaudithook(watch)
from cachestore.blob.bodies import value_of
from cachestore.errors import BlobError

for kind, raw, buffers in {bodies!r}:
    try:
        print(kind, type(value_of(kind, memoryview(raw), list(map(bytearray, buffers)), policy="data")).__name__)
    except BlobError as error:
        print(kind, "BlobError")
    if kind == 3:
        assert "pickle" not in sys.modules
        assert "numpy" not in sys.modules
"""


def test_reading_data_never_unpickles_nor_imports_what_could(tmp_path: Path) -> None:
    values = [
        {"x": [1.5] * 2000, "y": (b"x",)},
        numpy.arange(9),
        pandas.DataFrame({"a": ["x", None], "b": [1, 2]}),
        1j,
    ]
    bodies = [
        (int(kind), bytes(raw), [bytes(buffer.raw) for buffer in buffers])
        for kind, raw, buffers in map(body_of, values)
    ]
    ran = subprocess.run(
        [sys.executable, "-c", READING.format(bodies=bodies)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split("\n")[:-1] == ["3 dict", "1 ndarray", "2 DataFrame", "0 BlobError"]
