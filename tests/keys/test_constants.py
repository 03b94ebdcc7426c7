"""What counts by its value where code reads it, what never counts, and what is left out with a warning."""

import argparse
import ast
import calendar
import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import inspect
import io
import ipaddress
import itertools
import json
import operator
import pathlib
import random
import re
import secrets
import statistics
import string
import struct
import textwrap
import types
import typing
import uuid
import weakref
import zoneinfo

import attrs
import dateutil.relativedelta
import dateutil.tz
import numpy as np
import packaging.version
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pydantic
import pytest
import regex
import scipy.interpolate
import scipy.sparse
import scipy.stats
import sqlalchemy
from scipy.spatial.transform import Rotation
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cachestore.keys import identify
from cachestore.keys.hasher import new_walk
from cachestore.keys.walk import Refusal


@attrs.frozen
class FrozenAttrs:
    x: int = 1


@attrs.frozen(slots=False)
class OpenFrozenAttrs:
    x: int = 1


@attrs.define
class Attrs:
    x: int = 1


class FrozenModel(pydantic.BaseModel, frozen=True):
    x: int = 1


class Model(pydantic.BaseModel):
    x: int = 1


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: object = 1


@dataclasses.dataclass
class Changing:
    x: int = 1


class Colour(enum.Enum):
    RED = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Point(typing.NamedTuple):
    x: int = 1


class Plain:
    def __init__(self):
        self.calls = 0

    def method(self):
        self.calls += 1


class Equal(Plain):
    """Says that it is its content, and that this does not change."""

    def __eq__(self, other):
        return self.calls == other.calls

    def __hash__(self):
        return hash(self.calls)


class Guarded(Equal):
    def __eq__(self, other):
        raise ValueError("not comparable")

    __hash__ = Equal.__hash__


def helper():
    pass


T, P, N = typing.TypeVar("T"), typing.ParamSpec("P"), typing.NewType("N", int)

BY_VALUE = {
    "struct": struct.Struct("<i"), "method of a struct": struct.Struct("<i").pack, "getter": operator.itemgetter(1),
    "attribute getter": operator.attrgetter("a"), "caller": operator.methodcaller("a"), "pattern": re.compile("a"),
    "method of a pattern": re.compile("a").match, "pattern of regex": regex.compile("a"), "enum": Colour.RED,
    "flags": Access.READ | Access.WRITE, "path": pathlib.Path("a"), "named tuple": Point(), "range": range(3),
    "view": types.MappingProxyType({1: 2}), "namespace": types.SimpleNamespace(a=1), "slice": slice(1),
    "partial": functools.partial(helper, 1), "partial method": functools.partialmethod(helper, 1),
    "cached": functools.lru_cache(helper), "typevar": T, "paramspec": P, "newtype": N, "optional": typing.Optional[int],  # noqa: UP045
    "alias": list[int], "union": int | str, "literal": typing.Literal["a"], "callable": typing.Callable[[int], str],
    "annotated": typing.Annotated[int, "x"], "any": typing.Any, "span": dt.timedelta(1), "date": dt.date(2020, 1, 1),
    "utc": dt.UTC, "zone": zoneinfo.ZoneInfo("Europe/Berlin"), "dateutil's zone": dateutil.tz.gettz("Europe/Berlin"),
    "dateutil's utc": dateutil.tz.tzutc(), "relative": dateutil.relativedelta.relativedelta(days=1),
    "decimal": decimal.Decimal(1), "fraction": fractions.Fraction(1, 2), "address": ipaddress.ip_address("::1"),
    "uuid": uuid.UUID(int=1), "template": string.Template("a"), "wrapper": textwrap.TextWrapper(),
    "chain": collections.ChainMap({}), "deque": collections.deque(), "user dict": collections.UserDict(),
    "encoder": json.JSONEncoder(), "arguments": argparse.Namespace(a=1), "distribution": statistics.NormalDist(),
    "calendar": calendar.Calendar(), "signature": inspect.signature(helper),
    "random function": random.random, "random method": random.shuffle, "system's random": secrets.choice,
    "numpy's random function": np.random.normal, "dtype": np.dtype("f4"), "scalar": np.float64(1), "array": np.zeros(2),
    "ufunc": np.add, "vectorised": np.vectorize(helper), "finfo": np.finfo("f4"), "index maker": np.s_,
    "polynomial": np.polynomial.Polynomial([1, 2]), "old polynomial": np.poly1d([1]), "masked": np.ma.masked,
    "index slice": pd.IndexSlice, "offset": pd.offsets.MonthEnd(2), "business days": pd.offsets.BDay(),
    "custom offset": pd.offsets.CustomBusinessDay(holidays=["2020-01-01"]), "date offset": pd.DateOffset(months=1),
    "period": pd.Period("2020"), "interval": pd.Interval(0, 1), "timestamp": pd.Timestamp("2020", tz="UTC"),
    "timedelta": pd.Timedelta(1), "grouper": pd.Grouper(key="a"), "aggregation": pd.NamedAgg("a", "b"), "nat": pd.NaT,
    "category": pd.CategoricalDtype(["a"]), "nullable": pd.Int64Dtype(), "frame": pd.DataFrame({"a": [1]}),
    "field": pa.field("a", pa.int8()), "schema": pa.schema([("a", pa.int8())]), "type": pa.list_(pa.int8()),
    "options": pyarrow.csv.ReadOptions(), "polars type": pl.Int8(), "polars enum": pl.Enum(["a"]),
    "polars schema": pl.Schema({"a": pl.List(pl.Int8)}), "sparse": scipy.sparse.csr_array([[1]]),
    "scipy's distribution": scipy.stats.norm, "frozen distribution": scipy.stats.norm(0, 1),
    "interpolation": scipy.interpolate.interp1d([0, 1], [0, 1]), "rotation": Rotation.identity(),
    "estimator": LogisticRegression(C=2), "fitted": LinearRegression().fit([[1], [2]], [1, 2]), "folds": KFold(3),
    "pipeline": make_pipeline(StandardScaler(), LinearRegression()), "scorer": make_scorer(f1_score),
    "kernel": RBF(1.0), "frozen attrs": FrozenAttrs(), "open frozen attrs": OpenFrozenAttrs(),
    "frozen model": FrozenModel(), "frozen dataclass": Frozen(), "hashed by content": Equal(),
    "expression": sqlalchemy.column("a"), "version": packaging.version.Version("1.0"),
}  # fmt: skip
LEFT_OUT = {
    "object": Plain(), "method": Plain().method, "not comparable": Guarded(), "attrs": Attrs(), "model": Model(),
    "dataclass": Changing(), "frozen around a plain one": Frozen(Plain()), "match": re.match("a", "a"),
    "random": random.Random(1), "generator": np.random.default_rng(1), "random state": np.random.RandomState(1),
    "method of a generator": np.random.default_rng(1).normal, "bits": np.random.PCG64(1),
    "weak": weakref.ref(Plain), "tree": ast.parse("a"), "context": decimal.Context(), "memory file": io.BytesIO(b"a"),
    "count": itertools.count(),
    "parser": argparse.ArgumentParser(), "stack": contextlib.ExitStack(),
    "groups": pd.DataFrame({"a": [1]}).groupby("a"), "engine": sqlalchemy.create_engine("sqlite://"),
    "plan": pl.col("a"),
}  # fmt: skip


