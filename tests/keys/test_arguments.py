"""Binding: one call has one set of arguments, however it is spelled."""

import functools
import inspect

import pytest

from cachestore.keys import bind


def scale(x, y=2, /, z=3, *rest, flag=False, **more):
    return x


def plain(a, b=2):
    return a


def surplus(kwargs, /, *, args=1, **options):
    return kwargs


class Model:
    def predict(self, x):
        return x

    @classmethod
    def make(cls, x=1):
        return cls


def test_spellings_of_one_call_are_one():
    assert bind(plain, (1,), {}) == bind(plain, (), {"a": 1}) == bind(plain, (1, 2), {}) == {"a": 1, "b": 2}
    assert list(bind(plain, (), {"b": 3, "a": 1})) == ["a", "b"]


def test_every_kind_of_parameter():
    assert bind(scale, (1,), {}) == {"x": 1, "y": 2, "z": 3, "flag": False, "rest": (), "more": {}}
    bound = bind(scale, (1, 5, 6, 7), {"flag": True, "w": 8})
    assert bound == {"x": 1, "y": 5, "z": 6, "flag": True, "rest": (7,), "more": {"w": 8}}


def test_surplus_keywords_cannot_be_taken_for_parameters():
    bound = bind(surplus, (1,), {"kwargs": 2, "options": 3})
    assert bound == {"kwargs": 1, "args": 1, "options": {"kwargs": 2, "options": 3}}


def test_the_receiver_is_an_argument():
    model = Model()
    assert bind(model.predict, (1,), {}) == {"self": model, "x": 1}
    assert bind(Model.make, (), {}) == {"cls": Model, "x": 1}


def test_ignored_names_are_left_out():
    assert bind(plain, (1,), {}, ignore=["b"]) == {"a": 1}
    assert bind(scale, (1, 2, 3, 4), {"w": 1}, ignore=["*", "**", "flag"]) == {"x": 1, "y": 2, "z": 3}


@pytest.mark.parametrize(
    ("ignore", "words"), [(["c"], "'c' is not defined for function plain"), ("a", "list of names")]
)
def test_an_ignored_name_that_is_none(ignore, words):
    with pytest.raises(ValueError, match=words):
        bind(plain, (1,), {}, ignore=ignore)


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (plain, (), {}),
        (plain, (1, 2, 3), {}),
        (plain, (1,), {"a": 1}),
        (plain, (1,), {"c": 1}),
        (scale, (), {"x": 1}),
        (surplus, (), {}),
        (Model().predict, (), {}),
    ],
)
def test_calls_that_do_not_fit(function, args, kwargs):
    with pytest.raises(TypeError):
        function(*args, **kwargs)
    with pytest.raises(TypeError, match=function.__name__):
        bind(function, args, kwargs)


def test_what_a_decorator_wraps_says_what_it_takes():
    @functools.wraps(plain)
    def wrapper(*args, **kwargs):
        return plain(*args, **kwargs)

    assert bind(wrapper, (1,), {}) == {"a": 1, "b": 2}


def test_replaced_defaults_are_seen():
    def changing(a=1):
        return a

    assert bind(changing, (), {}) == {"a": 1}
    changing.__defaults__ = (2,)
    assert bind(changing, (), {}) == {"a": 2}


def test_built_in_functions():
    assert bind(len, ([],), {}) == {"obj": []}
    with pytest.raises(ValueError):
        inspect.signature(dict)
    assert bind(dict, (1,), {"a": 2}) == {"*": (1,), "**": {"a": 2}}
    assert bind(functools.partial(plain, b=5), (1,), {}) == {"a": 1, "b": 5}
