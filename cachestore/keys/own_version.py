"""The version of one piece of code by itself: of what was written as a function, a class or a module."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Mapping
from operator import is_
from types import CodeType, FunctionType, ModuleType
from typing import Any

from cachestore.keys.deviations import deviations
from cachestore.keys.encoding import record, text
from cachestore.keys.mentions import mention_other_source
from cachestore.keys.remembered import Remembered
from cachestore.keys.source import Decorated, normalise
from cachestore.keys.source_file import (
    Definition,
    code_structure,
    find_source,
    functions_of,
    only,
    written_methods,
)
from cachestore.keys.standard_names import named_publicly

# Decorators of these modules never read annotations, but for the one that does.
_BLIND = frozenset({"functools", "contextlib", "abc", "builtins"})
_READERS = frozenset({"singledispatch", "singledispatchmethod", "register"})
# Decorators of these, and objects that they make, only remember what a function returned.
OURS = frozenset({__name__.partition(".")[0], "joblib"})

_COMPREHENSIONS = re.compile(r"<(?:list|dict|set)comp>\.(?:<locals>\.)?")

# Beside each version the code objects that it was found for: a function's code can be replaced.
_known: Remembered[tuple[tuple[CodeType, ...], bytes]] = Remembered()
_definitions: Remembered[tuple[Definition | None]] = Remembered()
_class_definitions: Remembered[tuple[tuple[CodeType, ...], tuple[ast.ClassDef | None, str | None]]] = (
    Remembered()
)


def module_of(value: Any) -> str:
    """Return the name of the module whose names a function or class sees.

    `__module__` of a decorated function is that of what it wraps; its own names are elsewhere.
    """
    if isinstance(value, FunctionType):
        name = value.__globals__.get("__name__")
        return named_alike(name) if isinstance(name, str) else "__main__"
    module = value.__module__
    # Metaclasses of compiled code may have something else there.
    return named_alike(module) if isinstance(module, str) else "builtins"


def named_alike(module: str) -> str:
    """Return the name of a module; a process that was spawned by a script knows the script by another one."""
    return "__main__" if module == "__mp_main__" else module


def even_qualname(name: str) -> str:
    """Return the qualified name that a function or class has on every Python.

    Since Python 3.12 list, dict and set comprehensions are no scopes of their own.

    Examples
    --------
    >>> even_qualname("f.<locals>.<listcomp>.<lambda>")
    'f.<locals>.<lambda>'
    """
    return _COMPREHENSIONS.sub("", name)


def part_name(value: Any) -> str:
    """Return the name under which a function, class or module stands among the parts of an identity."""
    if isinstance(value, ModuleType):
        return f"module:{named_publicly(named_alike(value.__name__), '')[0]}"
    function = isinstance(value, FunctionType)
    name = value.__code__.co_qualname if function else value.__qualname__
    module, name = named_publicly(module_of(value), even_qualname(name))
    return f"{'function' if function else 'class'}:{module}:{name}"


def is_known_by_name(value: FunctionType | type) -> bool:
    """Say whether the name of a function or class tells it apart: nothing else is found there by now.

    A name that leads nowhere does, for that is how it is where code travelled by value.
    """
    name = value.__code__.co_qualname if isinstance(value, FunctionType) else value.__qualname__
    if "<" in name:
        return False
    module = value.__globals__ if isinstance(value, FunctionType) else namespace_of(value)
    found: Any = module.get(name.partition(".")[0])
    for step in name.split(".")[1:]:
        found = getattr(found, "__dict__", {}).get(step)
    if found is value or type(found) not in (FunctionType, type, type(value)):
        return True
    return part_name(found) != part_name(value) or own_version(found) == own_version(value)


def own_version(value: Any) -> bytes:
    """Return the encoding of what was written as a first-party function, class or module.

    The normalised source counts where it compiles to what runs; else the structure of the code objects does.
    """
    # Each call of a function makes its inner functions anew, of one code object.
    place = value.__code__ if isinstance(value, FunctionType) else value
    codes = _codes(value)
    known = _known.get(place)
    if known is not None and _are_same(known[0], codes):
        return known[1]
    version = _from_source(value)
    if version is None:
        version = _from_structure(value)
    _known.set(place, (codes, version))
    return version


def _are_same(some: tuple[CodeType, ...], others: tuple[CodeType, ...]) -> bool:
    return len(some) == len(others) and all(map(is_, some, others))


def _codes(value: Any) -> tuple[CodeType, ...]:
    if isinstance(value, FunctionType):
        return (value.__code__,)
    if isinstance(value, type):
        return tuple(function.__code__ for function in functions_of(value))
    return tuple(code for member in _members(value) for code in _codes(member))


def _members(module: ModuleType) -> list[Any]:
    """Return the functions and classes that were written in a module, in the order of their names."""
    return [
        value
        for _, value in sorted(vars(module).items())
        if (type(value) is FunctionType and value.__code__.co_filename == module.__file__)
        or (issubclass(type(value), type) and value.__module__ == module.__name__)
    ]


def _from_source(value: Any) -> bytes | None:
    if isinstance(value, ModuleType):
        file = getattr(value, "__file__", None)
        source = find_source(file, value.__name__) if isinstance(file, str) else None
        if source is None:
            return None
        # Nothing keeps the code of a module either, so the text alone is not to be believed.
        return record(
            "module", normalise(source.tree, decorators_in(vars(value))), *map(own_version, _members(value))
        )
    if isinstance(value, FunctionType):
        definition = definition_of(value)
        return normalise(definition, decorators_in(value.__globals__)) if definition else None
    node, _ = class_definition_of(value)
    if node is None:
        return None
    namespace = namespace_of(value)
    # Nothing keeps the code of the body. Values of other names count in what reaches the class.
    held = {
        name: other
        for name, other in deviations(value, node, namespace).items()
        if name.startswith(("__", "annotation of ", "method "))
    }
    members = [text(name) + other for name, other in sorted(held.items())]
    return record("class", normalise(node, decorators_in(namespace)), *members)


def definition_of(function: FunctionType) -> Definition | None:
    """Return the syntax tree of a function; None where no source compiles to the code that runs."""
    code = function.__code__
    known = _definitions.get(code)
    if known is None:
        _definitions.set(code, known := (_find_definition(function),))
    return known[0]


def _find_definition(function: FunctionType) -> Definition | None:
    code = function.__code__
    source = find_source(code.co_filename, module_of(function), code)
    if source is None:
        return None
    definition = source.function(code)
    as_written = _is_as_written(function.__globals__, code.co_filename)
    if definition is None and as_written and not source.has_code(code):
        mention_other_source(f"{module_of(function)}.{code.co_qualname}", code.co_filename)
    return definition


def _is_as_written(namespace: Mapping[str, Any], file: str) -> bool:
    """Say whether Python itself compiled a module from its file: test runners and the like rewrite code."""
    loader = type(namespace.get("__loader__"))
    return loader.__name__ == "SourceFileLoader" and namespace.get("__file__") == file


def class_definition_of(value: type) -> tuple[ast.ClassDef | None, str | None]:
    """Return the syntax tree of a class and the file that it is in; None where there is none that runs."""
    codes = _codes(value)
    known = _class_definitions.get(value)
    if known is None or not _are_same(known[0], codes):
        _class_definitions.set(value, known := (codes, _find_class_definition(value)))
    return known[1]


def _find_class_definition(value: type) -> tuple[ast.ClassDef | None, str | None]:
    file = _file_of_class(value)
    source = find_source(file, value.__module__) if file else None
    if file is None or source is None:
        return None, file
    nodes = source.classes(value)
    # What was made without a class statement, as named tuples may be, has no source of its own.
    if not nodes and source.defines_class(value) and _is_as_written(namespace_of(value), file):
        mention_other_source(f"{value.__module__}.{value.__qualname__}", file)
    # Without methods, one class under `if` and another under `else` are told apart by what they hold.
    agreeing = [node for node in nodes if not deviations(value, node, namespace_of(value))]
    return only(agreeing or nodes), file


def namespace_of(value: type) -> Mapping[str, Any]:
    """Return the names that the code of a class sees."""
    module = sys.modules.get(value.__module__)
    return vars(module) if module else {}


def _file_of_class(value: type) -> str | None:
    # A class in a notebook has no file but that of its methods.
    for code in written_methods(value):
        return code.co_filename
    file = namespace_of(value).get("__file__")
    return file if isinstance(file, str) else None


def _from_structure(value: Any) -> bytes:
    if isinstance(value, FunctionType):
        return code_structure(value.__code__)
    if isinstance(value, ModuleType):
        return record("module", text(value.__name__))
    methods = sorted(map(code_structure, written_methods(value)))
    fields = getattr(value, "_fields", None) or getattr(value, "__dataclass_fields__", None) or ()
    return record("class", *methods, *(text(str(field)) for field in fields))


def decorators_in(namespace: Mapping[str, Any]) -> Decorated:
    """Return what says of the decorators in a module whether they count, and whether they read annotations."""

    def judge(decorator: ast.expr) -> str:
        names: list[str] = []
        node = decorator.func if isinstance(decorator, ast.Call) else decorator
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return "reader"
        if names and names[0] in {"setter", "getter", "deleter"}:  # of a property of the same class
            return "blind"
        value = namespace.get(node.id, getattr(builtins, node.id, None))
        module = getattr(value, "__module__", None) or getattr(value, "__name__", "")
        if isinstance(value, ModuleType):
            module = value.__name__
        elif type(value).__module__.partition(".")[0] in OURS:
            module = type(value).__module__
        top = str(module).partition(".")[0]
        if top in OURS:
            return "ours"
        last = names[0] if names else node.id
        return "blind" if top in _BLIND and last not in _READERS else "reader"

    return judge
