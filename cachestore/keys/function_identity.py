"""The identity of a function: its name, and the version of all the code that it reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary

from cachestore.keys.declared import (
    NOTHING,
    Declared,
    declared_parts,
    encode_version,
    stands_for_source,
)
from cachestore.keys.encoding import hexadecimal, named, record
from cachestore.keys.functions import memorised
from cachestore.keys.hasher import new_walk
from cachestore.keys.own_version import even_qualname, named_alike
from cachestore.keys.reach import code_parts
from cachestore.keys.rules import DELIVERED, Rules
from cachestore.keys.walk import Refusal
from cachestore.keys.watched import Watched


@dataclass(frozen=True, slots=True)
class FunctionIdentity:
    """Says which function it is, and in which version.

    Parameters
    ----------
    name
        `package.module.qualname`; `__main__.qualname` for a script or a notebook, without any path.
    version
        The digest of the parts, 64 hexadecimal digits.
    parts
        The version of each function, class, constant and package that the function reaches.
    """

    name: str
    version: str
    parts: Mapping[str, str]


def identify(function: Callable[..., Any], *, rules: Rules = DELIVERED) -> FunctionIdentity:
    """Return the identity of a function: its name, and the version of its code and of all that it reaches.

    The receiver of a bound method is one of its arguments and no part of it. What was found is remembered,
    and found anew when a function, a constant or a free variable on the way was replaced.

    Parameters
    ----------
    rules
        How code is looked at.

    Raises
    ------
    KeyingError
        If a value that the function carries (in its closure or a partial) has no stable digest.

    Examples
    --------
    >>> import json
    >>> identify(json.dumps).name
    'json.dumps'
    """
    function = plain_function(function)
    if not isinstance(function, FunctionType):
        return find_identity(function, rules)[0]
    known = _known.setdefault(function, {})
    remembered = known.get(rules)
    if remembered is None or not remembered[1].is_unchanged():
        remembered = known[rules] = find_identity(function, rules)
    return remembered[0]


_known: WeakKeyDictionary[FunctionType, dict[Rules, tuple[FunctionIdentity, Watched]]] = WeakKeyDictionary()


def plain_function(function: Any) -> Any:
    """Return what a memorised function or a bound method calls."""
    function = memorised(function) or function
    return function.__func__ if isinstance(function, MethodType) else function


def find_identity(
    function: Any, rules: Rules, declared: Declared = NOTHING
) -> tuple[FunctionIdentity, Watched]:
    """Find the identity of a function, and what knows whether it still holds.

    Raises
    ------
    KeyingError
        If a value that the function carries has no stable digest, or what was declared of it cannot be found.
    """
    walk = new_walk(rules)
    walk.ignored[None] = declared.ignore_globals
    walk.counted += declared.depends_on
    name = name_of(function)
    try:
        if stands_for_source(function, declared):
            encoding = encode_version(walk, function, declared)
        else:
            encoding = walk.encode(function)
        # What else can be called (a partial) may hold what is changed in place.
        walk.watch_content(function)
        files = declared_parts(walk, function, declared)
        parts = {**code_parts(walk), **files}
    except Refusal as refusal:
        raise refusal.error(f"function {name}") from refusal.__cause__
    identity = FunctionIdentity(name, hexadecimal(record("identity", encoding, *named(parts))), parts)
    return identity, walk.watched


def name_of(function: Any) -> str:
    """Return the name that a function goes by: without any path, so that it is the same everywhere."""
    while not hasattr(function, "__qualname__") and hasattr(function, "func"):
        function = function.func
    if not hasattr(function, "__qualname__"):
        function = type(function)
    owner = getattr(function, "__objclass__", function)  # a method of a built-in class knows its class only
    return f"{named_alike(getattr(owner, '__module__', None) or 'builtins')}.{even_qualname(function.__qualname__)}"