def encode(value):
    return new_walk().of_constants().encode(value)


@pytest.mark.parametrize("name", BY_VALUE)
def test_what_is_nothing_but_its_content_counts(name):
    assert encode(BY_VALUE[name])


def test_all_of_them_differ():
    assert len(set(map(encode, BY_VALUE.values()))) == len(BY_VALUE)


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_changes_without_a_word_is_left_out(name):
    with pytest.raises(Refusal):
        encode(LEFT_OUT[name])


def test_what_draws_from_a_module_s_generator_is_the_same_in_every_process(run):
    program = """
        import random, numpy as np, scipy.stats
        from cachestore.keys import digest
        print(digest([random.random, random.shuffle, np.random.normal, scipy.stats.norm, scipy.stats.uniform(0, 1)]))
    """
    assert run(program) == run(program)


def test_looking_at_a_distribution_does_not_change_it():
    before = encode(scipy.stats.norm), encode(scipy.stats.norm(0, 1))
    frozen = scipy.stats.norm(0, 1)
    scipy.stats.norm.rvs(size=3), scipy.stats.norm.fit([1, 2, 3]), frozen.rvs(size=2), frozen.pdf(0)
    assert (encode(scipy.stats.norm), encode(frozen)) == before


@pytest.mark.parametrize(
    "source",
    [
        "from random import random",
        "from random import shuffle as random",
        "from numpy.random import normal as random",
        "from secrets import choice as random",
    ],
)
def test_functions_of_a_module_s_random_generator_are_the_same_whatever_was_drawn(load, source):
    program = source + "\ndef f(): return random()\n"
    version = identify(load(team=program).f).version
    random.random(), np.random.normal()
    assert identify(load(team=program).f).version == version
    assert (
        identify(load(team="from random import gauss as random\ndef f(): return random()").f).version
        != version
    )


def test_a_constant_that_was_changed_in_place_is_seen(load):
    team = load(
        team="from sklearn.svm import SVC\nMODEL = SVC(C=1)\ndef f(x): return MODEL.fit(x)\n",
    )
    before = identify(team.f).version
    assert identify(team.f).version == before
    team.MODEL.set_params(C=2)
    assert identify(team.f).version != before
