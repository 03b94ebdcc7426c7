"""The names that a function only fills: lists that it appends to, counters that it counts up, results that it keeps.

What a function writes and never reads is no constant of its. Were it one, every call would have another key. Nor is
what it reads, if it begins empty and nobody else writes to it: then all that is in it is what the function made.
"""

from __future__ import annotations

import ast
import dis
from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial
from operator import is_
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple, TypeGuard
from weakref import WeakKeyDictionary

from cachestore.keys.code_origin import origin_of
from cachestore.keys.own_version import class_definition_of, definition_of, module_of
from cachestore.keys.remembered import Remembered
from cachestore.keys.source_file import Definition, find_source

_CHANGING = frozenset(
    {
        "add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "extendleft", "insert",
        "intersection_update", "pop", "popitem", "popleft", "remove", "reverse", "setdefault", "sort",
        "symmetric_difference_update", "update",
    }
)  # fmt: skip
_METHODS = (FunctionType, staticmethod, classmethod, property)
_BY_CLASS = frozenset({"classmethod", "staticmethod"})
_MAKING = frozenset({"__init__", "__new__", "__post_init__", "__set_name__"})
_CONTAINERS = (list, dict, set, bytearray, deque)
_COLLECTIONS = (*_CONTAINERS[:3], deque, tuple, frozenset)

# What is made empty by calls of these; of `defaultdict` with what it makes, of `deque` with how long it may be.
_EMPTY = frozenset({"Counter", "OrderedDict", "defaultdict", "deque", "dict", "list", "set"})
# How far functions and classes are looked for in what a class collects: `{"name": (function, options)}`.
_LEVELS = 3


class _Filled(NamedTuple):
    """Holds the names that a function only changes in place, that it only assigns to, and in which it keeps results."""

    changed: frozenset[str]
    assigned: frozenset[str]
    kept: frozenset[str]


_State = tuple[frozenset[str], frozenset[str]]

_NOTHING = _Filled(frozenset(), frozenset(), frozenset())

# Code objects are no keys: two are equal wherever they were written, and only one of them may have a source.
_known: WeakKeyDictionary[FunctionType, tuple[CodeType, _Filled]] = WeakKeyDictionary()
_states: Remembered[tuple[list[Any], _State]] = Remembered()


def is_filled(function: FunctionType, name: str, value: object) -> bool:
    """Say whether a function only writes to what a name outside itself stands for, or reads only what it wrote.

    Examples
    --------
    A function whose source is not at hand fills nothing that anybody could know of.

    >>> calls = []
    >>> exec("def work(n): calls.append(n)", names := {"calls": calls})
    >>> is_filled(names["work"], "calls", calls)
    False
    """
    filled = _filled(function)
    if name in filled.kept:
        return not holds_code(value)
    return name in filled.assigned or (isinstance(value, _CONTAINERS) and name in filled.changed)


def stored_names(code: CodeType) -> frozenset[str]:
    """Return the names of the attributes that a code object, or one inside it, sets on whatever object."""
    inside = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    stored = (step.argval for step in dis.get_instructions(code) if step.opname == "STORE_ATTR")
    return frozenset(stored).union(*map(stored_names, inside))


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
        changes = set(map(id, map(_changed, nodes)))
        read = again | {
            node.attr
            for node in nodes
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and id(node) not in changes
        }
        for node in nodes:
            assigned = isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
            changed = node if assigned else _changed(node)
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


def _filled(function: FunctionType) -> _Filled:
    known = _known.get(function)
    if known is None or known[0] is not function.__code__:
        known = _known[function] = (function.__code__, _find_filled(function))
    return known[1]


def _find_filled(function: FunctionType) -> _Filled:
    definition = definition_of(function)
    if definition is None:
        return _NOTHING
    changed, assigned = _judge(definition)
    code = function.__code__
    source = find_source(code.co_filename, module_of(function), code)
    # What is in a closure, or has a name that is nobody else's, is not written to from another module.
    kept = {
        name
        for name in _written(definition)
        if (name in code.co_freevars or name.startswith("_"))
        and source is not None
        and _begins_empty(
            _scope(source.tree, definition, name) if name in code.co_freevars else source.tree,
            definition,
            name,
        )
    }
    return _Filled(changed, assigned, frozenset(kept))


def _written(tree: ast.AST) -> set[str]:
    """Return the names of other scopes that a function assigns to, and those that it may change in place."""
    nodes = list(ast.walk(tree))
    outer = {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return (outer & stored) | ({name.id for node in nodes if (name := _changed_name(node))} - stored)


def _scope(tree: ast.Module, definition: Definition, name: str) -> ast.AST:
    """Return the function around another one that a free variable is of; the module for a global."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node is not definition
        and node.lineno <= definition.lineno
        and (node.end_lineno or 0) >= (definition.end_lineno or 0)
        and any(isinstance(part, ast.Name) and part.id == name for part in _outside(node, definition))
    ]
    return max(around, key=lambda node: node.lineno, default=tree)


def _outside(scope: ast.AST, definition: Definition) -> list[ast.AST]:
    inside = set(map(id, ast.walk(definition)))
    return [node for node in ast.walk(scope) if id(node) not in inside]


def _begins_empty(scope: ast.AST, definition: Definition, name: str) -> bool:
    """Say whether all that is ever in a name, but for what a function writes, is nothing.

    Whoever else uses the name may put something into it, but for those who clear it.
    """
    begun: set[int] = set()
    cleared: set[int] = set()
    nodes = _outside(scope, definition)
    for node in nodes:
        match node:
            case ast.Assign([ast.Name() as target], value) | ast.AnnAssign(ast.Name() as target, _, value):
                if target.id == name and _is_empty(value):
                    begun.add(id(target))
            case ast.Call(ast.Attribute(ast.Name() as target, "clear"), []):
                cleared.add(id(target))
            case ast.arg(arg=found) | ast.alias(asname=found) if found == name:
                return False
    used = {id(node) for node in nodes if isinstance(node, ast.Name) and node.id == name}
    return bool(begun) and used <= begun | cleared


def _is_empty(node: ast.expr | None) -> bool:
    match node:
        case ast.Constant(value=None) | ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Call(ast.Name(id=made) | ast.Attribute(attr=made), arguments, _) if made in _EMPTY:
            options = {keyword.arg for keyword in node.keywords}
            return len(arguments) <= (made == "defaultdict") and options <= {"maxlen"}
    return False


def _judge(tree: ast.AST) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of which every use changes the thing in place, and those that are only assigned to."""
    nodes = list(ast.walk(tree))
    declared = {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    changes = [name for node in nodes if isinstance(name := _changed(node), ast.Name)]
    assigned = {
        node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }
    writing = {id(name) for name in changes}
    read = {
        node.id
        for node in nodes
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in writing
    }
    return frozenset({name.id for name in changes} - read), frozenset((assigned & declared) - read)


def _changed_name(node: ast.AST) -> ast.Name | None:
    """Return the name of what a node may change in place, whatever else it does with it."""
    target = _changed(node)
    if isinstance(node, ast.Call):
        target = _changed(ast.Expr(node))
    return target if isinstance(target, ast.Name) else None


def _changed(node: ast.AST) -> ast.expr | None:
    """Return what a node does nothing to but change it."""
    target: ast.expr
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        # `calls.append(x)` as a statement: what it returns is not looked at.
        function = node.value.func
        if not (isinstance(function, ast.Attribute) and function.attr in _CHANGING):
            return None
        target = function.value
    elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        target = node.value
    else:
        return None
    # `counts[key].append(x)` fills `counts`.
    while isinstance(target, ast.Subscript):
        target = target.value
    return target
