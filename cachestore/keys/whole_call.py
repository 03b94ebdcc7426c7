"""A call as it is written, taken to its key."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from cachestore.keys.arguments import bind
from cachestore.keys.call_key import CallKey, call_key
from cachestore.keys.function_identity import identify
from cachestore.keys.hasher import digest_with_parts


def key_of_call(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    ignore: Collection[str] = (),
    digest: Callable[..., tuple[str, dict[str, str]]] = digest_with_parts,
) -> CallKey:
    """Return the key of a call, and the digests that it is made of.

    Parameters
    ----------
    ignore
        Names of arguments that do not tell calls apart.
    digest
        Gives the digest of an argument and the code parts inside, as `digest_with_parts` does.

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
    arguments: dict[str, str] = {}
    parts: dict[str, str] = {}
    for name, value in bind(function, args, kwargs, ignore=ignore).items():
        arguments[name], inside = digest(value, name=f"argument {name!r}")
        parts |= inside
    return call_key(identify(function), arguments, argument_parts=parts)
