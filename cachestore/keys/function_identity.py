"""The identity of a function: its name, and the version of all the code that it reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary

from cachestore.keys.encoding import hexadecimal, record, text
from cachestore.keys.functions import memorised
from cachestore.keys.hasher import new_walk
from cachestore.keys.reach import code_parts
from cachestore.keys.walk import Refusal, Walk


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


def identify(function: Callable[..., Any]) -> FunctionIdentity:
    """Return the identity of a function: its name, and the version of its code and of all that it reaches.

    The receiver of a bound method is one of its arguments and no part of it. What was found is remembered,
    and found anew when a function, a constant or a free variable on the way was replaced.

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
    function = memorised(function) or function
    if isinstance(function, MethodType):
        function = function.__func__
    if not isinstance(function, FunctionType):
        return _find(function)[0]
    known = _known.get(function)
    if known is not None and known[1].still_holds():
        return known[0]
    identity, walk = _find(function)
    fresh = new_walk()
    fresh.watched = walk.watched
    _known[function] = (identity, fresh)
    return identity


_known: WeakKeyDictionary[FunctionType, tuple[FunctionIdentity, Walk]] = WeakKeyDictionary()


def _find(function: Any) -> tuple[FunctionIdentity, Walk]:
    walk = new_walk()
    name = name_of(function)
    try:
        encoding = walk.encode(function)
        parts = code_parts(walk)
    except Refusal as refusal:
        raise refusal.error(f"function {name}") from refusal.__cause__
    members = [text(part) + text(version) for part, version in parts.items()]
    return FunctionIdentity(name, hexadecimal(record("identity", encoding, *members)), parts), walk


def name_of(function: Any) -> str:
    """Return the name that a function goes by: without any path, so that it is the same everywhere."""
    while not hasattr(function, "__qualname__") and hasattr(function, "func"):
        function = function.func
    if not hasattr(function, "__qualname__"):
        function = type(function)
    owner = getattr(function, "__objclass__", function)  # a method of a built-in class knows its class only
    return f"{getattr(owner, '__module__', None) or 'builtins'}.{function.__qualname__}"
