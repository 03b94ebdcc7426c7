"""A call as it is written, taken to its key."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from cachestore.keys.arguments import bind
from cachestore.keys.call_key import CallKey, call_key
from cachestore.keys.function_identity import identify
from cachestore.keys.hasher import digest_with_parts
from cachestore.keys.surroundings import configured_here

AMBIENT = "(surroundings)"
"""Stands among the names of arguments for what surrounds a call; no parameter can have this name."""


def key_of_call(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    ignore: Collection[str] = (),
    ambient: object = None,
) -> CallKey:
    """Return the key of a call, and the digests that it is made of.

    Parameters
    ----------
    ignore
        Names of arguments that do not tell calls apart.
    ambient
        What of the surroundings decides the result too; None is scikit-learn's configuration in this thread, for a
        function that is its own or uses it.

    Raises
    ------
    KeyingError
        If the function or an argument has no stable digest.
    TypeError
        If the function cannot be called so.

    Examples
    --------
    >>> def scale(x, factor=2.0): return x * factor
    >>> key_of_call(scale, (3,), {}).key == key_of_call(scale, (), {"x": 3, "factor": 2.0}).key
    True
    """
    identity = identify(function)
    arguments: dict[str, str] = {}
    parts: dict[str, str] = {}
    for name, value in bind(function, args, kwargs, ignore=ignore).items():
        arguments[name], inside = digest_with_parts(value, name=f"argument {name!r}")
        parts |= inside
    if ambient is None and "package:sklearn" in identity.parts:
        ambient = configured_here()
    if ambient:
        arguments[AMBIENT], _ = digest_with_parts(ambient, name="the surroundings")
    return call_key(identity, arguments, argument_parts=parts)
