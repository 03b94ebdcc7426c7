"""Functions, classes and modules among the arguments."""

import collections
import dataclasses
import enum
import functools
import math
import types

import joblib
import numpy as np

from cachestore.keys import digest, encode


def power(x, n=2):
    return x**n


class Model:
    def predict(self, x):
        return x

    def score(self, x):
        return x


def test_all_differ():
    values = [
        power, Model, Model.predict, Model.score, Model().predict, math.sqrt, math, np.sqrt, np, len, str.upper,
        functools.partial(power, n=3), functools.partial(power, n=4), functools.partial(power), [].append,
        lambda x: x, lambda x: x + 1, print, int, functools.lru_cache(power), "abc".upper, "abd".upper, np.sum,
    ]  # fmt: skip
    assert len(set(map(digest, values))) == len(values)


def test_lambdas_count_by_what_they_do():
    def make(n, by):
        return lambda x, k=by: x + n + k

    assert digest(make(1, 2)) == digest(make(1, 2))
    assert len({digest(make(1, 2)), digest(make(2, 2)), digest(make(1, 3))}) == 3


def test_functions_bring_their_code():
    assert list(encode([power])[1]) == [f"function:{__name__}:power"]
    assert encode(np.sum)[1].keys() == {"package:numpy"}
    assert encode(math.sqrt)[1] == {}


def test_a_memorised_function_is_its_function(tmp_path):
    memorised = joblib.Memory(tmp_path, verbose=0).cache(power)
    assert digest(memorised) == digest(power)
    assert digest(functools.partial(memorised, n=3)) == digest(functools.partial(power, n=3))


def test_singledispatch_counts_with_what_is_registered():
    def make(result):
        @functools.singledispatch
        def show(x):
            return 0

        show.register(int, lambda x: 1) if result == 1 else show.register(int, lambda x: 2)
        return show

    assert digest(make(1)) == digest(make(1)) != digest(make(2))


def test_classes_made_by_a_call_count_by_what_they_were_made_of():
    values = [
        enum.Enum("E", "A B"), enum.Enum("E", "A C"), enum.Enum("E", {"A": 1, "B": 3}),
        collections.namedtuple("P", "x y"), collections.namedtuple("P", "x z"),
        collections.namedtuple("P", "x y", defaults=[1]), collections.namedtuple("P", "x y", defaults=[2]),
        dataclasses.make_dataclass("D", ["a"]), dataclasses.make_dataclass("D", ["b"]),
        dataclasses.make_dataclass("D", [("a", int, 3)]), dataclasses.make_dataclass("D", [("a", int, 4)]),
        types.new_class("N", (int,)), types.new_class("N", (str,)), types.SimpleNamespace,
    ]  # fmt: skip
    assert len(set(map(digest, values))) == len(values)
    assert digest(enum.Enum("E", "A B")) == digest(enum.Enum("E", "A B"))


def test_an_anonymous_mark_in_a_closure_is_no_matter():
    def make():
        absent = object()
        return lambda x, default=absent: default is absent

    assert digest(make()) == digest(make())
