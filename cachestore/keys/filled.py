"""The names that a function only fills: lists that it appends to, counters that it counts up.

What a function writes and never reads is no constant of its. Were it one, every call would have another key.
"""

from __future__ import annotations

import ast
import dis
from collections import deque
from types import CodeType, FunctionType
from weakref import WeakKeyDictionary

from cachestore.keys.own_version import class_definition_of, definition_of

_CHANGING = frozenset(
    {
        "add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "extendleft", "insert",
        "intersection_update", "pop", "popitem", "popleft", "remove", "reverse", "setdefault", "sort",
        "symmetric_difference_update", "update",
    }
)  # fmt: skip
_MAKING = frozenset({"__init__", "__new__", "__post_init__", "__set_name__"})
_CONTAINERS = (list, dict, set, bytearray, deque)

# For each function its code, the names that it changes in place, and those that it assigns to. Code objects are no
# keys: two are equal wherever they were written, and only one of them may have a source.
_known: WeakKeyDictionary[FunctionType, tuple[CodeType, frozenset[str], frozenset[str]]] = WeakKeyDictionary()


def is_filled(function: FunctionType, name: str, value: object) -> bool:
    """Say whether a function only writes to what a name outside itself stands for, and never reads it.

    Examples
    --------
    A function whose source is not at hand fills nothing that anybody could know of.

    >>> calls = []
    >>> exec("def work(n): calls.append(n)", names := {"calls": calls})
    >>> is_filled(names["work"], "calls", calls)
    False
    """
    changed, assigned = _filled(function)
    return name in assigned or (isinstance(value, _CONTAINERS) and name in changed)


def stored_names(code: CodeType) -> frozenset[str]:
    """Return the names of the attributes that a code object, or one inside it, sets on whatever object."""
    inside = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    stored = (step.argval for step in dis.get_instructions(code) if step.opname == "STORE_ATTR")
    return frozenset(stored).union(*map(stored_names, inside))


def class_state(cls: type) -> frozenset[str]:
    """Return the names of the attributes of a class that its own methods change on the class, as counters are."""
    return _state(cls)[0]


def instance_state(cls: type) -> frozenset[str]:
    """Return the names of the attributes of an instance that methods change after it was made."""
    return frozenset().union(*(_state(base)[1] for base in cls.__mro__ if base is not object))


def _state(cls: type) -> tuple[frozenset[str], frozenset[str]]:
    definition, _ = class_definition_of(cls)
    of_class: set[str] = set()
    of_instance: set[str] = set()
    for method in definition.body if definition else ():
        if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        receiver = method.args.args[0].arg if method.args.args else ""
        for node in ast.walk(method):
            assigned = isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
            changed = node if assigned else _changed(node)
            if not isinstance(changed, ast.Attribute):
                continue
            of_receiver = getattr(changed.value, "id", None) == receiver
            # `self.known[key] = value` may fill what the whole class shares.
            if _is_class(changed.value, cls.__name__) or (of_receiver and not assigned):
                of_class.add(changed.attr)
            if of_receiver and method.name not in _MAKING:
                of_instance.add(changed.attr)
    return frozenset(of_class), frozenset(of_instance)


def _is_class(node: ast.expr, name: str) -> bool:
    """Say whether an expression in a method stands for its class: `cls`, `type(self)`, its name."""
    if isinstance(node, ast.Name):
        return node.id in {"cls", name}
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "type"
    return isinstance(node, ast.Attribute) and node.attr == "__class__"


def _filled(function: FunctionType) -> tuple[frozenset[str], frozenset[str]]:
    known = _known.get(function)
    if known is None or known[0] is not function.__code__:
        definition = definition_of(function)
        judged = _judge(definition) if definition is not None else (frozenset[str](), frozenset[str]())
        known = _known[function] = (function.__code__, *judged)
    return known[1:]


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
