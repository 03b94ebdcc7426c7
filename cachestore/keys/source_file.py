"""Finding the syntax tree of the code that runs, and making sure that it is that of the code that runs."""

from __future__ import annotations
import __future__

import ast
import dis
import linecache
import sys
import threading
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from inspect import CO_ITERABLE_COROUTINE
from pathlib import Path
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any, NamedTuple, TypeVar

from cachestore.keys.encoding import record, text
from cachestore.keys.scalars import LEAVES

_compiling = threading.Lock()

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
Node = TypeVar("Node", bound=Definition)


class _Made(NamedTuple):
    """Holds a code object, and the one around it whose instructions make a function or a class of it."""

    code: CodeType
    maker: CodeType


class SourceFile:
    """Holds the definitions of one source, each beside the code that it compiles to.

    They are brought together by where they begin. The names that the compiler gives say less: defaults and
    decorators belong to the scope around, and which scopes there are differs between versions of Python.
    """

    def __init__(self, source: str, filename: str, future: int) -> None:
        self.tree = parse(source)
        self._nodes: dict[tuple[str, int], list[Definition]] = defaultdict(list)
        self._made: dict[str, list[_Made]] = defaultdict(list)
        for node in ast.walk(self.tree):
            if isinstance(node, Definition):
                self._nodes[getattr(node, "name", "<lambda>"), _first_line(node)].append(node)
        # The whole file is compiled: a function alone would lose its closure, its class and its __future__.
        # A cell of a notebook may await at its top, and goes on with the __future__ of the cells before it.
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | future
        with _quietly():
            code = compile(source, filename, "exec", flags, dont_inherit=True)
        for made in _inside(code):
            self._made[made.code.co_qualname].append(made)

    def function(self, code: CodeType) -> Definition | None:
        """Return the definition that compiles to `code`, wherever in the file it stands by now."""
        alike = self._alike(code)
        in_place = [made for made in alike if _stand_alike(made.code, code)]
        if in_place:
            return next(iter(self._definitions(in_place[0])), None)
        # It was moved. Those that differ in defaults or decorators only have equal code.
        return only([node for made in alike for node in self._definitions(made)])

    def has_code(self, code: CodeType) -> bool:
        """Say whether anything in the file compiles to `code`."""
        return bool(self._alike(code))

    def classes(self, cls: type) -> list[ast.ClassDef]:
        """Return the definitions of a class whose methods compile to those of `cls`: more than one if it has none."""
        alike = [
            (node, in_place)
            for made, node in self._bodies(cls)
            if (in_place := _has_methods(made.code, cls)) is not None
        ]
        return [node for node, in_place in alike if in_place] or [node for node, _ in alike]

    def defines_class(self, cls: type) -> bool:
        """Say whether a class of this name is defined, whatever its methods are."""
        return any(True for _ in self._bodies(cls))

    def _bodies(self, cls: type) -> Iterator[tuple[_Made, ast.ClassDef]]:
        for made in self._made.get(cls.__qualname__, ()):
            for node in self._definitions(made):
                if isinstance(node, ast.ClassDef):
                    yield made, node

    def _alike(self, code: CodeType) -> list[_Made]:
        # `types.coroutine` marks the code that it is given.
        wanted = code_structure(code.replace(co_flags=code.co_flags & ~CO_ITERABLE_COROUTINE))
        return [made for made in self._made.get(code.co_qualname, ()) if code_structure(made.code) == wanted]

    def _definitions(self, made: _Made) -> list[Definition]:
        nodes = self._nodes.get((made.code.co_name, made.code.co_firstlineno), [])
        if len(nodes) > 1:
            # Several lambdas on one line. The instruction that makes a function of one stands where the lambda does.
            places = {
                instruction.positions
                for instruction in dis.get_instructions(made.maker)
                if instruction.argval is made.code
            }
            nodes = [node for node in nodes if _place(node) in places]
        return nodes


