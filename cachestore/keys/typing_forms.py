"""Types that are put together: `list[int]`, `int | None`, `Literal["a"]`, whichever Python spells them."""

from __future__ import annotations

import types
import typing
from typing import Any

from cachestore.keys.encoding import record, text
from cachestore.keys.own_version import named_alike
from cachestore.keys.walk import Encoder, Walk

# Python's own way to say it: the classes behind these have other names in other versions.
_ALIAS = type(list[int])
_OPTIONAL = type(typing.Optional[int])  # noqa: UP045 - the other spelling is another class before 3.14
_TYPING = type(typing.List[int])  # noqa: UP006
_REFERENCE = typing.ForwardRef
# What a statement declares, and what of it counts beside its name: not all Pythons have all of them.
_DECLARED: dict[type, tuple[str, ...]] = {
    typing.TypeVar: ("__bound__", "__constraints__", "__covariant__", "__contravariant__"),
    typing.ParamSpec: (),
    typing.NewType: ("__supertype__",),
}
if hasattr(typing, "TypeAliasType"):
    _DECLARED[typing.TypeAliasType] = ("__value__",)


def find_encoder(cls: type) -> Encoder | None:
    """Return the rule for a type that is put together from others."""
    if issubclass(cls, types.UnionType | _OPTIONAL):
        return _union
    if cls in _DECLARED:
        return _declared
    if cls is _ALIAS:
        return _alias
    if issubclass(cls, _TYPING):
        return _typing
    return _reference if cls is _REFERENCE else None


def _declared(walk: Walk, value: Any) -> bytes:
    names = (type(value).__name__, named_alike(str(value.__module__)), value.__name__)
    parts = [walk.named(f".{name}", getattr(value, name)) for name in _DECLARED[type(value)]]
    return record("declared", *map(text, names), *parts)


def _union(walk: Walk, value: Any) -> bytes:
    # `int | str` equals `str | int`, and `Optional[int]` equals `int | None`.
    return record("union", *sorted(walk.encode(member) for member in typing.get_args(value)))


def _alias(walk: Walk, value: Any) -> bytes:
    unpacked = b"T" if getattr(value, "__unpacked__", False) else b"F"
    return record("alias", unpacked, walk.encode(value.__origin__), walk.named("", typing.get_args(value)))


def _typing(walk: Walk, value: Any) -> bytes:
    origin = typing.get_origin(value)
    if origin is typing.Union:
        return _union(walk, value)
    arguments = typing.get_args(value)
    if origin is typing.Annotated:
        return record("annotated", walk.named("", arguments))
    if origin is typing.Literal:
        return record("literal", *sorted(map(walk.encode, arguments)))
    return record("typing", walk.encode(origin), walk.named("", arguments))


def _reference(walk: Walk, value: Any) -> bytes:
    return record("forwardref", text(value.__forward_arg__))
