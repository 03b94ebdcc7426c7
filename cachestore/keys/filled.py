"""The names that a function only fills: lists that it appends to, counters that it counts up, results that it keeps.

What a function writes and never reads is no constant of its. Were it one, every call would have another key. Nor is
what it reads, if it begins empty and nobody else writes to it: then all that is in it is what the function made.
"""

from __future__ import annotations

import ast
import dis
from collections import deque
from types import CodeType, FunctionType
from typing import NamedTuple

from cachestore.keys.changes import changed_by
from cachestore.keys.own_version import definition_of, module_of
from cachestore.keys.remembered import Remembered
from cachestore.keys.source_file import Definition, find_source
from cachestore.keys.state import holds_code

_CONTAINERS = (list, dict, set, bytearray, deque)
# What is made empty by calls of these; of `defaultdict` with what it makes, of `deque` with how long it may be.
_EMPTY = frozenset({"Counter", "OrderedDict", "defaultdict", "deque", "dict", "list", "set"})


class _Filled(NamedTuple):
    """Holds the names that a function only changes in place, that it only assigns to, and in which it keeps results."""

    changed: frozenset[str]
    assigned: frozenset[str]
    kept: frozenset[str]


_NOTHING = _Filled(frozenset(), frozenset(), frozenset())

_known: Remembered[_Filled] = Remembered()


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


def _filled(function: FunctionType) -> _Filled:
    # By the code object itself: two are equal wherever they were written, and only one of them may have a source.
    known = _known.get(function.__code__)
    if known is None:
        _known.set(function.__code__, known := _find_filled(function))
    return known


def _find_filled(function: FunctionType) -> _Filled:
    definition = definition_of(function)
    if definition is None:
        return _NOTHING
    changed, assigned = _judge(definition)
    code = function.__code__
    free = code.co_freevars
    # What is in a closure, or has a name that is nobody else's, is not written to from another module.
    own = [name for name in _written(definition) if name in free or name.startswith("_")]
    source = find_source(code.co_filename, module_of(function), code) if own else None
    if source is None:
        return _Filled(changed, assigned, frozenset())
    scopes = {name: _scope(source.tree, definition, name) if name in free else source.tree for name in own}
    kept = (name for name, scope in scopes.items() if _begins_empty(scope, definition, name))
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
    changes = [name for node in nodes if isinstance(name := changed_by(node), ast.Name)]
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
    target = changed_by(node)
    if isinstance(node, ast.Call):
        target = changed_by(ast.Expr(node))
    return target if isinstance(target, ast.Name) else None
