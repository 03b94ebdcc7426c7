"""Which code a piece of code reaches, and the values of the constants that it reads."""

from __future__ import annotations

import builtins
import dis
import importlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

from cachestore.keys.code_origin import origin_of, package_version
from cachestore.keys.encoding import hexadecimal, record, text
from cachestore.keys.functions import is_inert, memorised
from cachestore.keys.own_version import module_of, own_version, part_name
from cachestore.keys.source_file import functions_of
from cachestore.keys.walk import Refusal, Walk

_ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class Reference:
    """Says that code reads a name, and what it finds there now."""

    namespace: Mapping[str, Any]
    module: str
    name: str
    value: Any


def code_parts(walk: Walk) -> dict[str, str]:
    """Follow the code that a walk has met to all that it reaches; return the version of each part."""
    found: dict[str, set[bytes]] = {}
    followed: set[int] = set()
    while len(followed) < len(walk.code):
        for identity, code in list(walk.code.items()):
            if identity not in followed:
                followed.add(identity)
                found.setdefault(part_name(code), set()).add(_follow(walk, code, found))
    parts = {name: hexadecimal(record("part", *sorted(versions))) for name, versions in found.items()}
    parts.update((f"package:{package}", package_version(package)) for package in walk.packages)
    return dict(sorted(parts.items()))


def _follow(walk: Walk, code: Any, found: dict[str, set[bytes]]) -> bytes:
    if isinstance(code, ModuleType):
        return own_version(code)
    members = []
    if isinstance(code, FunctionType):
        members.append(walk.encode(code))
        functions = [code]
    else:
        members.append(own_version(code))
        members += [walk.encode(base) for base in code.__bases__]
        functions = []
        for function in functions_of(code):
            functions.append(function)
            if not function.__code__.co_qualname.startswith(code.__qualname__ + "."):
                walk.encode(function)
    bindings = set()
    for function in functions:
        for reference in references(function):
            bindings.add(_bind(walk, reference, found))
    return record("code", *members, *sorted(bindings))


def _bind(walk: Walk, reference: Reference, found: dict[str, set[bytes]]) -> bytes:
    """Take in what a name stands for; return what says of it which of the parts it is."""
    name = text(reference.name)
    value = memorised(reference.value) or reference.value
    if value is _ABSENT or is_inert(value):
        return record("name", name)
    if isinstance(value, FunctionType | type | ModuleType):
        return record("name", name, walk.encode(value) if _is_ambiguous(value) else _named(walk, value))
    try:
        encoding = walk.child(constants=True).encode(value)
    except Refusal:
        # Left out in silence for now: the keys issue warns here, naming the constant and how to include it.
        # The class of an instance counts all the same, as it holds the code that is called.
        walk.encode(type(value))
        return record("name", name)
    found.setdefault(f"constant:{reference.module}:{reference.name}", set()).add(encoding)
    return record("name", name)


def _named(walk: Walk, value: Any) -> bytes:
    walk.encode(value)
    return text(part_name(value))


def _is_ambiguous(value: Any) -> bool:
    return isinstance(value, FunctionType) and "<" in value.__code__.co_qualname


def references(function: FunctionType) -> Iterator[Reference]:
    """Give the names outside itself that a function reads, those of the functions inside it included."""
    reader = _Reader(function.__globals__, module_of(function))
    return reader.read(function.__code__, {})


class _Reader:
    """Follows names, and attributes of first-party modules, through the instructions of a function."""

    def __init__(self, namespace: dict[str, Any], module: str) -> None:
        self._namespace = namespace
        self._module = module

    def read(self, code: CodeType, local: dict[str, Any]) -> Iterator[Reference]:
        local = dict(local)
        current: ModuleType | None = None
        for instruction in dis.get_instructions(code):
            operation, argument = instruction.opname, instruction.argval
            previous, current = current, None
            if operation in {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}:
                value = local.get(argument) if operation == "LOAD_NAME" and argument in local else self._look_up(argument)
                if _is_followed(value):
                    current = value
                elif value is not None or argument in self._namespace:
                    yield Reference(self._namespace, self._module, argument, value)
            elif operation in {"LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"} and previous is not None:
                value = _attribute(previous, argument)
                if operation == "IMPORT_FROM":
                    current = previous
                if _is_followed(value):
                    current = value
                else:
                    yield Reference(vars(previous), previous.__name__, argument, value)
            elif operation == "IMPORT_NAME":
                current = self._import(argument)
            elif operation.startswith("STORE_") and previous is not None and isinstance(argument, str):
                local[argument] = previous
            elif operation.startswith("LOAD_FAST") or operation == "LOAD_DEREF":
                current = local.get(argument if isinstance(argument, str) else argument[-1])
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from self.read(constant, local)

    def _look_up(self, name: str) -> Any:
        if name in self._namespace:
            return self._namespace[name]
        return None if hasattr(builtins, name) else _ABSENT

    def _import(self, name: str) -> ModuleType | None:
        return sys.modules.get(name)


def _is_followed(value: Any) -> bool:
    return isinstance(value, ModuleType) and origin_of(value.__name__).kind == "first-party"


def _attribute(module: ModuleType, name: str) -> Any:
    return vars(module).get(name, _ABSENT)
