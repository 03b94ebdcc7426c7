"""What classes and their instances change on themselves: their state, which is no part of what was written.

Were counters and results that are kept to count, every call would have another key.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial
from operator import is_
from types import FunctionType, MethodType
from typing import Any, TypeGuard

from cachestore.keys.changes import changed_by
from cachestore.keys.code_origin import origin_of
from cachestore.keys.own_version import class_definition_of, module_of
from cachestore.keys.remembered import Remembered

_METHODS = (FunctionType, staticmethod, classmethod, property)
_BY_CLASS = frozenset({"classmethod", "staticmethod"})
_MAKING = frozenset({"__init__", "__new__", "__post_init__", "__set_name__"})
_COLLECTIONS = (list, dict, set, deque, tuple, frozenset)
# How far functions and classes are looked for in what a class collects: `{"name": (function, options)}`.
_LEVELS = 3

_State = tuple[frozenset[str], frozenset[str]]

_states: Remembered[tuple[list[Any], _State]] = Remembered()


def class_state(cls: type) -> frozenset[str]:
    """Return the names of the attributes of a class that its methods change on the class, as counters are.

    Where functions and classes are collected, as the subclasses are by a base class, they are there to be called.
    """
    ours = (base for base in cls.__mro__ if origin_of(module_of(base)).kind == "first-party")
    names = frozenset().union(*(_state(base)[0] for base in ours))
    return frozenset(name for name in names if not holds_code(vars(cls).get(name)))


def instance_state(cls: type) -> frozenset[str]:
    """Return the names of the attributes of an instance that methods change after it was made."""
    return frozenset().union(*(_state(base)[1] for base in cls.__mro__ if base is not object))


def _state(cls: type) -> _State:
    methods = [value for value in vars(cls).values() if isinstance(value, _METHODS)]
    known = _states.get(cls)
    if known is None or len(known[0]) != len(methods) or not all(map(is_, known[0], methods)):
        known = (methods, _find_state(cls))
        _states.set(cls, known)
    return known[1]


def _find_state(cls: type) -> _State:
    definition, _ = class_definition_of(cls)
    of_class: set[str] = set()
    of_instance: set[str] = set()
    configured: set[str] = set()
    for method in definition.body if definition else ():
        if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        # What is set on a subclass while it is made is what it is.
        if method.name == "__init_subclass__":
            continue
        receiver = method.args.args[0].arg if method.args.args else ""
        by_class = any(getattr(node, "id", "") in _BY_CLASS for node in method.decorator_list)
        nodes = list(ast.walk(method))
        again = {node.target.attr for node in nodes if _counts_on(node)}
        changes = set(map(id, map(changed_by, nodes)))
        read = again | {
            node.attr
            for node in nodes
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and id(node) not in changes
        }
        for node in nodes:
            assigned = isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
            changed = node if assigned else changed_by(node)
            if not isinstance(changed, ast.Attribute):
                continue
            of_receiver = getattr(changed.value, "id", None) == receiver
            # `self.known[key] = value` may fill what the whole class shares.
            if _is_class(changed.value, cls.__name__) or (of_receiver and not assigned):
                # `Options.set(depth=3)` tells a class once what it is from then on, and never looks at what it was.
                (configured if by_class and changed.attr not in read else of_class).add(changed.attr)
            if of_receiver and method.name not in _MAKING:
                of_instance.add(changed.attr)
    return frozenset(of_class - configured), frozenset(of_instance)


def _counts_on(node: ast.AST) -> TypeGuard[Any]:
    return isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute)


def _is_class(node: ast.expr, name: str) -> bool:
    """Say whether an expression in a method stands for its class: `cls`, `type(self)`, its name."""
    if isinstance(node, ast.Name):
        return node.id in {"cls", name}
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "type"
    return isinstance(node, ast.Attribute) and node.attr == "__class__"


def holds_code(value: Any, level: int = 0) -> bool:
    """Say whether functions or classes of the team are collected in a container."""
    if isinstance(value, MethodType):
        value = value.__func__
    if isinstance(value, FunctionType | type):
        return level > 0 and origin_of(module_of(value)).kind == "first-party"
    if isinstance(value, partial):
        return level > 0
    if level == _LEVELS or not isinstance(value, _COLLECTIONS):
        return False
    members: Iterable[Any] = value.values() if isinstance(value, Mapping) else value
    made = getattr(value, "default_factory", None)
    return any(holds_code(member, level + 1) for member in (made, *members))
