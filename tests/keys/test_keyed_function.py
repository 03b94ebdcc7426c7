"""Keys of whole calls, by the quick way and by the long one."""

import copy
import functools
import math
from weakref import WeakKeyDictionary

import joblib.hashing
import numpy as np
import pytest
from sklearn.pipeline import _fit_transform_one

from cachestore.errors import KeyingError
from cachestore.keys import Declared, KeyedFunction, Rules, digest, scalars


def call(x, y=1, *, by=2.0):
    return x, y, by


def key(*args, **kwargs):
    return KeyedFunction(call).key(args, kwargs).key


def test_plain_calls_are_told_apart():
    calls = [
        (1,), (1.0,), (True,), ("1",), (None,), (0,), (0.0,), (-0.0,), (float("nan"),), (float("inf"),), ("",), (1, 2),
        (2, 1), (10**30,), (-1,), ("\ud800",), ("é",), ("x" * 200,), ([1],), ((1,),), ({"x": 1},), (b"1",), ([],),
        (1, [1]),
    ]  # fmt: skip
    assert len({key(*args) for args in calls}) == len(calls)


def test_calls_that_are_spelled_in_another_way_are_equal():
    assert key(1) == key(x=1) == key(1, 1) == key(y=1, x=1) == key(1, by=2.0)
    assert key([1]) == key(x=[1]) == key(by=2.0, y=1, x=[1])


def test_arguments_by_their_places_and_by_their_names_are_one_call():
    def places(z, y, /, x, c=3, *, b=2, a=1):
        return z

    def nothing():
        return None

    def starred(z, *rest, a=1):
        return z

    def key(function, *args, **kwargs):
        call = KeyedFunction(function).key(args, kwargs)
        return call.key, dict(call.arguments)

    everything = key(places, 1, 2, 3, c=3, b=2, a=1)
    assert everything == key(places, 1, 2, 3) == key(places, 1, 2, 3, 3) == key(places, 1, 2, x=3)
    assert list(everything[1]) == ["z", "y", "x", "c", "b", "a"]
    assert len({key(places, *args)[0] for args in [(1, 2, 3), (1, 3, 2), (2, 1, 3), (1, 2, 3, 4)]}) == 4
    assert key(places, 1, 2, 3)[0] != key(places, 1, 2, 3, a=2)[0]
    assert key(nothing) == key(nothing)
    assert key(starred, 1, 2)[0] != key(starred, 1)[0] != key(starred, 1, a=2)[0]
    for args in [(), (1,), (1, 2), (1, 2, 3, 4, 5)]:
        with pytest.raises(TypeError):
            key(places, *args)


def test_every_nan_is_alike():
    assert key(float("nan")) == key(-float("nan")) == key(math.inf - math.inf)


def test_digests_of_arguments_are_those_of_their_values():
    for value in (1, 1.5, "a", None, [1, 2], {"a": (1,)}):
        assert KeyedFunction(call).key((value,), {}).arguments == {
            "x": digest(value), "y": digest(1), "by": digest(2.0)
        }  # fmt: skip


def test_ignored_arguments_are_left_out():
    keyed = KeyedFunction(call, ignore=["y"])
    assert keyed.key((1, 2), {}).key == keyed.key((1, 3), {}).key != keyed.key((2, 2), {}).key
    assert set(keyed.key((1, 2), {}).arguments) == {"x", "by"}


def test_a_plain_argument_with_a_key_of_its_own():
    keyed = KeyedFunction(call, declared=Declared.of(key={"x": lambda x: x % 10}))
    assert keyed.key((1,), {}).key == keyed.key((11,), {}).key != keyed.key((2,), {}).key


def test_a_function_that_is_replaced_in_place_is_bound_anew():
    def changing(x, y=1):
        return x

    keyed = KeyedFunction(changing)
    first = keyed.key((1,), {}).key
    changing.__defaults__ = (2,)
    second = keyed.key((1,), {}).key
    assert first != second == keyed.key((1, 2), {}).key


