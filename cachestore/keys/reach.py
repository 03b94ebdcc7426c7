"""Which code a piece of code reaches, and the values of the constants that it reads."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING
from enum import Enum, EnumType
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from cachestore.keys.code_origin import origin_of, package_version
from cachestore.keys.declared import declared_of, encode_declared
from cachestore.keys.definition_code import definition_code
from cachestore.keys.encoding import hexadecimal, record, text
from cachestore.keys.filled import is_filled
from cachestore.keys.functions import carried, memorised
from cachestore.keys.held import encode_held
from cachestore.keys.inert import is_inert
from cachestore.keys.mentions import mention_left_out
from cachestore.keys.own_version import (
    class_definition_of,
    decorators_in,
    definition_of,
    even_qualname,
    is_known_by_name,
    module_of,
    namespace_of,
    own_version,
    part_name,
)
from cachestore.keys.references import Reference, references, references_in
from cachestore.keys.remembered import Remembered
from cachestore.keys.rules import Rules
from cachestore.keys.source_file import Definition, functions_of, is_written_in
from cachestore.keys.standard_names import standard_name
from cachestore.keys.state import class_state, holds_code
from cachestore.keys.walk import Walk
from cachestore.keys.watched import ABSENT, Watched

Found = dict[str, set[bytes]]

# Looked at as the functions that they are made of.
_METHODS = (FunctionType, staticmethod, classmethod, property, cached_property)


class _Reached(NamedTuple):
    """Holds what one piece of code reaches, and knows whether it still does."""

    found: Found
    packages: set[str]
    parts: dict[str, str]
    watched: Watched


_known: Remembered[dict[Rules, _Reached]] = Remembered()


def code_parts(walk: Walk) -> dict[str, str]:
    """Follow the code that a walk has met to all that it reaches; return the version of each part."""
    return _parts(_found_by(walk), walk.packages, walk.rules)


def known_parts(walk: Walk) -> dict[str, str]:
    """Return the same, from what is remembered of each piece of code that a walk has met."""
    each = [_reached(walk, code) for code in walk.code.values()]
    if len(each) == 1 and not walk.packages:
        return each[0].parts
    found: Found = {}
    packages = set(walk.packages)
    for reached in each:
        packages |= reached.packages
        for name, versions in reached.found.items():
            found[name] = found.get(name, set()) | versions
    return _parts(found, packages, walk.rules)


def _reached(walk: Walk, code: Any) -> _Reached:
    known = _known.get(code)
    if known is None:
        _known.set(code, known := {})
    reached = known.get(walk.rules)
    if reached is None or not reached.watched.is_unchanged():
        own = walk.another()
        own.code[id(code)] = code
        found = _found_by(own)
        parts = _parts(found, own.packages, walk.rules)
        reached = known[walk.rules] = _Reached(found, own.packages, parts, own.watched)
    return reached


def _found_by(walk: Walk) -> Found:
    found: Found = {}
    followed: set[int] = set()
    while len(followed) < len(walk.code):
        for identity, code in list(walk.code.items()):
            if identity not in followed:
                followed.add(identity)
                # Two closures may have one name: the part is all of them.
                found.setdefault(part_name(code), set()).add(_follow(walk, code, found))
    return found


def _parts(found: Found, packages: Iterable[str], rules: Rules) -> dict[str, str]:
    parts = {name: hexadecimal(record("part", *sorted(versions))) for name, versions in found.items()}
    parts.update(
        (f"package:{package}", package_version(package, rules.fineness(package))) for package in packages
    )
    return dict(sorted(parts.items()))


def _follow(walk: Walk, code: Any, found: Found) -> bytes:
    if isinstance(code, ModuleType):
        return record("code", own_version(code), *_content_of(walk, code, found))
    if isinstance(code, FunctionType):
        encoding, _ = encode_held(walk, code, code.__globals__)
        made = _made(walk, definition_of(code), code.__globals__, module_of(code), found)
        return record("code", own_version(code), encoding, *_bindings(walk, [code], found), *made)
    return record("code", own_version(code), *_members(walk, code, found))


def _members(walk: Walk, cls: type, found: Found) -> Iterator[bytes]:
    """Encode what a class is made of and holds."""
    namespace = namespace_of(cls)
    yield from map(walk.encode, cls.__bases__)
    yield from _attributes(walk, cls, namespace)
    written = []
    for function in functions_of(cls):
        if is_written_in(function, cls):
            written.append(function)
            walk.watched.function(function)
            yield text(even_qualname(function.__qualname__))
            for label, content in carried(walk, function):
                yield text(label) + encode_held(walk, content, namespace, constants=False)[0]
        elif _comes_from_elsewhere(walk, function):
            yield encode_held(walk, function, function.__globals__)[0]
    yield from _bindings(walk, written, found)
    yield from _made(walk, class_definition_of(cls)[0], namespace, module_of(cls), found)


def _comes_from_elsewhere(walk: Walk, function: FunctionType) -> bool:
    """Say whether a method was written by the team outside the class, and not generated from the class."""
    generated = function.__code__.co_filename.startswith("<") and function.__name__.startswith("__")
    return not generated and origin_of(module_of(function), walk.rules).kind == "first-party"


def _attributes(walk: Walk, cls: type, namespace: Mapping[str, Any]) -> Iterator[bytes]:
    """Encode what a class holds besides methods, which may be computed or set from outside its body."""
    walk.watched.size(vars(cls))
    if type(cls) is not type:
        yield walk.encode(type(cls))
    state = class_state(cls)
    for name, value in sorted(vars(cls).items()):
        if name in state:
            # Once functions or classes are collected there it is none.
            walk.watched.content(value, _collects, "state")
            continue
        if name.startswith("__") and not isinstance(value, FunctionType):
            continue
        walk.watched.name(vars(cls), name, value)
        # What an enum holds differs between versions of Python; its members are looked at by their names.
        if not (name.startswith("__") or isinstance(value, _METHODS) or issubclass(cls, Enum)):
            yield text(name) + encode_held(walk, value, namespace)[0]
    for name, field in sorted(getattr(cls, "__dataclass_fields__", {}).items()):
        for given in (field.default, field.default_factory):
            if given is not MISSING:
                yield text(name) + encode_held(walk, given, namespace)[0]
    if isinstance(cls, EnumType):
        # `Enum("Colour", "RED BLUE")` has no source of its own that would show its members.
        members: Mapping[str, Any] = cls.__members__
        for name, member in members.items():
            yield text(name) + encode_held(walk, member._value_, namespace)[0]


def _collects(value: Any) -> bytes:
    return b"code" if holds_code(value) else b""


def _content_of(walk: Walk, module: ModuleType, found: Found) -> list[bytes]:
    """Encode all that a module holds, for whoever is given the module itself may use any of it."""
    namespace = vars(module)
    walk.watched.size(namespace)
    names = [name for name in namespace if not (name.startswith("__") and name.endswith("__"))]
    references = [Reference(namespace, module.__name__, name, namespace[name]) for name in names]
    return _bound(walk, references, found, mention=False)


def _made(
    walk: Walk, node: Definition | None, namespace: Mapping[str, Any], module: str, found: Found
) -> list[bytes]:
    """Encode what decorators, annotations and the body of a class read when a definition is carried out."""
    code = definition_code(node, decorators_in(namespace)) if node is not None else None
    if code is None:
        return []
    references = references_in(code, namespace, module, walk)
    # A name of the function that the definition stands in is none of the module.
    there = (reference for reference in references if reference.value is not ABSENT)
    return _bound(walk, there, found, mention=False)


def _bindings(walk: Walk, functions: list[FunctionType], found: Found) -> list[bytes]:
    """Say which of the parts each name in the code is: two helpers that change places are a change."""
    bindings = set()
    for function in functions:
        ignored = walk.ignored.get(None, frozenset()) | walk.ignored.get(id(function), frozenset())
        read = []
        for reference in references(function, walk):
            if reference.namespace is function.__globals__ and is_filled(
                function, reference.name, reference.value
            ):
                bindings.add(record("name", text(reference.name)))
            elif ignored.isdisjoint((reference.name, f"{reference.module}.{reference.name}")):
                read.append(reference)
        bindings.update(_bound(walk, read, found))
    return sorted(bindings)


def _bound(walk: Walk, references: Iterable[Reference], found: Found, *, mention: bool = True) -> list[bytes]:
    bindings = set()
    for reference in references:
        namespace, name = reference.namespace, reference.name
        walk.watched.name(namespace, name, namespace.get(name, ABSENT))
        bindings.add(_bind(walk, reference, found, mention))
    return sorted(bindings)


def _bind(walk: Walk, reference: Reference, found: Found, mention: bool) -> bytes:
    name = text(reference.name)
    declared = declared_of(reference.value)
    value = memorised(reference.value) or reference.value
    if declared is not None:
        return record("name", name, encode_declared(walk, value, declared))
    if value is ABSENT or is_inert(value):
        return record("name", name)
    standard = standard_name(value)
    if standard is not None:
        return record("name", name, text(standard))
    encoding, refusal = encode_held(walk, value, reference.namespace)
    if isinstance(value, FunctionType | type | ModuleType):
        # By its name, where that is enough: then its version stands in one part only.
        named = isinstance(value, ModuleType) or is_known_by_name(value)
        return record("name", name, text(part_name(value)) if named else encoding)
    if refusal is not None and mention and not (walk.counts_already(value) or _is_stream(value)):
        mention_left_out(reference.module, reference.name, value, refusal)
    found.setdefault(f"constant:{reference.module}:{reference.name}", set()).add(encoding)
    return record("name", name)


def _is_stream(value: object) -> bool:
    # What holds its content itself is data.
    return isinstance(value, io.IOBase) and not hasattr(value, "getvalue")
