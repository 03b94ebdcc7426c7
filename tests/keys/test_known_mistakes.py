"""What joblib 1.6 gets wrong, each right here: calls that are equal have one key, and no others."""

import collections
import functools

import numpy as np
import pandas as pd
import pytest

from cachestore.keys import KeyedFunction, digest, identify


def key(function, *args, **kwargs):
    return KeyedFunction(function).key(args, kwargs).key


class Names(dict):
    pass


@pytest.mark.parametrize(
    "make",
    [
        collections.OrderedDict,
        Names,
        collections.Counter,
        lambda items: collections.defaultdict(int, items),
        dict,
    ],
)
def test_dicts_with_mixed_keys_do_not_collide(make):
    made = [make(items) for items in ([("a", 1), (2, 3)], [("a", 1), (2, 4)], [("a", 1), (3, 3)], [(2, 3)])]
    assert len(set(map(digest, made))) == len(made)
    assert digest(made[0]) == digest(make([("a", 1), (2, 3)]))


def test_frozensets_are_the_same_in_every_process(run):
    program = "from cachestore.keys import digest; print(digest(frozenset({'a', 'b', ('c', 1), None})))"
    assert len({run(program, PYTHONHASHSEED=seed) for seed in ("0", "1", "2")}) == 1


def test_shared_members_are_as_good_as_equal_ones():
    text, inner = "".join(["a", "b"]), [1.5, "x"]
    assert digest([inner, inner]) == digest([[1.5, "x"], [1.5, "x"]])
    assert digest([text, text]) == digest(["ab", "".join(["a", "b"])])


def test_equal_frames_hit_however_they_were_built():
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4], "c": ["x", "y"]})
    grown = pd.DataFrame({"a": [1, 2]})
    grown["b"] = [3, 4]
    grown["c"] = ["x", "y"]
    pd.testing.assert_frame_equal(frame, grown)
    assert digest(frame) == digest(grown) == digest(pd.concat([frame[:1], frame[1:]]))


def test_masked_arrays_are_taken():
    masked = np.ma.array([1, 2], mask=[False, True])
    assert digest(masked) == digest(np.ma.array([1, 3], mask=[False, True])) != digest(np.ma.array([1, 2]))


def test_lambdas_are_taken():
    def apply(f, x):
        return f(x)

    keys = [key(apply, lambda x: x + 1, 1), key(apply, lambda x: x + 1, 1), key(apply, lambda x: x + 2, 1)]
    assert keys[0] == keys[1] != keys[2]


def test_positional_only_parameters_are_taken():
    def scale(x, /, by=2, *, x2=0, **rest):
        return x * by

    assert key(scale, 1) == key(scale, 1, by=2) != key(scale, 2)
    assert key(scale, 1, x=5) != key(scale, 1)


def test_methods_of_a_class_body_are_taken():
    class Model:
        def __init__(self, rate):
            self.rate = rate

        def predict(self, x):
            return self.rate * x

    assert key(Model.predict, Model(1), 2) == key(Model(1).predict, 2) == key(Model(1).predict, x=2)
    assert key(Model(1).predict, 2) != key(Model(2).predict, 2)


def test_closures_do_not_share_an_entry():
    def adder(n):
        def add(x):
            return x + n

        return add

    assert key(adder(1), 5) == key(adder(1), 5) != key(adder(100), 5)


def test_functions_of_one_name_do_not_swap_results():
    def make(which):
        if which:

            def f(x):
                return x + 1
        else:

            def f(x):
                return x - 1

        return f

    assert identify(make(True)).name == identify(make(False)).name
    assert key(make(True), 5) != key(make(False), 5)
    assert key(make(True), 5) == key(make(True), 5)


def test_a_change_behind_wraps_is_seen(load):
    source = """
        import functools

        def logged(f):
            @functools.wraps(f)
            def wrapper(*args):
                return f(*args)
            return wrapper

        @logged
        def double(x):
            return x * 2
    """
    versions = [source, source.replace("x * 2", "x * 2  # twice"), source.replace("x * 2", "x * 3")]
    versions += [source.replace("return f(*args)", "return f(*args) + 1")]
    keys = [key(load(team=version).double, 5) for version in versions]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def power(x, n):
    return x**n


def test_partials_do_not_share_a_slot():
    partials = [functools.partial(power, n=2), functools.partial(power, n=3), functools.partial(pow, exp=2)]
    assert len({key(partial, 5) for partial in partials}) == 3
    assert key(functools.partial(power, n=2), 5) == key(partials[0], 5)
    assert len(set(map(digest, partials))) == 3
