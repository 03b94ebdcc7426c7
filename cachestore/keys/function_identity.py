"""The identity of a function: its name, and the version of all the code that it reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cachestore.keys.encoding import hexadecimal, record, text
from cachestore.keys.functions import memorised
from cachestore.keys.hasher import new_walk
from cachestore.keys.reach import code_parts
from cachestore.keys.walk import Refusal


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
    """Return the identity of a function.

    Raises
    ------
    KeyingError
        If a value that the function carries (in its closure or a partial) has no stable digest.
    """
    function = memorised(function) or function
    walk = new_walk()
    name = name_of(function)
    try:
        encoding = walk.encode(function)
        parts = code_parts(walk)
    except Refusal as refusal:
        raise refusal.error(f"function {name}") from refusal.__cause__
    members = [text(part) + text(version) for part, version in parts.items()]
    return FunctionIdentity(name, hexadecimal(record("identity", encoding, *members)), parts)


def name_of(function: Any) -> str:
    """Return the name that a function goes by.

    Examples
    --------
    >>> import json
    >>> name_of(json.dumps)
    'json.dumps'
    """
    while not hasattr(function, "__qualname__") and hasattr(function, "func"):
        function = function.func
    if not hasattr(function, "__qualname__"):
        function = type(function)
    return f"{function.__module__ or 'builtins'}.{function.__qualname__}"
