"""All that can be called can be memorised, and stays what it was."""

import functools
import pickle
import sys
from types import ModuleType

import cloudpickle
import joblib
import numpy as np
import pytest

import cachestore
from cachestore import Memory, SettingsError

calls: list[object] = []

here = Memory("memory://test_wrapped", verbose=0)
nothing = Memory(None)


@pytest.fixture(autouse=True)
def forget():
    calls.clear()
    here.clear(warn=False)


@here.cache
def decorated(x):
    calls.append(x)
    return 2 * x


@nothing.cache
def transparent(x):
    return 2 * x


class Model:
    def __init__(self, factor):
        self.factor = factor

    @here.cache
    def method(self, x):
        calls.append(x)
        return self.factor * x

    @nothing.cache
    def uncached(self, x):
        return self.factor * x

    @staticmethod
    @here.cache
    def static(x):
        calls.append(x)
        return 3 * x

    @here.cache
    @staticmethod
    def static_below(x):
        calls.append(x)
        return 5 * x

    @classmethod
    @here.cache
    def of_class(cls, x):
        calls.append(x)
        return cls.__name__, x

    @here.cache(ignore=["y"])
    @classmethod
    def of_class_below(cls, x, y=None):
        calls.append(x)
        return cls.__name__, x


class Other(Model):
    pass


def test_a_method_is_told_apart_by_its_object():
    assert Model(2).method(3) == Model(2).method(x=3) == 6
    assert Model(5).method(3) == 15
    assert calls == [3, 3]


def test_what_else_a_memorised_method_can_do_knows_its_object_too():
    two, five = Model(2), Model(5)
    assert not two.method.check_call_in_cache(3)
    assert two.method.call_and_shelve(3).get() == 6
    assert two.method.check_call_in_cache(3)
    assert not five.method.check_call_in_cache(3)
    assert two.method.explain(3).reason == "hit"
    assert five.method.call(3)[0] == 15
    assert two.method.call_key(3).key == Model.method.call_key(two, 3).key
    assert two.method.__name__ == "method"
    five.method.clear(warn=False)
    assert not two.method.check_call_in_cache(3)


def test_methods_bind_without_a_cache_too():
    assert Model(2).uncached(3) == Model.uncached(Model(2), 3) == 6
    assert Model(2).uncached.call_and_shelve(3).get() == 6


@pytest.mark.parametrize("name", ["static", "static_below"])
@pytest.mark.parametrize("owner", [Model, Model(1), Other], ids=["class", "object", "subclass"])
def test_static_methods_are_memorised_above_and_below(name, owner):
    for _ in range(2):
        assert getattr(owner, name)(3) == {"static": 9, "static_below": 15}[name]
    assert calls == [3]


@pytest.mark.parametrize("name", ["of_class", "of_class_below"])
def test_class_methods_are_memorised_above_and_below(name):
    for _ in range(2):
        assert getattr(Model, name)(3) == getattr(Model(1), name)(3) == ("Model", 3)
        assert getattr(Other, name)(3) == ("Other", 3)
    assert calls == [3, 3]
    assert getattr(Model, name).check_call_in_cache(3)


def scaled(factor, x):
    calls.append(x)
    return factor * x


def test_what_a_partial_was_given_counts():
    double, triple = here.cache(functools.partial(scaled, 2)), here.cache(functools.partial(scaled, 3))
    for _ in range(2):
        assert (double(5), triple(5), double(x=5)) == (10, 15, 10)
    assert calls == [5, 5]


class Scaler:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        calls.append(x)
        return self.factor * x


def test_the_state_of_a_callable_object_counts():
    scaler = Scaler(2)
    memorised = here.cache(scaler)
    assert memorised(3) == here.cache(Scaler(2))(3) == 6
    assert here.cache(Scaler(4))(3) == 12
    assert calls == [3, 3]
    scaler.factor = 4
    assert memorised(3) == 12
    assert calls == [3, 3]


def test_what_does_not_bind_is_not_bound_by_being_memorised():
    class Holder:
        double = here.cache(functools.partial(scaled, 2))
        length = here.cache(len)
        upper = here.cache("abc".upper)

    assert Holder().double(3) == 6
    assert Holder().length([1, 2]) == 2
    assert Holder().upper() == "ABC"


