"""What is made of the built-in containers: subclasses, named tuples, ordered and default dicts."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from typing import Any

from cachestore.keys.encoding import record
from cachestore.keys.walk import Encoder, Walk


def _ordered_dict(walk: Walk, value: OrderedDict[Any, Any]) -> bytes:
    return walk.members("ordereddict", value.items())


def _default_dict(walk: Walk, value: defaultdict[Any, Any]) -> bytes:
    return record(
        "defaultdict",
        walk.named(".default_factory", value.default_factory),
        walk.pairs("dict", value.items()),
    )


def _counter(walk: Walk, value: Counter[Any]) -> bytes:
    return record("counter", walk.pairs("dict", value.items()))


CONTAINERS: dict[type, Encoder] = {
    OrderedDict: _ordered_dict,
    defaultdict: _default_dict,
    Counter: _counter,
}


def encode_content(walk: Walk, value: Any) -> bytes | None:
    """Encode what an instance of a subclass of a built-in type holds as that type; None if there is none.

    The built-in methods are called on purpose: what a subclass makes of its content is its class's business,
    and the class counts beside it.
    """
    if not isinstance(value, BUILT_IN):
        return None
    if isinstance(value, OrderedDict):
        return walk.members("ordereddict", OrderedDict.items(value))
    if isinstance(value, dict):
        content = walk.pairs("dict", dict.items(value))
        return (
            record("defaultdict", walk.encode(value.default_factory), content)
            if isinstance(value, defaultdict)
            else content
        )
    if isinstance(value, list):
        return walk.members("list", list.__iter__(value))
    if isinstance(value, tuple):
        return walk.members("tuple", tuple.__iter__(value))
    if isinstance(value, set):
        return record("set", *sorted(walk.encode_each(set.__iter__(value))))
    if isinstance(value, frozenset):
        return record("frozenset", *sorted(walk.encode_each(frozenset.__iter__(value))))
    for cls, plain in _PLAIN.items():
        if isinstance(value, cls):
            return walk.encode(plain(value))
    return None


_PLAIN: dict[type, Any] = {
    int: lambda value: int.__add__(value, 0),
    float: lambda value: float.__add__(value, -0.0),
    complex: lambda value: complex(float.__add__(value.real, -0.0), value.imag),
    str: str.__str__,
    bytes: lambda value: bytes(memoryview(value)),
    bytearray: lambda value: bytearray(memoryview(value)),
}
BUILT_IN = (dict, list, tuple, set, frozenset, *_PLAIN)
