"""The code that runs when a class or a function is made: its decorators, bases, annotations, and the body of a class.

Python keeps none of it; it is compiled once more from the source.
"""

from __future__ import annotations

import ast
from copy import copy, deepcopy
from types import CodeType

from cachestore.keys.source import Decorated
from cachestore.keys.source_file import Definition, compile_tree, parse


def definition_code(node: Definition, decorated: Decorated) -> CodeType | None:
    """Compile what is evaluated when a definition is carried out, without the bodies of functions.

    Parameters
    ----------
    node
        The definition.
    decorated
        Says of a decorator whether it counts, and whether annotations do under it.

    Examples
    --------
    >>> node = ast.parse("class A(B):\\n    c: 'list[D]'\\n    def f(self): return e").body[0]
    >>> [inner.co_names for inner in definition_code(node, lambda _: "reader").co_consts if hasattr(inner, "co_names")]
    [('__name__', '__module__', '__qualname__', 'list', 'D', '__annotations__', 'f')]
    """
    if isinstance(node, ast.Lambda):
        return None
    statement = _statement(node, decorated)
    try:
        return compile_tree(ast.fix_missing_locations(ast.Module([statement], [])))
    except (SyntaxError, ValueError, RecursionError):
        # The body of a class may need the function that it stands in.
        return None


def _statement(node: ast.stmt, decorated: Decorated) -> ast.stmt:
    node = copy(node)
    if isinstance(node, ast.AnnAssign):
        node.annotation = _evaluated(node.annotation)
    elif isinstance(node, ast.ClassDef):
        node.decorator_list = _counted(node.decorator_list, decorated)
        node.body = [_statement(statement, decorated) for statement in node.body]
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        read = "reader" in map(decorated, node.decorator_list)
        node.decorator_list = _counted(node.decorator_list, decorated)
        node.returns = _evaluated(node.returns) if read and node.returns else None
        node.args = _arguments(node.args, read)
        node.body = [ast.Pass()]
    return node


def _counted(decorators: list[ast.expr], decorated: Decorated) -> list[ast.expr]:
    return [decorator for decorator in decorators if decorated(decorator) != "ours"]


def _arguments(arguments: ast.arguments, read: bool) -> ast.arguments:
    def one(argument: ast.arg) -> ast.arg:
        argument = copy(argument)
        argument.annotation = _evaluated(argument.annotation) if read and argument.annotation else None
        return argument

    arguments = copy(arguments)
    arguments.posonlyargs = list(map(one, arguments.posonlyargs))
    arguments.args = list(map(one, arguments.args))
    arguments.kwonlyargs = list(map(one, arguments.kwonlyargs))
    arguments.vararg = arguments.vararg and one(arguments.vararg)
    arguments.kwarg = arguments.kwarg and one(arguments.kwarg)
    return arguments


class _Texts(ast.NodeTransformer):
    """Reads annotations that are written as texts, as those who look at them do."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, str):
            try:
                statement = parse(node.value.strip()).body[0]
            except (SyntaxError, ValueError, IndexError):
                return node
            if isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant):
                return statement.value
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        # The texts in `Literal["a"]` and `Annotated[int, "a"]` are values.
        last = getattr(node.value, "attr", getattr(node.value, "id", ""))
        if last == "Literal":
            return node
        self.generic_visit(node)
        return node


def _evaluated(annotation: ast.expr) -> ast.expr:
    evaluated: ast.expr = _Texts().visit(deepcopy(annotation))
    return evaluated
