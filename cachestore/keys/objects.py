"""Instances: by their class and their state."""

from __future__ import annotations

import copyreg
import functools
from collections.abc import Sequence
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

from cachestore.keys.code_origin import origin_of
from cachestore.keys.constants import is_constant
from cachestore.keys.containers import BUILT_IN, encode_content
from cachestore.keys.declared import declared_of, encode_declared
from cachestore.keys.encoding import record, text
from cachestore.keys.filled import stored_names
from cachestore.keys.functions import encode_class, memorised
from cachestore.keys.own_version import named_alike
from cachestore.keys.sentinels import encode_sentinel
from cachestore.keys.source_file import functions_of
from cachestore.keys.standard_names import stands_at
from cachestore.keys.stream import TEXTS, encode_stream
from cachestore.keys.walk import COLUMNS, Refusal, Walk

# What was computed from the rest and kept changes nothing: a hash of attrs; the exact version of scikit-learn in
# each estimator, whose minor one is a part of the key already; what its `Bunch` warned of, which copies forget.
_NOTES = frozenset({"_attrs_cached_hash", "_deprecated_key_to_warnings", "_sklearn_version"})
# What the state of a pydantic model consists of, beside the names of the fields that were set: two models are
# equal whether or not a default was written out.
_APART = ("__pydantic_extra__", "__pydantic_private__")
_PYDANTIC = {"__dict__", *_APART}
_TAKING_APART = frozenset({"__getstate__", "__reduce__", "__reduce_ex__"})
_NEW_OBJECT = copyreg.__newobj__  # type: ignore[attr-defined]

# The names of more attributes are not remembered: few objects share them.
_FEW = 100

_left_out: WeakKeyDictionary[type, frozenset[str]] = WeakKeyDictionary()


def encode_instance(walk: Walk, value: Any) -> bytes:
    """Encode an object that no special rule knows: by its class, its content and its state."""
    function = memorised(value) if callable(value) else None
    if function is not None:
        declared = declared_of(value)
        return encode_declared(walk, function, declared) if declared else walk.encode(function)
    if type(value) is object:
        return encode_sentinel(value)
    return _reduced(walk, value)


def encode_dask_token(walk: Walk, value: Any) -> bytes:
    """Encode an object by the token that it gives dask."""
    try:
        token = value.__dask_tokenize__()
    except Exception as error:
        raise Refusal(f"<{type(value).__qualname__}>", f"its __dask_tokenize__() failed ({error})") from error
    return record("dasktoken", encode_class(walk, type(value)), walk.named("", token))


def _reduced(walk: Walk, value: Any) -> bytes:
    """Encode an object by what pickle would rebuild it from, walked as a structure, not as a stream."""
    cls = type(value)
    reduced = _taken_apart(value)
    if isinstance(reduced, str):
        module = getattr(value, "__module__", None) or cls.__module__
        if cls.__module__ != "typing" and not stands_at(value, str(module), reduced):
            raise Refusal(f"<{cls.__qualname__}>", f"it says to be {module}.{reduced}, which it is not")
        return record("global", encode_class(walk, cls), text(named_alike(str(module))), text(reduced))
    if walk.constants and not is_constant(value):
        raise Refusal(f"<{cls.__qualname__}>", "it has a state of its own")
    fields: list[Any] = [*reduced, None, None, None]
    rebuild, arguments, state, items, pairs = fields[:5]
    content = encode_content(walk, value)
    # One stream for all of it: what comes next shows in each tag.
    stream: list[Any] = ["object", (walk.encode(cls),), content and (content,)]
    if content is None or not _reduces_as_built_in(cls):
        if not _is_plainly_made(cls, rebuild, arguments):
            stream += ["rebuilt", (walk.encode(rebuild),), len(arguments)]
            walk.put_members(stream, arguments)
        if items is not None:
            stream += ["items", (walk.members("items", items),)]
        if pairs is not None:
            stream += ["pairs", (walk.pairs("pairs", pairs),)]
    _put_state(walk, stream, cls, state)
    return encode_stream(stream)


def _taken_apart(value: Any) -> Any:
    """Return what pickle would rebuild an object from."""
    cls = type(value)
    try:
        reduce = _registered_reducer(cls)
        return reduce(value) if reduce else value.__reduce_ex__(4)
    except RecursionError:
        raise
    except Exception as error:
        raise Refusal(f"<{cls.__qualname__}>", f"it cannot be taken apart ({error})") from error


def _columns(walk: Walk, values: Sequence[Any]) -> tuple[list[Any], list[tuple[str, list[Any]]]] | None:
    """Take many instances of one class apart together, if they have one form."""
    cls = type(values[0])
    if walk.constants or cls is object or callable(values[0]) or isinstance(values[0], BUILT_IN):
        return None
    left_out = _left_out_of(cls)
    forms: set[Any] = set()
    taken: dict[int, Any] = {}
    # One that is met many times is taken apart once.
    for identity, value in {id(value): value for value in values}.items():
        try:
            reduced = taken[identity] = _taken_apart(value)
        except Refusal:
            # Walked by itself it says where it is.
            return None
        forms.add(_form(cls, reduced, left_out))
        if len(forms) > 1 or None in forms:
            return None
    apart = [taken[id(value)] for value in values]
    rebuild, arguments, state = apart[0][:3]
    encoding, names = _layout_of(cls, state)
    common: list[Any] = [(walk.encode(cls),), (encoding,)]
    columns = [(f".{name}", [reduced[2][name] for reduced in apart]) for name in names]
    if not _is_plainly_made(cls, rebuild, arguments):
        columns.append(("", [reduced[0] for reduced in apart]))
        columns += [(f"[{i}]", [reduced[1][i] for reduced in apart]) for i in range(len(arguments))]
    return common, columns


