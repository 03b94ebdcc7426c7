"""Calls of each kind, by names: the function, its arguments and what does not count."""

import functools

from tests.golden import functions
from tests.golden.functions import Colour, Fixed, Model, Point

CALLS = {
    "plain": (functions.plain, (3,), {}, ()),
    "all arguments": (functions.plain, (1, 2, 3, 4), {"flag": True, "z": 5, "a": 6}, ()),
    "keywords": (functions.plain, (), {"y": "abc", "x": 2.5}, ()),
    "ignored": (functions.plain, (1,), {"flag": True}, ("flag",)),
    "positional only": (functions.positional, (1,), {}, ()),
    "helpers and constants": (functions.helper, (2,), {}, ()),
    "decorated": (functions.decorated, (2,), {}, ()),
    "remembered": (functions.remembered, (2,), {}, ()),
    "context manager": (functions.opened, (2,), {}, ()),
    "dispatching": (functions.shown, (2,), {}, ()),
    "recursive": (functions.recursive, (5,), {}, ()),
    "formatted texts": (functions.spelled, ("a",), {}, ()),
    "branches": (functions.branching, ([1, 2],), {}, ()),
    "coroutine": (functions.awaited, (1,), {}, ()),
    "closure": (functions.adder(3), (1,), {}, ()),
    "other closure": (functions.adder(4), (1,), {}, ()),
    "lambda": (lambda x: x * functions.RATE, (1,), {}, ()),
    "partial": (functools.partial(functions.plain, 1), (2,), {"flag": True}, ()),
    "method": (Model({"a", "b"}).predict, (1,), {}, ()),
    "class method": (Model.make, ("a",), {}, ()),
    "static method": (Model.double, (1,), {}, ()),
    "class": (Point, (1.5,), {}, ()),
    "instances among the arguments": (functions.plain, ([Point(1), {"m": Model({"a"})}], Colour.RED), {}, ()),
    "functions among the arguments": (functions.plain, (functions.helper, lambda x: Fixed(x)), {}, ()),
    "what classes and decorators hold": (functions.using_tools, (1,), {}, ()),
    "a module that is handed on": (functions.importing, (1,), {}, ()),
    "standard library": (sorted, ([3, 1],), {"reverse": True}, ()),
}
