"""The names that a function fills: lists that it appends to, counters that it counts up.

What a function changes is no constant that it reads. Were it one, every call would have another key.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator
from types import CodeType, FunctionType
from weakref import WeakKeyDictionary

from cachestore.keys.own_version import definition_of

_CHANGING = frozenset(
    {
        "add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "extendleft", "insert",
        "intersection_update", "pop", "popitem", "popleft", "remove", "reverse", "setdefault", "sort",
        "symmetric_difference_update", "update",
    }
)  # fmt: skip
_CONTAINERS = (list, dict, set, bytearray, deque)

# For each code object the names that it changes in place, and those that it assigns to.
_known: WeakKeyDictionary[CodeType, tuple[frozenset[str], frozenset[str]]] = WeakKeyDictionary()


def is_filled(function: FunctionType, name: str, value: object) -> bool:
    """Say whether a function changes what a name outside itself stands for, in place or by assigning to it.

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


def _filled(function: FunctionType) -> tuple[frozenset[str], frozenset[str]]:
    known = _known.get(function.__code__)
    if known is None:
        node = definition_of(function)
        known = (
            (frozenset(_changed(node)), frozenset(_assigned(node))) if node else (frozenset(), frozenset())
        )
        _known[function.__code__] = known
    return known


def _changed(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _CHANGING
        ):
            yield from _name(node.func.value)
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            yield from _name(node.value)


def _assigned(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Global | ast.Nonlocal):
            yield from node.names


def _name(node: ast.expr) -> Iterator[str]:
    # `counts[key].append(x)` fills `counts`.
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id
