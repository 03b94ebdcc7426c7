"""What of a source counts: a walk of its syntax tree that skips what cannot change what the code does.

Skipped are comments, blank lines, layout, docstrings and statements without effect, positions, and
annotations where nothing reads them. Empty fields are skipped as well, and neighbouring constants of
f-strings are joined, so that one source has one digest on every Python.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

from cachestore.keys.encoding import record, text
from cachestore.keys.scalars import LEAVES

Decorated = Callable[[ast.expr], str]
"""Says of a decorator whether it is `ours` (it does not count), `blind` to annotations, or their `reader`."""

_SKIPPED = frozenset({"ctx", "kind", "type_comment", "type_ignores", "lineno", "col_offset", "end_lineno"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.Lambda)


def normalise(node: ast.AST, decorated: Decorated) -> bytes:
    """Return the encoding of a syntax tree: equal for sources that differ only in what does not count.

    Examples
    --------
    >>> plain = lambda decorator: "reader"
    >>> one = ast.parse("def f(x: int): return (x +  1)  # more")
    >>> two = ast.parse("def f(x):\\n    'Add one.'\\n    return x + 1")
    >>> normalise(one, plain) == normalise(two, plain)
    True
    """
    return _Normaliser(decorated).node(node, in_function=isinstance(node, _SCOPES))


class _Normaliser:
    def __init__(self, decorated: Decorated) -> None:
        self._decorated = decorated

    def node(self, node: ast.AST, *, in_function: bool) -> bytes:
        if isinstance(node, _FUNCTIONS):
            return self._function(node)
        if isinstance(node, ast.JoinedStr):
            return record("JoinedStr", *self._joined(node.values, in_function))
        if isinstance(node, ast.AnnAssign) and in_function:
            # Nobody can read the annotation of a local variable.
            if node.value is None:
                return record("Declared", self.node(node.target, in_function=True))
            return self._fields("Assign", {"targets": [node.target], "value": node.value}, in_function=True)
        inside = in_function
        if isinstance(node, ast.ClassDef):
            inside = False
        elif isinstance(node, ast.Lambda):
            inside = True
        return self._fields(type(node).__name__, dict(ast.iter_fields(node)), in_function=inside)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bytes:
        fields = dict(ast.iter_fields(node))
        roles = [(decorator, self._decorated(decorator)) for decorator in node.decorator_list]
        fields["decorator_list"] = [decorator for decorator, role in roles if role != "ours"]
        if all(role != "reader" for _, role in roles):
            del fields["returns"]
            fields["args"] = _without_annotations(node.args)
        return self._fields(type(node).__name__, fields, in_function=True)

    def _fields(self, tag: str, fields: dict[str, object], *, in_function: bool) -> bytes:
        members = []
        for name, value in fields.items():
            if name in _SKIPPED:
                continue
            if isinstance(value, list):
                items = _with_effect(value) if name in {"body", "orelse", "finalbody"} else value
                # An empty list says nothing; a None among others (a key of `{**d}`) does.
                if items:
                    encoded = [self._value(item, in_function) for item in items]
                    members += [text(name), record("list", *encoded)]
            elif value is not None or tag == "Constant":
                members += [text(name), self._value(value, in_function)]
        return record(tag, *members)

    def _value(self, value: object, in_function: bool) -> bytes:
        if isinstance(value, ast.AST):
            return self.node(value, in_function=in_function)
        return LEAVES[type(value)](value)

    def _joined(self, values: Iterable[ast.expr], in_function: bool) -> list[bytes]:
        members: list[bytes] = []
        constant = ""
        for value in values:
            if isinstance(value, ast.Constant):
                constant += str(value.value)
                continue
            if constant:
                members.append(text(constant))
                constant = ""
            members.append(self.node(value, in_function=in_function))
        if constant:
            members.append(text(constant))
        return members


def _with_effect(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Drop docstrings, other constants on a line of their own, and `pass`."""
    return [
        statement
        for statement in statements
        if not isinstance(statement, ast.Pass)
        and not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
    ]


def _without_annotations(arguments: ast.arguments) -> ast.arguments:
    def bare(argument: ast.arg) -> ast.arg:
        return ast.arg(arg=argument.arg)

    return ast.arguments(
        posonlyargs=[bare(argument) for argument in arguments.posonlyargs],
        args=[bare(argument) for argument in arguments.args],
        vararg=bare(arguments.vararg) if arguments.vararg else None,
        kwonlyargs=[bare(argument) for argument in arguments.kwonlyargs],
        kw_defaults=arguments.kw_defaults,
        kwarg=bare(arguments.kwarg) if arguments.kwarg else None,
        defaults=arguments.defaults,
    )
