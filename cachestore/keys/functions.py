"""Functions, classes and modules as values: by their names and, the team's own, by their code."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from types import (
    BuiltinFunctionType,
    FunctionType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)
from typing import Any

from cachestore.keys.encoding import record, text
from cachestore.keys.filled import is_filled
from cachestore.keys.inert import is_inert as is_inert  # noqa: PLC0414 - others take it from here
from cachestore.keys.own_version import OURS, module_of, own_version, part_name
from cachestore.keys.walk import Encoder, Walk
from cachestore.keys.watched import ABSENT, cell_contents


def memorised(value: Any) -> Any:
    """Return the function behind a memorised one, which does nothing of its own; None for everything else."""
    cls = type(value)
    if cls in FUNCTIONS or not any(base.__module__.partition(".")[0] in OURS for base in cls.__mro__):
        return None
    func = getattr(value, "func", None)
    return func if callable(value) and callable(func) else None


def encode_function(walk: Walk, value: FunctionType) -> bytes:
    """Encode a function by its name, source, defaults and closure; its code is noted to be followed."""
    origin = walk.origin_of(module_of(value))
    name = text(part_name(value))
    wrapped = value.__dict__.get("__wrapped__")
    if origin.kind != "first-party":
        if wrapped is not None:
            # What a foreign decorator keeps for itself (caches, locks) is its own business.
            members = [walk.named(" -> __wrapped__", wrapped)]
            if isinstance(getattr(value, "registry", None), Mapping):  # functools.singledispatch
                members.append(walk.named(" -> registry", dict(value.registry)))  # type: ignore[attr-defined]
            return record("wrapper", name, *members)
        if "<" not in value.__code__.co_qualname:
            # A function at the top of a foreign module is what its name says.
            return record("function", name)
        version = b""
    else:
        walk.code[id(value)] = value
        walk.watched.function(value)
        version = own_version(value)
    members = encode_carried(walk, value)
    if wrapped is not None:
        members.append(walk.named(" -> __wrapped__", wrapped))
    return record("function", name, version, *members)


def encode_carried(walk: Walk, value: FunctionType) -> list[bytes]:
    """Encode what a function carries besides its code: defaults, and what its free variables hold."""
    step = f" -> {value.__name__} -> "
    members = [
        record(
            "defaults", *(_carried(walk, step + "defaults", default) for default in value.__defaults__ or ())
        )
    ]
    for parameter, default in sorted((value.__kwdefaults__ or {}).items()):
        members += [text(parameter), _carried(walk, step + parameter, default)]
    members.append(encode_closure(walk, value))
    return members


def encode_closure(walk: Walk, value: FunctionType) -> bytes:
    """Encode what the free variables of a function hold."""
    members = []
    for variable, content in zip(value.__code__.co_freevars, cell_contents(value), strict=True):
        content = ABSENT if is_filled(value, variable, content) else content
        members += [text(variable), _carried(walk, f" -> {value.__name__} -> {variable}", content)]
    return record("closure", *members)


def _carried(walk: Walk, step: str, value: Any) -> bytes:
    if value is ABSENT or is_inert(value):
        return b"{inert 0:"
    encoding = walk.named(step, value)
    walk.watch_content(value)
    return encoding


def encode_class(walk: Walk, value: type) -> bytes:
    """Encode a class by its name; its code is noted to be followed."""
    # A class that was made by a call, not by a statement, may be said to be of `types`.
    made = value.__module__ == "types" and vars(types).get(value.__name__) is not value
    if made or walk.origin_of(module_of(value)).kind == "first-party":
        walk.code[id(value)] = value
        if made or "<" in value.__qualname__:
            # Many classes may have this name, and the parts of the key are told apart by names.
            return record("class", text(part_name(value)), own_version(value))
    return record("class", text(part_name(value)))


def _module(walk: Walk, value: ModuleType) -> bytes:
    if walk.origin_of(value.__name__).kind == "first-party":
        walk.code[id(value)] = value
    return record("module", text(value.__name__))


def _method(walk: Walk, value: MethodType) -> bytes:
    return record("method", walk.encode(value.__func__), walk.named(".__self__", value.__self__))


def _builtin(walk: Walk, value: BuiltinFunctionType) -> bytes:
    owner = value.__self__
    if owner is None or isinstance(owner, ModuleType):
        module = value.__module__ or getattr(owner, "__name__", "builtins")
        walk.origin_of(module)
        return record("builtin", text(module), text(value.__qualname__))
    return record("builtin", text(value.__name__), walk.named(".__self__", owner))


def _descriptor(walk: Walk, value: Any) -> bytes:
    return record("descriptor", encode_class(walk, value.__objclass__), text(value.__name__))


def _method_wrapper(walk: Walk, value: MethodWrapperType) -> bytes:
    return record("builtin", text(value.__name__), walk.named(".__self__", value.__self__))


def _partial(walk: Walk, value: functools.partial[Any]) -> bytes:
    return record(
        "partial",
        walk.named(".func", value.func),
        walk.named(".args", value.args),
        walk.named(".keywords", value.keywords),
    )


def _wrapper_object(walk: Walk, value: Any) -> bytes:
    return record(
        "wrapper", encode_class(walk, type(value)), walk.named(" -> __wrapped__", value.__wrapped__)
    )


FUNCTIONS: dict[type, Encoder] = {
    FunctionType: encode_function,
    MethodType: _method,
    BuiltinFunctionType: _builtin,
    MethodWrapperType: _method_wrapper,
    type(int.__add__): _descriptor,
    type(str.upper): _descriptor,
    type(dict.__dict__["fromkeys"]): _descriptor,
    type(FunctionType.__code__): _descriptor,
    ModuleType: _module,
    functools.partial: _partial,
    type(functools.lru_cache(len)): _wrapper_object,
}
