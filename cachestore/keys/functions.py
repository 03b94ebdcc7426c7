"""Functions, classes and modules as values: by their names and, the team's own, by their code."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator, Mapping
from types import (
    BuiltinFunctionType,
    FunctionType,
    MethodType,
    MethodWrapperType,
    ModuleType,
)
from typing import Any

from cachestore.keys.checkout import portable
from cachestore.keys.encoding import record, text
from cachestore.keys.filled import is_filled, stored_names
from cachestore.keys.inert import INERT, is_inert
from cachestore.keys.own_version import OURS, is_known_by_name, module_of, own_version, part_name
from cachestore.keys.standard_names import named_publicly, standard_name
from cachestore.keys.walk import Encoder, Refusal, Walk
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

    def encode(label: str, content: Any) -> bytes:
        return encode_carried(
            walk, f" -> {value.__name__} -> {label.lstrip('=.')}", content, value.__globals__
        )

    return _function(walk, value, encode)


def encode_loosely(walk: Walk, value: FunctionType, encode: Encoder) -> bytes:
    """Encode a function as its like, but what it carries by an encoder that need not know all of it."""
    return _function(walk, value, lambda _, content: encode(walk, content))


def _function(walk: Walk, value: FunctionType, encode: Callable[[str, Any], bytes]) -> bytes:
    origin = walk.origin_of(module_of(value))
    if origin.kind == "standard" and (standard := standard_name(value)):
        return record("standard", text(standard))
    version = b""
    if origin.kind == "first-party":
        walk.code[id(value)] = value
        walk.watched.function(value)
        # Its version stands in a part of its own. Only of those that share a name it tells them apart.
        version = b"" if is_known_by_name(value) else own_version(value)
    members = [text(label) + encode(label, content) for label, content in carried(walk, value)]
    return record("function", text(part_name(value)), version, *members)


def carried(walk: Walk, value: FunctionType) -> Iterator[tuple[str, Any]]:
    """Give what a function carries besides its code, each under a label of its own.

    That is its defaults, what its free variables hold, what it wraps, and what was set on it from outside.
    """
    wrapped = value.__dict__.get("__wrapped__", ABSENT)
    foreign = walk.origin_of(module_of(value)).kind != "first-party"
    if foreign and wrapped is not ABSENT:
        # What a foreign decorator keeps for itself (caches, locks) is its own business.
        yield "__wrapped__", wrapped
        yield from _dispatched(walk, value)
        return
    if foreign and "<" not in value.__code__.co_qualname:
        # A function at the top of a foreign module is what its name says.
        return
    for position, default in enumerate(value.__defaults__ or ()):
        yield f"default {position}", default
    for parameter, default in sorted((value.__kwdefaults__ or {}).items()):
        yield f"={parameter}", default
    yield from free_variables(value)
    if wrapped is not ABSENT:
        yield "__wrapped__", wrapped
    yield from _attributes(walk, value)


def free_variables(value: FunctionType) -> Iterator[tuple[str, Any]]:
    """Give what the free variables of a function hold, but for those that it only fills."""
    for variable, content in zip(value.__code__.co_freevars, cell_contents(value), strict=True):
        yield variable, ABSENT if is_filled(value, variable, content) else content


def _dispatched(walk: Walk, value: FunctionType) -> Iterator[tuple[str, Any]]:
    registry = getattr(value, "registry", None)
    if isinstance(registry, Mapping):  # functools.singledispatch
        walk.watched.size(registry)
        for cls, function in registry.items():
            walk.watched.name(registry, cls, function)
        yield "registry", dict(registry)


def _attributes(walk: Walk, value: FunctionType) -> Iterator[tuple[str, Any]]:
    """Give what was set on a function, but for what it changes itself: that is its state."""
    attributes = vars(value)
    names = [name for name in attributes if not name.startswith("__")]
    if not names:
        return
    stored = stored_names(value.__code__)
    for name in sorted(names):
        if name in stored:
            continue
        walk.watched.name(attributes, name, attributes[name])
        try:
            walk.of_constants().encode(attributes[name])
        except Refusal:
            continue
        yield f".{name}", attributes[name]


def encode_carried(walk: Walk, step: str, value: Any, namespace: Mapping[str, Any]) -> bytes:
    """Encode what a function of a module carries, and watch whether it changes."""
    if value is ABSENT or is_inert(value):
        return INERT
    encoding = walk.named(step, portable(value, namespace))
    walk.watch_content(value)
    return encoding


def encode_class(walk: Walk, value: type) -> bytes:
    """Encode a class by its name; its code is noted to be followed."""
    # A class that was made by a call, not by a statement, may be said to be of `types`.
    made = value.__module__ == "types" and vars(types).get(value.__name__) is not value
    origin = walk.origin_of(module_of(value))
    if origin.kind == "standard" and (standard := standard_name(value)):
        return record("standard", text(standard))
    if made or origin.kind == "first-party":
        walk.code[id(value)] = value
        if made or not is_known_by_name(value):
            # Many classes may have this name, and the parts of the key are told apart by names.
            return record("class", text(part_name(value)), own_version(value))
    return record("class", text(part_name(value)))


def _module(walk: Walk, value: ModuleType) -> bytes:
    if walk.origin_of(value.__name__).kind == "first-party":
        walk.code[id(value)] = value
    return record("module", text(part_name(value)))


def _method(walk: Walk, value: MethodType) -> bytes:
    return record("method", walk.encode(value.__func__), walk.named(".__self__", value.__self__))


def _builtin(walk: Walk, value: BuiltinFunctionType) -> bytes:
    owner = value.__self__
    if owner is None or isinstance(owner, ModuleType):
        module = value.__module__ or getattr(owner, "__name__", "builtins")
        if walk.origin_of(module).kind == "standard" and (standard := standard_name(value)):
            return record("standard", text(standard))
        return record("builtin", *map(text, named_publicly(module, value.__qualname__)))
    return record("builtin", text(value.__name__), walk.named(".__self__", owner))


def _descriptor(walk: Walk, value: Any) -> bytes:
    return record("descriptor", encode_class(walk, value.__objclass__), text(value.__name__))


def _method_wrapper(walk: Walk, value: MethodWrapperType) -> bytes:
    return record("builtin", text(value.__name__), walk.named(".__self__", value.__self__))


def _partial(walk: Walk, value: functools.partial[Any] | functools.partialmethod[Any]) -> bytes:
    return record(
        "partial",
        encode_class(walk, type(value)),
        walk.named(".func", value.func),
        walk.named(".args", value.args),
        walk.named(".keywords", value.keywords),
    )


def _dispatching_method(walk: Walk, value: functools.singledispatchmethod[Any]) -> bytes:
    return record("dispatching", walk.named(".dispatcher", value.dispatcher), walk.named(".func", value.func))


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
    functools.partialmethod: _partial,
    functools.singledispatchmethod: _dispatching_method,
    type(functools.lru_cache(len)): _wrapper_object,
}