def test_what_a_partial_holds_and_is_changed_in_place_counts():
    held = [1]
    keyed = KeyedFunction(functools.partial(call, held))
    first = keyed.key((), {}).key
    held.append(2)
    assert keyed.key((), {}).key != first


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((), {}, "missing required arguments: 'x'"),
        ((1, 2, 3), {}, "takes 2 positional arguments but 3 were given"),
        ((1,), {"x": 1}, "multiple values for argument 'x'"),
        ((1,), {"z": 1}, "unexpected keyword argument 'z'"),
    ],
)
def test_a_call_that_does_not_fit_says_so(args, kwargs, said):
    with pytest.raises(TypeError, match=said):
        KeyedFunction(call).key(args, kwargs)


def test_names_and_values_do_not_run_together():
    def one(ab, c):
        return ab, c

    def other(a, bc):
        return a, bc

    other.__code__ = other.__code__.replace(co_name="one", co_qualname=one.__qualname__)
    other.__qualname__ = one.__qualname__
    assert KeyedFunction(one).key(("x", "y"), {}).key != KeyedFunction(other).key(("x", "y"), {}).key


def test_what_changed_in_a_call_is_named():
    values = {"a": 1}
    keyed = KeyedFunction(call)
    made = keyed.key((values, 1), {})
    assert keyed.changed(made, (values, 1), {}) == []
    values["b"] = 2
    assert keyed.changed(made, (values, 1), {}) == ["x"]
    values["c"] = open
    values["d"] = (number for number in range(3))
    assert keyed.changed(made, (values, 1), {}) == ["x"]


def test_calls_with_small_arrays_are_told_apart():
    array = np.arange(128.0)
    calls = [
        array, array[:64], array.reshape(2, 64), array.reshape(64, 2), array.reshape(64, 2).T, array.astype("f4"),
        array.view("i8"), array.tobytes(), list(array), array[0], float(array[1]), array[1], [array], (array,),
        array + 1, np.arange(512.0), np.arange(513.0), np.arange(8200.0), np.arange(10_000.0), memoryview(array),
        bytearray(array), array.astype(object), np.float64("nan"), float("nan"), 3j, b"", b"a", range(3), "a", ...,
        b"a" * 4096, b"a" * 4097,
    ]  # fmt: skip
    assert len({key(value) for value in calls}) == len(calls)
    for value in calls:
        copied = memoryview(array.copy()) if type(value) is memoryview else copy.deepcopy(value)
        assert key(value) == key(copied)
        assert KeyedFunction(call).key((value,), {}).arguments["x"] == digest(value)


def test_a_key_is_what_the_arguments_were_when_it_was_made():
    array = np.arange(3)
    called = KeyedFunction(call).key((array,), {})
    array[0] = 7
    assert called.arguments["x"] == digest(np.arange(3))
    assert KeyedFunction(call).changed(called, (array,), {}) == ["x"]


def test_keys_are_the_same_before_and_after_numpy_was_met(monkeypatch):
    values = [np.arange(4.0), np.float32(1.5), np.arange(100_000.0)]
    after = list(map(key, values))
    for value, expected in zip(values, after, strict=True):
        plain = {cls: rule for cls, rule in scalars.SMALL.items() if cls in scalars.LEAVES}
        for module in ("walk", "hasher", "registered"):
            monkeypatch.setattr(f"cachestore.keys.{module}.SMALL", plain)
        monkeypatch.setattr("cachestore.keys.arrays._NUMBERS", {})
        monkeypatch.setattr("cachestore.keys.registered.found", WeakKeyDictionary())
        assert key(value) == expected


def test_an_argument_whose_class_has_no_hash_is_named(unhashable):
    with pytest.raises(KeyingError, match=r"argument 'x' -> .*it cannot be looked at"):
        KeyedFunction(lambda x, y: x).key((unhashable(), 1), {})


def test_private_functions_of_installed_packages_are_internal():
    assert KeyedFunction(_fit_transform_one).is_internal()
    assert not KeyedFunction(_fit_transform_one, rules=Rules(first_party=("sklearn",))).is_internal()

    def _own():
        pass

    for other in (joblib.hashing.hash, call, _own, len, [].append, functools.partial(call, 1)):
        assert not KeyedFunction(other).is_internal()
