"""Functions, classes and modules as values: by their name and, where they are the team's own, by what they do."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import (
    BuiltinFunctionType,
    CellType,
    FunctionType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)
from typing import Any

from cachestore.keys.code_origin import origin_of
from cachestore.keys.encoding import record, text
from cachestore.keys.own_version import module_of, own_version, part_name
from cachestore.keys.walk import Encoder, Walk


def memorised(value: Any) -> FunctionType | None:
    """Return the function behind a memorised one, which is nothing of its own."""
    if isinstance(value, FunctionType | type):
        return None
    func = getattr(value, "func", None)
    if isinstance(func, FunctionType) and getattr(value, "__wrapped__", None) is not None:
        return func
    return None


def encode_function(walk: Walk, value: FunctionType) -> bytes:
    """Encode a function by its name, its source, its defaults and its closure; its code is noted to be followed."""
    origin = origin_of(module_of(value))
    name = text(part_name(value))
    wrapped = getattr(value, "__wrapped__", None)
    if origin.kind == "package":
        walk.packages.add(origin.package)
    if origin.kind != "first-party":
        if wrapped is not None:
            # What a foreign decorator keeps for itself (caches, locks) is its own business, what it wraps is not.
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
        version = own_version(value)
    members = [
        walk.named(f" -> {value.__name__} -> defaults", list(value.__defaults__ or ())),
        walk.named(f" -> {value.__name__} -> defaults", dict(value.__kwdefaults__ or {})),
    ]
    for variable, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
        members += [text(variable), _cell(walk, f" -> {value.__name__} -> {variable}", cell)]
    if wrapped is not None:
        members.append(walk.named(" -> __wrapped__", wrapped))
    return record("function", name, version, *members)


def _cell(walk: Walk, step: str, cell: CellType) -> bytes:
    try:
        content = cell.cell_contents
    except ValueError:
        return b"{unset 0:"
    return b"{inert 0:" if is_inert(content) else walk.named(step, content)


def is_inert(value: object) -> bool:
    """Say whether a value is a tool of the process, such as a logger or a lock, and no part of what is computed."""
    return type(value).__module__ in {"logging", "_thread", "threading"}


def encode_class(walk: Walk, value: type) -> bytes:
    """Encode a class by its name; its code is noted to be followed."""
    origin = origin_of(value.__module__)
    if origin.kind == "package":
        walk.packages.add(origin.package)
    elif origin.kind == "first-party":
        walk.code[id(value)] = value
        if "<" in value.__qualname__:
            # Many classes may have this name, and the parts of the key are told apart by names.
            return record("class", text(part_name(value)), own_version(value))
    return record("class", text(part_name(value)))


def _module(walk: Walk, value: ModuleType) -> bytes:
    origin = origin_of(value.__name__)
    if origin.kind == "package":
        walk.packages.add(origin.package)
    elif origin.kind == "first-party":
        walk.code[id(value)] = value
    return record("module", text(value.__name__))


def _method(walk: Walk, value: MethodType) -> bytes:
    return record("method", walk.encode(value.__func__), walk.named(".__self__", value.__self__))


def _builtin(walk: Walk, value: BuiltinFunctionType) -> bytes:
    owner = value.__self__
    if owner is None or isinstance(owner, ModuleType):
        module = value.__module__ or getattr(owner, "__name__", "builtins")
        origin = origin_of(module)
        if origin.kind == "package":
            walk.packages.add(origin.package)
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
    return record("wrapper", encode_class(walk, type(value)), walk.named(" -> __wrapped__", value.__wrapped__))


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