def _has_methods(body: CodeType, cls: type) -> bool | None:
    """Say whether the methods of a class stand where they do in this body; None if they are others."""
    written: dict[tuple[str, bytes], list[CodeType]] = defaultdict(list)
    for made in _inside(body):
        written[made.code.co_qualname, code_structure(made.code)].append(made.code)
    in_place = True
    for method in written_methods(cls):
        alike = written.get((method.co_qualname, code_structure(method)))
        if alike is None:
            return None
        in_place = in_place and any(_stand_alike(code, method) for code in alike)
    return in_place


def _stand_alike(one: CodeType, other: CodeType) -> bool:
    return (one.co_firstlineno, one.co_linetable) == (other.co_firstlineno, other.co_linetable)


def only(nodes: list[Node]) -> Node | None:
    """Return the one definition that there is, however often it is written."""
    return nodes[0] if len(nodes) == 1 or len(set(map(ast.dump, nodes))) == 1 else None


def parse(source: str) -> ast.Module:
    """Parse a source, one at a time, without a word on what is doubtful in it."""
    with _quietly():
        return ast.parse(source)


def compile_tree(tree: ast.Module) -> CodeType:
    """Compile a syntax tree in the same way."""
    with _quietly():
        return compile(tree, "<definition>", "exec", dont_inherit=True)


@contextmanager
def _quietly() -> Iterator[None]:
    """Compile without warnings: they were given at import, and must not become errors here.

    Two threads that parse at once make Python 3.11 fail: "AST constructor recursion depth mismatch".
    """
    with _compiling, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def find_source(filename: str, module: str | None, code: CodeType | None = None) -> SourceFile | None:
    """Return the source of a file or a notebook cell, parsed; None if there is none.

    Parameters
    ----------
    filename
        As in `co_filename`.
    module
        The name of the module, which knows the whole path of a script that was started by a relative one.
    code
        What was compiled from it: cells of a notebook go on with the `__future__` of those before them.
    """
    loaded = sys.modules.get(module or "")
    path = Path(filename)
    if not path.is_absolute() and not filename.startswith("<"):
        whole = getattr(loaded, "__file__", None)
        if isinstance(whole, str) and Path(whole).name == path.name:
            filename = whole
    linecache.checkcache(filename)
    lines = linecache.getlines(filename, getattr(loaded, "__dict__", None))
    future = code.co_flags & __future__.annotations.compiler_flag if code is not None else 0
    return _parsed("".join(lines), filename, future) if lines else None


@lru_cache(maxsize=32)
def _parsed(source: str, filename: str, future: int) -> SourceFile | None:
    try:
        return SourceFile(source, filename, future)
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
        inner = _kept(value, name)
        if type(inner) is FunctionType:
            return unwrapped(inner)
    return []


def _kept(value: Any, name: str) -> Any:
    """Return what an object itself keeps under a name. None of its code is run: it may be a proxy for anything."""
    descriptor = getattr(type(value), name, None)
    with suppress(Exception):
        if isinstance(descriptor, MemberDescriptorType | GetSetDescriptorType):
            return descriptor.__get__(value)
        if not issubclass(type(value), type):
            return object.__getattribute__(value, "__dict__").get(name)
    return None


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
        record("constants", *map(constant, code.co_consts)),
    )


def _names_of(code: CodeType) -> tuple[tuple[str, ...], ...]:
    return code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars


def constant(value: Any) -> bytes:
    """Encode a constant of a code object."""
    if isinstance(value, CodeType):
        return code_structure(value)
    if isinstance(value, tuple):
        return record("tuple", *map(constant, value))
    if isinstance(value, frozenset):
        return record("frozenset", *sorted(map(constant, value)))
    if isinstance(value, slice):  # a constant since Python 3.14
        return record("slice", *map(constant, (value.start, value.stop, value.step)))
    return LEAVES[type(value)](value)


def _inside(maker: CodeType) -> Iterator[_Made]:
    """Give the code objects inside a code object, at any depth, in the order in which they are written."""
    for constant in maker.co_consts:
        if isinstance(constant, CodeType):
            yield _Made(constant, maker)
            yield from _inside(constant)


def _first_line(node: Definition) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _place(node: Definition) -> tuple[int, int | None, int, int | None]:
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset
