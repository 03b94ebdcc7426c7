"""Functions, classes and modules among the arguments."""

import functools
import math

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
