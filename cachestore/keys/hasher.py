"""The digest of a value: which rule encodes which type."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from cachestore.errors import KeyingError
from cachestore.keys import registered
from cachestore.keys.containers import CONTAINERS
from cachestore.keys.encoding import hexadecimal, named, record
from cachestore.keys.functions import FUNCTIONS, encode_class
from cachestore.keys.reach import known_parts
from cachestore.keys.rules import DELIVERED, Rules
from cachestore.keys.scalars import LEAVES, SMALL
from cachestore.keys.stream import KINDS, PLAIN, encode_marker
from cachestore.keys.walk import Encoder, Refusal, Walk

# Nothing but the digest of a value begins so, and another format begins in another way.
_PREFIX = b"cachestore value 1\n"

_EXACT: dict[type, Encoder] = {**CONTAINERS, **FUNCTIONS}


def new_walk(rules: Rules = DELIVERED) -> Walk:
    """Begin a walk that knows how each type is encoded."""
    return Walk(_find, rules=rules)


def digest(value: object, *, name: str = "value") -> str:
    """Return a digest that is equal for equal values, in every process and on every machine.

    Parameters
    ----------
    value
        Anything with a stable structure.
    name
        What error messages call the value.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    KeyingError
        If the value, or something in it, has no stable digest; the message names the way to it.

    Examples
    --------
    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    >>> digest([1]) == digest((1,))
    False
    """
    encoding, parts = encode(value, name=name)
    if parts:
        encoding = record("parts", encoding, *named(parts))
    return digest_of(encoding)


def digest_of(encoding: bytes) -> str:
    """Return the digest of a value of this encoding."""
    return hexadecimal(_PREFIX + encoding)


def encode(value: object, *, name: str = "value", rules: Rules = DELIVERED) -> tuple[bytes, dict[str, str]]:
    """Return the encoding of a value, which is short, and the versions of the code that it brings with it.

    The two together are what the digest of the value is made of. In a key the code stands beside the arguments.

    Parameters
    ----------
    name
        What error messages call the value.
    rules
        How code is looked at.

    Raises
    ------
    KeyingError
        If the value, or something in it, has no stable digest.
    """
    cls = type(value)
    try:
        leaf = LEAVES.get(cls)
        if leaf is not None:
            return leaf(value), {}
        small = SMALL.get(cls)
        marker = None if small is None else small(value)
        if marker is not None:
            return encode_marker(marker), {}
        walk = new_walk(rules)
        encoding = walk.encode(value)
        parts = known_parts(walk) if walk.code or walk.packages else {}
    except Refusal as refusal:
        raise refusal.error(name) from refusal.__cause__
    except (KeyingError, MemoryError):
        raise
    except Exception as error:
        # What a class makes of being looked at is not to be foreseen: its metaclass may refuse to be hashed.
        reason = f"it cannot be looked at ({type(error).__name__}: {error})"
        raise Refusal(f"<{cls.__qualname__}>", reason).error(name) from error
    return encoding, parts


def lay_out(values: Mapping[str, object]) -> dict[str, Any] | None:
    """Return what stands in a stream for values that lead nowhere, by name; None if one of them does."""
    standing: dict[str, Any] = {}
    for name, value in values.items():
        cls = type(value)
        if cls in PLAIN:
            standing[name] = value
            continue
        if cls in KINDS:
            return None
        if cls not in SMALL and cls not in registered.found:
            # A package is met here for the first time perhaps, and every key must be made in one way.
            from cachestore.keys import arrays

            arrays.find_encoder(cls)
        small = SMALL.get(cls)
        stands = None if small is None else small(value)
        if stands is None:
            return None
        standing[name] = stands
    return standing


def digest_laid_out(standing: Any) -> str:
    """Return the digest of a value by what stands in a stream for it."""
    return digest_of(encode_marker(standing)) if type(standing) is tuple else digest(standing)


def _find(cls: type) -> Encoder:
    encoder = _EXACT.get(cls) or registered.found.get(cls)
    if encoder is None:
        encoder = registered.found[cls] = _choose(cls)
    return encoder


def _choose(cls: type) -> Encoder:
    # Imported when the first type is met that is not built in: most calls never meet one.
    from cachestore.keys import (
        arrays,
        arrow,
        dask_collections,
        frames,
        live_objects,
        objects,
        polars_frames,
        queries,
        search_trees,
        sparse,
        stand_ins,
        standard,
        tensors,
        typing_forms,
    )

    if issubclass(cls, type):
        return encode_class
    said = registered.find_encoder(cls)
    if said is not None:
        return said
    for base in cls.__mro__:
        if base in FUNCTIONS:
            # Lazy modules turn into plain ones once they are used.
            return FUNCTIONS[base] if base is ModuleType else standard.derived(FUNCTIONS[base], base)
    # The first that knows a type has its rule.
    for kind in (
        stand_ins,
        standard,
        typing_forms,
        arrays,
        frames,
        arrow,
        sparse,
        search_trees,
        polars_frames,
        tensors,
        dask_collections,
        queries,
        live_objects,
    ):
        rule: Encoder | None = kind.find_encoder(cls)
        if rule is not None:
            return rule
    if hasattr(cls, "__dask_tokenize__"):
        return objects.encode_dask_token
    return objects.encode_instance
