"""What code holds, in globals, classes and closures, as far as it counts.

What has no digest, or has a state of its own, is taken apart: containers member by member, functions by their code,
instances by that of their class. So the code in it counts, whatever it is kept in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import partial
from types import FunctionType, MappingProxyType, MethodType
from typing import Any

from cachestore.keys.beside import slots_of
from cachestore.keys.checkout import portable
from cachestore.keys.code_origin import origin_of
from cachestore.keys.constants import is_listed
from cachestore.keys.encoding import record, text
from cachestore.keys.functions import encode_loosely
from cachestore.keys.inert import INERT, is_inert
from cachestore.keys.own_version import module_of
from cachestore.keys.state import holds_code, instance_state
from cachestore.keys.walk import Refusal, Walk
from cachestore.keys.watched import ABSENT

_MAPPINGS = (dict, MappingProxyType)
_CONTAINERS = (*_MAPPINGS, list, tuple, set, frozenset, deque)
# Of more members only the classes count: nobody wrote so many down.
_MANY = 1000
# How far code is looked for in objects that have a state.
_LEVELS = 6


def encode_held(
    walk: Walk, value: Any, namespace: Mapping[str, Any], *, constants: bool = True
) -> tuple[bytes, Refusal | None]:
    """Encode a value as far as it counts, and watch whether it changes.

    Parameters
    ----------
    namespace
        The names of the module whose code holds it.
    constants
        Whether only what is nothing but its content counts by value.

    Returns
    -------
    encoding : bytes
        What counts of it.
    refusal : Refusal or None
        Says what does not; None where all of it counts.
    """
    held = _Held(constants)
    encoding = held.encode(walk, portable(value, namespace))
    if held.refusal is None:
        walk.watch_content(value, constants=constants)
    else:
        walk.watch_content(value, encoder=_Held(constants).encode)
    return encoding, held.refusal


class _Held:
    """Encodes as far as it goes, and keeps the first refusal that it met."""

    def __init__(self, constants: bool, above: set[int] | None = None) -> None:
        self._constants = constants
        # What is being taken apart: it may lead back to itself.
        self._above: set[int] = set() if above is None else above
        self.refusal: Refusal | None = None

    def encode(self, walk: Walk, value: Any) -> bytes:
        if value is ABSENT or is_inert(value):
            return INERT
        # What code carries is no state of its own, and counts by its full value.
        whole = not self._constants or isinstance(value, FunctionType | type)
        try:
            return (walk if whole else walk.of_constants()).encode(value)
        except Refusal as refused:
            refusal = refused
        if id(value) in self._above:
            return b"{above 0:"
        self._above.add(id(value))
        try:
            if not _decorates(value):
                self.refusal = self.refusal or refusal
            return self._take_apart(walk, value)
        finally:
            self._above.remove(id(value))

    def _take_apart(self, walk: Walk, value: Any) -> bytes:
        inside = partial(self.encode, walk)
        if isinstance(value, FunctionType):
            return encode_loosely(walk, value, partial(self._carried, value.__globals__))
        if isinstance(value, MethodType):
            return record("held method", inside(value.__func__), inside(value.__self__))
        if isinstance(value, partial):
            return record("held partial", *map(inside, (value.func, value.args, value.keywords)))
        members: list[bytes] = []
        if isinstance(value, _CONTAINERS) and len(value) > _MANY:
            content = value.values() if isinstance(value, _MAPPINGS) else value
            members = sorted(map(walk.encode, set(map(type, content))))
        elif isinstance(value, _MAPPINGS):
            members = sorted(record("item", inside(key), inside(member)) for key, member in value.items())
        elif isinstance(value, _CONTAINERS):
            members = list(map(inside, value))
            if isinstance(value, set | frozenset):
                members.sort()
        elif _decorates(value) or not self._constants:
            members = [text(name) + inside(content) for name, content in _given(value)]
        elif code := self._code_in(walk, value, {}):
            members = [code]
        cls = type(value)
        # Names of what Python itself puts into modules and classes differ between its versions.
        kind = INERT if origin_of(module_of(cls)).kind == "standard" else walk.encode(cls)
        return record("held", kind, *members)

    def _code_in(self, walk: Walk, value: Any, done: dict[int, bytes], level: int = 0) -> bytes:
        """Encode the functions and classes of the team in an object with a state, as a registry was given them."""
        cls = type(value)
        if isinstance(value, FunctionType | type):
            return self.encode(walk, value) if _is_ours(value) else b""
        if id(value) in done or level == _LEVELS:
            return done.get(id(value), b"")
        done[id(value)] = b""
        members: list[tuple[bytes, Any]] = []
        if isinstance(value, MethodType):
            members = [(b"", value.__func__), (b"", value.__self__)]
        elif isinstance(value, partial):
            members = [(b"", part) for part in (value.func, value.args, value.keywords)]
        elif isinstance(value, _CONTAINERS):
            if len(value) > _MANY:
                return b""
            items = value.items() if isinstance(value, _MAPPINGS) else zip(value, value, strict=True)
            members = [(_label(key), member) for key, member in items]
        elif _is_ours(cls) or is_listed(cls):
            # What methods keep there later is no part of it, unless functions are what they collect.
            state = instance_state(cls) if _is_ours(cls) else frozenset[str]()
            members = [
                (text(name), member)
                for name, member in _attributes(value).items()
                if name not in state or holds_code(member)
            ]
            members.append((b"class", cls))
        codes = [(label, self._code_in(walk, member, done, level + 1)) for label, member in members]
        found = [record("code", label, code) for label, code in codes if code]
        # In what order modules were imported decides the order of a dict, and nothing that of a set.
        ordered = isinstance(value, list | tuple | deque | MethodType | partial)
        done[id(value)] = record("codes", *(found if ordered else sorted(found))) if found else b""
        return done[id(value)]

    def _carried(self, namespace: Mapping[str, Any], walk: Walk, value: Any) -> bytes:
        encoding = _Held(False, self._above).encode(walk, portable(value, namespace))
        walk.watch_content(value, encoder=_Held(False).encode)
        return encoding


def _is_ours(value: FunctionType | type) -> bool:
    return origin_of(module_of(value)).kind == "first-party"


def _label(key: object) -> bytes:
    return text(key) if type(key) is str else b""


def _attributes(value: Any) -> dict[str, Any]:
    """Return what an object holds, in slots too."""
    return {**slots_of(value, filter(_is_ours, type(value).__mro__)), **getattr(value, "__dict__", {})}


def _given(value: Any) -> list[tuple[str, Any]]:
    """Return what an object was given: what its methods change is its state, what it took over from a function, too."""
    attributes = getattr(value, "__dict__", {})
    names = {name for name in attributes if name == "__wrapped__" or not name.startswith("__")}
    return [(name, attributes[name]) for name in sorted(names - instance_state(type(value)))]


def _decorates(value: Any) -> bool:
    """Say whether an object stands in place of a function that was given to it."""
    wrapped = getattr(value, "__dict__", {}).get("__wrapped__")
    return isinstance(wrapped, FunctionType) and not isinstance(value, FunctionType)
