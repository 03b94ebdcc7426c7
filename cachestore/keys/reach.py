"""Which code a piece of code reaches, and the values of the constants that it reads."""

from __future__ import annotations

import io
from collections.abc import Mapping
from enum import Enum, EnumType
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any

from cachestore.keys.code_origin import origin_of, package_version
from cachestore.keys.declared import declared_of, encode_declared
from cachestore.keys.encoding import hexadecimal, record, text
from cachestore.keys.filled import is_filled
from cachestore.keys.functions import encode_carried, is_inert, memorised
from cachestore.keys.mentions import mention_left_out
from cachestore.keys.own_version import module_of, own_version, part_name
from cachestore.keys.references import Reference, references
from cachestore.keys.scalars import LEAVES
from cachestore.keys.source_file import functions_of, is_written_in
from cachestore.keys.walk import Refusal, Walk
from cachestore.keys.watched import ABSENT

Found = dict[str, set[bytes]]

# Looked at as the functions that they are made of.
_METHODS = (FunctionType, staticmethod, classmethod, property, cached_property)


def code_parts(walk: Walk) -> dict[str, str]:
    """Follow the code that a walk has met to all that it reaches; return the version of each part."""
    found: Found = {}
    followed: set[int] = set()
    while len(followed) < len(walk.code):
        for identity, code in list(walk.code.items()):
            if identity not in followed:
                followed.add(identity)
                # Two closures may have one name: the part is all of them.
                found.setdefault(part_name(code), set()).add(_follow(walk, code, found))
    parts = {name: hexadecimal(record("part", *sorted(versions))) for name, versions in found.items()}
    parts.update(
        (f"package:{package}", package_version(package, walk.rules.fineness(package)))
        for package in walk.packages
    )
    return dict(sorted(parts.items()))


def _follow(walk: Walk, code: Any, found: Found) -> bytes:
    if isinstance(code, ModuleType):
        return own_version(code)
    if isinstance(code, FunctionType):
        return record("code", walk.encode(code), *_bindings(walk, [code], found))
    members = [
        own_version(code), *map(walk.encode, code.__bases__), *_attributes(walk, code), *_made_of(walk, code)
    ]  # fmt: skip
    written = []
    for function in functions_of(code):
        if is_written_in(function, code):
            written.append(function)
            walk.watched.function(function)
            members += _carried_by(walk, function)
        elif _comes_from_elsewhere(walk, function):
            members.append(walk.encode(function))
    return record("code", *members, *_bindings(walk, written, found))


def _comes_from_elsewhere(walk: Walk, function: FunctionType) -> bool:
    """Say whether a method was written by the team outside the class, and not generated from the class."""
    generated = function.__code__.co_filename.startswith("<")
    return not generated and origin_of(module_of(function), walk.rules).kind == "first-party"


def _carried_by(walk: Walk, method: FunctionType) -> list[bytes]:
    try:
        return [text(method.__qualname__), *encode_carried(walk, method)]
    except Refusal:
        # A class that was made around a connection is reached all the same: its code counts.
        return [text(method.__qualname__)]


def _attributes(walk: Walk, cls: type) -> list[bytes]:
    """Encode what a class holds besides methods, which may be computed or set from outside its body."""
    members = []
    if type(cls) is not type:
        members.append(walk.encode(type(cls)))
    for name, value in sorted(vars(cls).items()):
        if name.startswith("__"):
            if isinstance(value, FunctionType):
                walk.watched.name(vars(cls), name, value)
            continue
        walk.watched.name(vars(cls), name, value)
        # What an enum holds differs between versions of Python; its members are looked at by their names.
        if not (isinstance(value, _METHODS) or issubclass(cls, Enum)):
            members.append(text(name) + _held(walk, value))
    for name, field in sorted(getattr(cls, "__dataclass_fields__", {}).items()):
        members.append(text(name) + _held(walk, field.default) + _held(walk, field.default_factory))
    return members


def _held(walk: Walk, value: Any) -> bytes:
    """Encode what a class holds: by value where that is all, else by the code of its class."""
    leaf = LEAVES.get(type(value))
    if leaf is not None:
        return leaf(value)
    if is_inert(value):
        return b"{inert 0:"
    try:
        encoding = walk.child(constants=True).encode(value)
        walk.watch_content(value, constants=True)
    except Refusal:
        # Names of what Python itself puts into classes differ between its versions.
        cls = type(value)
        return b"{held 0:" if origin_of(module_of(cls)).kind == "standard" else walk.encode(cls)
    return encoding


def _made_of(walk: Walk, cls: type) -> list[bytes]:
    """Encode what a class was made of by a call, `Enum("Colour", "RED BLUE")`, which no source of its own shows."""
    if isinstance(cls, EnumType):
        named: Mapping[str, Any] = cls.__members__
        parts = {name: member._value_ for name, member in named.items()}
    else:
        parts = getattr(cls, "_field_defaults", {}) if issubclass(cls, tuple) else {}
    members = []
    for name, value in parts.items():
        try:
            members.append(text(name) + walk.child(constants=True).encode(value))
        except Refusal:
            members.append(text(name))
    return members


def _bindings(walk: Walk, functions: list[FunctionType], found: Found) -> list[bytes]:
    """Say which of the parts each name in the code is: two helpers that change places are a change."""
    bindings = set()
    for function in functions:
        for reference in references(function, walk):
            if reference.namespace is function.__globals__ and is_filled(
                function, reference.name, reference.value
            ):
                bindings.add(record("name", text(reference.name)))
                continue
            if walk.leaves_out(reference.module, reference.name):
                continue
            walk.watched.name(reference.namespace, reference.name, reference.value)
            bindings.add(_bind(walk, reference, found))
    return sorted(bindings)


def _bind(walk: Walk, reference: Reference, found: Found) -> bytes:
    name = text(reference.name)
    declared = declared_of(reference.value)
    value = memorised(reference.value) or reference.value
    if declared is not None:
        return record("name", name, encode_declared(walk, value, declared))
    if value is ABSENT or is_inert(value):
        return record("name", name)
    if isinstance(value, FunctionType | type | ModuleType):
        try:
            encoding = walk.encode(value)
        except Refusal:
            # Its closure holds something without a digest: its code counts, what it holds does not.
            walk.code.pop(id(value), None)
            return record("name", name, own_version(value))
        # By its name, where that is enough: then its version stands in one part only.
        named = isinstance(value, ModuleType) or "<" not in part_name(value)
        return record("name", name, text(part_name(value)) if named else encoding)
    try:
        encoding = walk.child(constants=True).encode(value)
        walk.watch_content(value, constants=True)
    except Refusal as refusal:
        # What it holds is left out; the code of an instance counts all the same.
        walk.encode(type(value))
        wrapped = getattr(value, "__wrapped__", None)
        if isinstance(wrapped, FunctionType):
            walk.encode(wrapped)
        elif not (walk.counts_already(value) or _is_stream(value)):
            mention_left_out(reference.module, reference.name, value, refusal.reason)
        return record("name", name)
    found.setdefault(f"constant:{reference.module}:{reference.name}", set()).add(encoding)
    return record("name", name)


def _is_stream(value: object) -> bool:
    # What holds its content itself is data.
    return isinstance(value, io.IOBase) and not hasattr(value, "getvalue")
