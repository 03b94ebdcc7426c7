"""Finding the syntax tree of the code that runs, and making sure that it is that of the code that runs."""

from __future__ import annotations

import ast
import linecache
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from cachestore.keys.encoding import record, text
from cachestore.keys.scalars import LEAVES

_parsing = threading.Lock()

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda


class SourceFile:
    """Holds the definitions of one source, each beside the code that it compiles to."""

    def __init__(self, source: str, filename: str) -> None:
        self.tree = parse(source)
        self._nodes: dict[str, list[Definition]] = defaultdict(list)
        self._codes: dict[str, list[CodeType]] = defaultdict(list)
        for name, node in _definitions(self.tree, ""):
            self._nodes[name].append(node)
        # The whole file is compiled: a function alone would lose its closure, its class and its __future__.
        for code in nested(compile(source, filename, "exec", dont_inherit=True)):
            self._codes[code.co_qualname].append(code)

    def function(self, code: CodeType) -> Definition | None:
        """Return the definition that compiles to `code`, wherever in the file it stands by now."""
        wanted = code_structure(code)
        for candidate in self._codes.get(code.co_qualname, ()):
            if code_structure(candidate) == wanted:
                return self._definition_of(candidate)
        return None

    def _definition_of(self, code: CodeType) -> Definition | None:
        nodes = [
            node for node in self._nodes.get(code.co_qualname, ()) if _first_line(node) == code.co_firstlineno
        ]
        if len(nodes) > 1:
            # Several lambdas on one line: the one whose body the instructions point into.
            nodes = [node for node in nodes if isinstance(node, ast.Lambda) and _covers(node.body, code)]
        return nodes[0] if len(nodes) == 1 else None

    def class_(self, cls: type) -> ast.ClassDef | None:
        """Return the definition of a class whose methods compile to those of `cls`."""
        methods = {code.co_qualname: code_structure(code) for code in written_methods(cls)}
        for node in self._nodes.get(cls.__qualname__, ()):
            if isinstance(node, ast.ClassDef) and self._has_methods(node, methods):
                return node
        return None

    def defines_class(self, cls: type) -> bool:
        """Say whether a class of this name is defined, whatever its methods are."""
        return any(isinstance(node, ast.ClassDef) for node in self._nodes.get(cls.__qualname__, ()))

    def _has_methods(self, node: ast.ClassDef, methods: dict[str, bytes]) -> bool:
        last = node.end_lineno or node.lineno
        return all(
            any(
                _first_line(node) <= code.co_firstlineno <= last and code_structure(code) == structure
                for code in self._codes.get(name, ())
            )
            for name, structure in methods.items()
        )


def parse(source: str) -> ast.Module:
    """Parse a source, one at a time.

    Two threads that parse at once make Python 3.11 fail: "AST constructor recursion depth mismatch".
    """
    with _parsing:
        return ast.parse(source)


def compile_tree(tree: ast.Module) -> CodeType:
    """Compile a syntax tree, one at a time for the same reason."""
    with _parsing:
        return compile(tree, "<definition>", "exec", dont_inherit=True)


def find_source(filename: str, module: str | None) -> SourceFile | None:
    """Return the source of a file or a notebook cell, parsed; None if there is none.

    Parameters
    ----------
    filename
        As in `co_filename`.
    module
        The name of the module, which knows the whole path of a script that was started by a relative one.
    """
    loaded = sys.modules.get(module or "")
    path = Path(filename)
    if not path.is_absolute() and not filename.startswith("<"):
        whole = getattr(loaded, "__file__", None)
        if isinstance(whole, str) and Path(whole).name == path.name:
            filename = whole
    linecache.checkcache(filename)
    lines = linecache.getlines(filename, getattr(loaded, "__dict__", None))
    return _parsed("".join(lines), filename) if lines else None


@lru_cache(maxsize=32)
def _parsed(source: str, filename: str) -> SourceFile | None:
    try:
        return SourceFile(source, filename)
    except (SyntaxError, ValueError, RecursionError):
        return None


def written_methods(cls: type) -> Iterator[CodeType]:
    """Give the code of the methods that were written in the body of a class, not generated or put there."""
    for function in functions_of(cls):
        if is_written_in(function, cls):
            yield function.__code__


def is_written_in(function: FunctionType, cls: type) -> bool:
    """Say whether a function was written in the body of a class: what is generated has another name."""
    code = function.__code__
    return function.__globals__.get("__name__") == cls.__module__ and code.co_qualname.startswith(
        cls.__qualname__ + "."
    )


def functions_of(cls: type) -> Iterator[FunctionType]:
    """Give the functions of a class, those behind properties and class methods as well."""
    for value in vars(cls).values():
        yield from unwrapped(value)


def unwrapped(value: Any) -> list[FunctionType]:
    """Return the functions that a class attribute consists of, those that decorators wrapped included."""
    if isinstance(value, property):
        return [function for part in (value.fget, value.fset, value.fdel) for function in unwrapped(part)]
    if isinstance(value, FunctionType):
        return [value, *unwrapped(value.__dict__.get("__wrapped__"))]
    if isinstance(value, staticmethod | classmethod):
        return unwrapped(value.__func__)
    # cached_property and memorised methods; what lru_cache made
    for name in ("__func__", "func", "__wrapped__"):
        inner = getattr(value, name, None)
        if isinstance(inner, FunctionType):
            return unwrapped(inner)
    return []


def code_structure(code: CodeType) -> bytes:
    """Encode what a code object does, without where it stands.

    It is what counts for code that has no source. Instructions are those of one Python version, so such code
    has another version on another Python.
    """
    return record(
        "code",
        text(code.co_name),
        LEAVES[bytes](code.co_code),
        LEAVES[bytes](getattr(code, "co_exceptiontable", b"")),
        *(
            LEAVES[int](n)
            for n in (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        ),
        *(record("names", *map(text, names)) for names in _names_of(code)),
        record("constants", *map(_constant, code.co_consts)),
    )


def _names_of(code: CodeType) -> tuple[tuple[str, ...], ...]:
    return code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars


def _constant(value: Any) -> bytes:
    if isinstance(value, CodeType):
        return code_structure(value)
    if isinstance(value, tuple):
        return record("tuple", *map(_constant, value))
    if isinstance(value, frozenset):
        return record("frozenset", *sorted(map(_constant, value)))
    if isinstance(value, slice):  # a constant since Python 3.14
        return record("slice", *map(_constant, (value.start, value.stop, value.step)))
    return LEAVES[type(value)](value)


def nested(code: CodeType) -> Iterator[CodeType]:
    """Give a code object and all that are inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested(constant)


def _definitions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Definition]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            name = prefix + child.name
            yield name, child
            yield from _definitions(child, name + ".")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            name = prefix + getattr(child, "name", "<lambda>")
            yield name, child
            yield from _definitions(child, name + ".<locals>.")
        else:
            yield from _definitions(child, prefix)


def _first_line(node: Definition) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _covers(body: ast.expr, code: CodeType) -> bool:
    positions = [(line, column) for line, _, column, _ in code.co_positions() if line and column]
    start = (body.lineno, body.col_offset)
    end = (body.end_lineno or body.lineno, body.end_col_offset or body.col_offset)
    return bool(positions) and all(start <= position < end for position in positions)
