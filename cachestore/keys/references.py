"""The names outside itself that a function reads, found in its instructions."""

from __future__ import annotations

import builtins
import dis
import re
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from cachestore.keys.own_version import module_of
from cachestore.keys.walk import Walk
from cachestore.keys.watched import ABSENT

_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_LOCAL = ("LOAD_FAST", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_NAME")
_STORED = frozenset({"STORE_FAST", "STORE_DEREF", "STORE_NAME"})
_SILENT = frozenset({"EXTENDED_ARG", "CACHE", "RESUME", "PUSH_NULL", "NOP", "POP_TOP", "NOT_TAKEN"})
# What these say of a module is its name, which counts already, or where it lies, which must not. A class makes its own
# annotations.
_PLACE = frozenset(
    {
        "__annotations__", "__builtins__", "__cached__", "__conditional_annotations__", "__file__", "__loader__",
        "__name__", "__package__", "__path__", "__spec__",
    }
)  # fmt: skip
# What these are called with is a module, where it is written down.
_IMPORTERS = ("import_module", "__import__")
# Python 3.13 does two things in one instruction.
_PARTS = re.compile("(?:LOAD|STORE)_FAST")

Modules = tuple[ModuleType, ...]


class Reference(NamedTuple):
    """Says that code reads a name, and what it stands for now.

    Parameters
    ----------
    namespace, name
        Where it is looked up.
    module
        Whose namespace it is.
    value
        What stands there; `ABSENT` if nothing does.
    """

    namespace: Mapping[str, Any]
    module: str
    name: str
    value: Any


def references(function: FunctionType, walk: Walk) -> Iterator[Reference]:
    """Give the global names that a function and the functions inside it read, through first-party modules.

    Of `pipeline.clean(x)` it is what `clean` stands for in `pipeline` that counts, whether `pipeline` was
    imported by the module or by the function. Where a module itself is handed on, it is a reference.
    Packages that the function imports are noted by the walk.
    """
    return _Reader(function.__globals__, module_of(function), walk).read(function.__code__, {})


def references_in(
    code: CodeType, namespace: Mapping[str, Any], module: str, walk: Walk
) -> Iterator[Reference]:
    """Give the global names that a piece of code reads which is no function."""
    return _Reader(namespace, module, walk).read(code, {})


class _Reader:
    def __init__(self, namespace: Mapping[str, Any], module: str, walk: Walk) -> None:
        self._namespace = namespace
        self._module = module
        self._walk = walk

    def read(self, code: CodeType, outer: Mapping[str, Modules]) -> Iterator[Reference]:
        """Follow the modules through the instructions: which may be on top of the stack, and which in a variable.

        A variable may be any of the modules that are ever put into it, whatever branch is taken.
        """
        local = dict(outer)
        cells = {*code.co_cellvars, *code.co_freevars}
        instructions = list(_instructions(code))
        own = {argument for operation, argument in instructions if operation == "STORE_NAME"}
        current: Modules = ()
        imported: Modules = ()
        named: Modules = ()
        before = ""
        constants: list[Any] = [0, None]
        for operation, argument in instructions:
            modules, current = current, ()
            if operation == "IMPORT_NAME":
                imported = current = self._import(argument, *constants)
            elif operation == "IMPORT_FROM":
                current = yield from self._imported(imported, argument)
            elif operation == "SWAP" and before == "IMPORT_FROM":
                current = modules
            elif modules and operation in {"LOAD_ATTR", "LOAD_METHOD"}:
                current = yield from self._attribute(modules, argument)
            elif modules and operation in _STORED:
                local[argument] = (*local.get(argument, ()), *modules)
            elif modules and operation not in {"STORE_ATTR", "DELETE_ATTR"}:
                yield from self._handed_on(modules)
            if operation.startswith(_LOCAL) and argument in local:
                # What a function inside only takes along it reads itself.
                current = () if argument in cells and "DEREF" not in operation else local[argument]
            elif operation in _GLOBAL and argument not in own:
                current = yield from self._global(argument)
            elif operation.startswith("CALL"):
                current, named = named, ()
            named = self._import_named(constants[1], operation, argument) or named
            constants = [constants[1], argument]
            before = operation
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from self.read(constant, local)

    def _global(self, name: str) -> Generator[Reference, None, Modules]:
        if name in _PLACE:
            return ()
        value = self._namespace.get(name, ABSENT)
        if value is ABSENT and hasattr(builtins, name):
            self._walk.watched.absent(self._namespace, name)
            return ()
        return (yield from self._found(self._namespace, self._module, name, value))

    def _handed_on(self, modules: Modules) -> Iterator[Reference]:
        """Give modules themselves: what is handed on may be used in any way."""
        return (Reference(self._namespace, self._module, module.__name__, module) for module in modules)

    def _imported(self, packages: Modules, name: str) -> Generator[Reference, None, Modules]:
        for package in packages:
            _import_submodule(package, name)
        return (yield from self._attribute(packages, name))

    def _attribute(self, modules: Modules, name: str) -> Generator[Reference, None, Modules]:
        found: Modules = ()
        for module in modules:
            value = _attribute(module, name)
            found += yield from self._found(vars(module), module.__name__, name, value)
        return found

    def _found(
        self, namespace: Mapping[str, Any], module: str, name: str, value: Any
    ) -> Generator[Reference, None, Modules]:
        """Return the first-party module that was found; what else was found is a reference."""
        if isinstance(value, ModuleType) and self._walk.origin_of(value.__name__).kind == "first-party":
            self._walk.watched.name(namespace, name, namespace.get(name, ABSENT))
            return (value,)
        yield Reference(namespace, module, name, value)
        return ()

    def _import_named(self, called: Any, operation: str, name: Any) -> Modules:
        """Return the first-party module of `import_module("acme.load")`."""
        if called not in _IMPORTERS or operation != "LOAD_CONST" or not isinstance(name, str):
            return ()
        plain = name.lstrip(".")
        return self._import(plain, len(name) - len(plain), (plain,))

    def _import(self, name: str, level: Any, names: Any) -> Modules:
        """Return the first-party module that an import statement inside a function gives."""
        if level:
            package = str(self._namespace.get("__package__") or self._module.rpartition(".")[0])
            for _ in range(int(level) - 1):
                package = package.rpartition(".")[0]
            name = f"{package}.{name}" if name else package
        top = name.partition(".")[0]
        if self._walk.origin_of(name).kind != "first-party":
            return ()
        try:
            # The function imports it when it runs. Whether somebody did so before must not decide the key.
            module = import_module(name)
        except (Exception, SystemExit):  # noqa: BLE001 - whatever a module raises, it is the function's to meet
            return ()
        given = module if names else sys.modules.get(top)
        return (given,) if given else ()


def _instructions(code: CodeType) -> Iterator[tuple[str, Any]]:
    for instruction in dis.get_instructions(code):
        operation, argument = instruction.opname, instruction.argval
        if operation in _SILENT:
            continue
        if isinstance(argument, tuple) and operation != "LOAD_CONST":
            yield from zip(_PARTS.findall(operation), argument, strict=False)
        else:
            yield operation, argument


def _import_submodule(package: ModuleType, name: str) -> None:
    """Import what a function will import from a package: whether somebody did so before must not decide the key."""
    if hasattr(package, "__path__") and _attribute(package, name) is ABSENT:
        with suppress(Exception, SystemExit):
            import_module(f"{package.__name__}.{name}")


def _attribute(module: ModuleType, name: str) -> Any:
    value = vars(module).get(name, ABSENT)
    if value is ABSENT:
        # A submodule that only the import statement itself brings in.
        value = sys.modules.get(f"{module.__name__}.{name}", ABSENT)
    if value is ABSENT and "__getattr__" in vars(module):
        # What a module makes when it is asked for: whether somebody asked before must not decide the key.
        with suppress(Exception):
            value = getattr(module, name)
    return value
