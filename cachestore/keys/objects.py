"""Instances: by their class and their state."""

from __future__ import annotations

import copyreg
import functools
import types
from typing import Any
from weakref import WeakKeyDictionary

from cachestore.keys.containers import encode_content
from cachestore.keys.declared import declared_of, encode_declared
from cachestore.keys.encoding import record, text
from cachestore.keys.functions import encode_class, memorised
from cachestore.keys.walk import Refusal, Walk

_ONE_WAY = (
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    map,
    filter,
    zip,
)
# Modules of the standard library whose objects do not change.
_VALUES = frozenset({"ipaddress", "operator", "string", "types", "typing", "zoneinfo", "datetime"})
_NEW_OBJECT = copyreg.__newobj__  # type: ignore[attr-defined]

_left_out: WeakKeyDictionary[type, frozenset[str]] = WeakKeyDictionary()


def encode_instance(walk: Walk, value: Any) -> bytes:
    """Encode an object that no special rule knows: by its class, its content and its state."""
    function = memorised(value) if callable(value) else None
    if function is not None:
        declared = declared_of(value)
        return encode_declared(walk, function, declared) if declared else walk.encode(function)
    cls = type(value)
    if isinstance(value, _ONE_WAY):
        raise Refusal(f"<{cls.__qualname__}>", "it can be run through only once")
    return _reduced(walk, value)


def encode_own_digest(walk: Walk, value: Any) -> bytes:
    """Encode an object by what its class says of it."""
    # The name of the class only: who speaks for himself says what counts.
    cls = type(value)
    return record(
        "own",
        text(f"{cls.__module__}:{cls.__qualname__}"),
        walk.named("", _asked(value, "__cachestore_digest__")),
    )


def encode_dask_token(walk: Walk, value: Any) -> bytes:
    """Encode an object by the token that it gives dask."""
    return record("dask", encode_class(walk, type(value)), walk.named("", _asked(value, "__dask_tokenize__")))


def _asked(value: Any, method: str) -> Any:
    """Ask an object what stands for it; whatever goes wrong there, it has no digest."""
    try:
        return getattr(value, method)()
    except Exception as error:
        raise Refusal(f"<{type(value).__qualname__}>", f"its {method}() failed: {error}") from error


def _reduced(walk: Walk, value: Any) -> bytes:
    """Encode an object by what pickle would rebuild it from, walked as a structure, not as a stream."""
    cls = type(value)
    try:
        reduce = copyreg.dispatch_table.get(cls)
        reduced = reduce(value) if reduce else value.__reduce_ex__(4)
    except RecursionError:
        raise
    except Exception as error:
        raise Refusal(f"<{cls.__qualname__}>", f"it cannot be taken apart ({error})") from error
    if isinstance(reduced, str):
        module = getattr(value, "__module__", None) or cls.__module__
        return record("global", encode_class(walk, cls), text(str(module)), text(reduced))
    if walk.constants and not _is_constant(value):
        raise Refusal(f"<{cls.__qualname__}>", "it has a state of its own")
    fields: list[Any] = [*reduced, None, None, None]
    rebuild, arguments, state, items, pairs = fields[:5]
    content = encode_content(walk, value)
    members = [walk.encode(cls), content or b"N"]
    if content is None or not _reduces_as_built_in(cls):
        if rebuild is not _NEW_OBJECT or len(arguments) > 1:
            members += [walk.encode(rebuild), walk.named("", tuple(arguments))]
        if items is not None:
            members.append(walk.members("items", items))
        if pairs is not None:
            members.append(walk.pairs("pairs", pairs))
    members.append(_state(walk, cls, state))
    return record("object", *members)


def _state(walk: Walk, cls: type, state: Any) -> bytes:
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
        attributes, slots = state
        if attributes is None or isinstance(attributes, dict):
            state = {**(attributes or {}), **slots}
    if not isinstance(state, dict):
        return walk.named("", state)
    # What was computed from the rest and kept changes nothing; scikit-learn notes its exact version in the
    # state of each estimator, where the minor one is a part of the key already.
    left_out = _left_out.get(cls)
    if left_out is None:
        left_out = _left_out[cls] = frozenset({"_sklearn_version", *_derived(cls)})
    kept = {name: member for name, member in state.items() if name not in left_out}
    return walk.pairs("state", kept, attributes=True)


def _derived(cls: type) -> list[str]:
    names = {name for base in cls.__mro__ for name in vars(base)}
    return [name for name in names if isinstance(getattr(cls, name, None), functools.cached_property)]


def _reduces_as_built_in(cls: type) -> bool:
    for base in cls.__mro__:
        if "__reduce__" in vars(base) or "__reduce_ex__" in vars(base):
            return base.__module__ in {"builtins", "collections"}
    return True


def _is_constant(value: Any) -> bool:
    """Say whether an object is nothing but its content: it may stand for a constant of a module."""
    cls = type(value)
    parameters = getattr(cls, "__dataclass_params__", None)
    if parameters is not None:
        return bool(parameters.frozen)
    if isinstance(value, int | float | complex | str | bytes | tuple | frozenset | list | dict | set):
        return True
    return cls.__module__.partition(".")[0] in _VALUES