def announced(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def test_a_decorated_function_has_the_parameters_of_what_it_wraps():
    @here.cache(ignore=["loudly"])
    @announced
    def double(x, loudly=False):
        calls.append(x)
        return 2 * x

    assert double(3) == double(x=3, loudly=True) == 6
    assert calls == [3]
    assert double.__wrapped__.__name__ == double.__name__ == "double"


def test_a_dispatching_function_goes_on_dispatching():
    @here.cache
    @functools.singledispatch
    def kind(x):
        calls.append(x)
        return "any"

    @kind.register
    def _(x: int):
        calls.append(x)
        return "whole"

    for _ in range(2):
        assert (kind(1), kind("a")) == ("whole", "any")
    assert calls == [1, "a"]

    @kind.register
    def _(x: str):
        return "text"

    assert kind("a") == "text"


def numbers(n):
    yield from range(n)


async def numbers_later(n):
    yield n


@pytest.mark.parametrize("function", [numbers, numbers_later])
def test_a_generator_function_is_refused_where_it_is_decorated(function):
    with pytest.raises(SettingsError, match=rf"{function.__name__} is a generator function.* return a list"):
        here.cache(function)
    with pytest.raises(SettingsError, match="generator"):
        here.cache(functools.partial(function, 3))
    assert nothing.cache(function).func is function


# ---- as an object


def test_a_memorised_function_looks_like_the_function():
    @here.cache
    def documented(x):
        """Say what it does."""

    documented.note = 3
    assert documented.__name__ == "documented"
    assert documented.__doc__ == "Say what it does."
    assert documented.__wrapped__ is documented.func
    assert documented.note == 3


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
@pytest.mark.parametrize("function", [decorated, transparent], ids=["memorised", "not memorised"])
def test_a_decorated_function_is_pickled_by_its_name(pickler, function):
    again = pickle.loads(pickler.dumps(function))
    assert again.func is function.func
    assert again.__wrapped__ is function.func
    assert again(4) == 8
    assert type(again) is type(function)


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_a_bound_method_is_pickled_with_its_object(pickler):
    again = pickle.loads(pickler.dumps(Model(7).method))
    assert again(3) == Model(7).method(3) == 21
    assert calls == [3]


def test_an_object_that_memorised_its_method_is_pickled(tmp_path):
    again = pickle.loads(pickle.dumps(Holding(tmp_path)))
    assert again.scaled(3) == 6
    assert again.scaled.check_call_in_cache(3)


class Holding:
    factor = 2

    def __init__(self, location):
        self.scaled = Memory(location, verbose=0).cache(self.scaled)

    def scaled(self, x):
        return self.factor * x


def test_a_function_of_no_module_goes_by_value_with_its_version():
    @here.cache
    def local(x):
        return x + 1

    assert local(1) == 2
    again = pickle.loads(cloudpickle.dumps(local))
    assert again.check_call_in_cache(1)


def test_a_function_that_is_gone_says_so(monkeypatch):
    pickled = pickle.dumps(decorated)
    monkeypatch.delitem(globals(), "decorated")
    with pytest.raises(AttributeError, match="no memorised function decorated"):
        pickle.loads(pickled)


def test_modules_that_go_by_value_go_so(monkeypatch):
    module = ModuleType("sent_along")
    monkeypatch.setitem(sys.modules, "sent_along", module)
    exec("def double(x):\n    return 2 * x", module.__dict__)
    module.double = here.cache(module.double)
    cloudpickle.register_pickle_by_value(module)
    try:
        pickled = cloudpickle.dumps(module.double)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    monkeypatch.delitem(sys.modules, "sent_along")
    assert pickle.loads(pickled)(3) == 6


def test_equal_ones_have_equal_hashes_of_joblib():
    assert cachestore.hash is joblib.hash
    assert joblib.hash(decorated) == joblib.hash(pickle.loads(pickle.dumps(decorated)))
    assert joblib.hash(here.cache(np.sum)) == joblib.hash(here.cache(np.sum))