def _form(cls: type, reduced: Any, left_out: frozenset[str]) -> tuple[bool, int, frozenset[str]] | None:
    """Return what instances of one class share if they differ in nothing but their members; None for other forms."""
    if isinstance(reduced, str) or len(reduced) < 3 or any(more is not None for more in reduced[3:]):
        return None
    rebuild, arguments, state = reduced[:3]
    if type(state) is not dict or not TEXTS.issuperset(map(type, state)) or state.keys() >= _PYDANTIC:
        return None
    names = frozenset(state) - left_out
    # One that holds nothing but what it computed is alike to one that holds nothing, which has no state at all.
    return (_is_plainly_made(cls, rebuild, arguments), len(arguments), names) if names else None


def _is_plainly_made(cls: type, rebuild: Any, arguments: Any) -> bool:
    return rebuild is _NEW_OBJECT and len(arguments) == 1 and arguments[0] is cls


COLUMNS[encode_instance] = _columns


def _registered_reducer(cls: type) -> Any:
    """Return what `copyreg` knows of a type from its own package, Python or the team.

    Other packages register reducers for types that are not theirs (tblib for all exceptions): whether they were
    imported says nothing about the value.
    """
    reduce = copyreg.dispatch_table.get(cls)
    if reduce is None:
        return None
    module = getattr(reduce, "__module__", None) or ""
    foreign = (
        origin_of(module).kind == "package" and module.partition(".")[0] != cls.__module__.partition(".")[0]
    )
    return None if foreign else reduce


def _put_state(walk: Walk, stream: list[Any], cls: type, state: Any) -> None:
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict) and _has_plain_state(cls):
        attributes, slots = state
        if attributes is None or isinstance(attributes, dict):
            state = {**(attributes or {}), **slots}
    if isinstance(state, dict) and _left_out_of(cls).issuperset(state):
        state = None
    if not isinstance(state, dict):
        stream += ["state", (walk.encode(state),)]
        return
    if state.keys() >= _PYDANTIC:
        # Fields, extra ones and private ones, each under its own name; the first are a dict of the instance.
        stream.append("model")
        _put_state(walk, stream, cls, state["__dict__"])
        stream += [(walk.pairs("state", (state[name] or {}).items(), attributes=True),) for name in _APART]
        return
    if not TEXTS.issuperset(map(type, state)):
        kept = {name: member for name, member in state.items() if name not in _left_out_of(cls)}
        stream += ["pairs", (walk.pairs("state", kept, attributes=True),)]
        return
    encoding, names = _layout_of(cls, state)
    stream += ["attributes", (encoding,)]
    walk.put_members(stream, [state[name] for name in names], names, attributes=True)


def _layout_of(cls: type, state: dict[str, Any]) -> tuple[bytes, list[str]]:
    layout = _layout if len(state) <= _FEW else _layout.__wrapped__
    return layout(tuple(state), _left_out_of(cls))


@functools.lru_cache(maxsize=1000)
def _layout(names: tuple[str, ...], left_out: frozenset[str]) -> tuple[bytes, list[str]]:
    """Return the encoding of the names of attributes, which many instances share, and those that count in order."""
    kept = sorted(name for name in names if name not in left_out)
    return encode_stream([len(kept), *kept]), kept


def _left_out_of(cls: type) -> frozenset[str]:
    left_out = _left_out.get(cls)
    if left_out is None:
        left_out = _left_out[cls] = _NOTES.union(_derived(cls))
    return left_out


def _derived(cls: type) -> set[str]:
    """Return the names of cached properties, but for those that are something else too.

    A subclass may have made an attribute of one, a method may set it, and what pickle is to take may be read from it.
    """
    members = {name: member for base in cls.__mro__[::-1] for name, member in vars(base).items()}
    derived = {name for name, member in members.items() if isinstance(member, functools.cached_property)}
    if not derived:
        return derived
    for function in chain.from_iterable(map(functions_of, cls.__mro__)):
        code = function.__code__
        derived -= set(code.co_names) if function.__name__ in _TAKING_APART else stored_names(code)
    return derived


def _has_plain_state(cls: type) -> bool:
    """Say whether a pair of dicts is what Python makes of attributes and slots, or is read so."""
    own: Any = object
    return not hasattr(cls, "__setstate__") or (
        cls.__reduce_ex__ is own.__reduce_ex__
        and cls.__reduce__ is own.__reduce__
        and cls.__getstate__ is own.__getstate__
    )


def _reduces_as_built_in(cls: type) -> bool:
    for base in cls.__mro__:
        if "__reduce__" in vars(base) or "__reduce_ex__" in vars(base):
            return base.__module__ in {"builtins", "collections"}
    return True
