"""Which parts of a syntax tree change something in place, and do nothing else with it."""

from __future__ import annotations

import ast

_CHANGING = frozenset(
    {
        "add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "extendleft", "insert",
        "intersection_update", "pop", "popitem", "popleft", "remove", "reverse", "setdefault", "sort",
        "symmetric_difference_update", "update",
    }
)  # fmt: skip


def changed_by(node: ast.AST) -> ast.expr | None:
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
