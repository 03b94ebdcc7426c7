"""The names outside itself that a function reads, found in its instructions."""

from __future__ import annotations

import builtins
import dis
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from types import CodeType, FunctionType, ModuleType
from typing import Any

from cachestore.keys.code_origin import origin_of
from cachestore.keys.own_version import module_of
from cachestore.keys.walk import Walk
from cachestore.keys.watched import ABSENT

_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_SILENT = frozenset({"EXTENDED_ARG", "CACHE", "RESUME", "PUSH_NULL", "NOP", "POP_TOP"})


@dataclass(frozen=True, slots=True)
class Reference:
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
    imported by the module or by the function. Packages that the function imports are noted by the walk.
    """
    reader = _Reader(function, walk)
    return reader.read(function.__code__, {})


class _Reader:
    def __init__(self, function: FunctionType, walk: Walk) -> None:
        self._namespace = function.__globals__
        self._module = module_of(function)
        self._walk = walk

    def read(  # noqa: PLR0912 - one branch per kind of instruction
        self, code: CodeType, local: dict[str, ModuleType]
    ) -> Iterator[Reference]:
        local = dict(local)
        current: ModuleType | None = None
        imported: ModuleType | None = None
        constants: list[Any] = [0, None]
        for instruction in dis.get_instructions(code):
            operation, argument = instruction.opname, instruction.argval
            if operation in _SILENT:
                continue
            module, current = current, None
            if operation in {"LOAD_ATTR", "LOAD_METHOD"} and module is not None:
                current = self._followed(_attribute(module, argument))
                if current is None:
                    yield Reference(vars(module), module.__name__, argument, _attribute(module, argument))
                continue
            if operation == "IMPORT_FROM" and imported is not None:
                _import_submodule(imported, argument)
                current = self._followed(_attribute(imported, argument))
                if current is None:
                    yield Reference(
                        vars(imported), imported.__name__, argument, _attribute(imported, argument)
                    )
                    continue
            elif operation == "IMPORT_NAME":
                imported = current = self._import(argument, *constants)
            elif operation.startswith("STORE_") and isinstance(argument, str):
                if module is not None:
                    local[argument] = module
                else:
                    local.pop(argument, None)
                continue
            elif operation.startswith(("LOAD_FAST", "LOAD_DEREF")) or (
                operation == "LOAD_NAME" and argument in local
            ):
                current = local.get(argument if isinstance(argument, str) else argument[-1])
            elif operation in _GLOBAL:
                value = self._namespace.get(argument, ABSENT)
                current = self._followed(value)
                if current is None and not (value is ABSENT and hasattr(builtins, argument)):
                    yield Reference(self._namespace, self._module, argument, value)
            constants = [constants[1], argument]
            if (
                module is not None
                and operation not in {"IMPORT_FROM", "IMPORT_NAME"}
                and module is not imported
            ):
                # The module itself is handed on: anything in it may be used.
                yield Reference(self._namespace, self._module, module.__name__, module)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from self.read(constant, local)

    def _followed(self, value: Any) -> ModuleType | None:
        if (
            isinstance(value, ModuleType)
            and origin_of(value.__name__, self._walk.rules).kind == "first-party"
        ):
            return value
        return None

    def _import(self, name: str, level: Any, names: Any) -> ModuleType | None:
        """Return the first-party module that an import statement inside a function gives."""
        if level:
            package = str(self._namespace.get("__package__") or self._module.rpartition(".")[0])
            for _ in range(int(level) - 1):
                package = package.rpartition(".")[0]
            name = f"{package}.{name}" if name else package
        top = name.partition(".")[0]
        if self._walk.origin_of(name).kind != "first-party":
            return None
        try:
            # The function imports it when it runs. Whether somebody did so before must not decide the key.
            module = import_module(name)
        except (Exception, SystemExit):  # noqa: BLE001 - whatever a module raises, it is the function's to meet
            return None
        return module if names else sys.modules.get(top)


def _import_submodule(package: ModuleType, name: str) -> None:
    """Import what a function will import from a package: whether somebody did so before must not decide the key."""
    if hasattr(package, "__path__") and _attribute(package, name) is ABSENT:
        with suppress(Exception, SystemExit):
            import_module(f"{package.__name__}.{name}")


def _attribute(module: ModuleType, name: str) -> Any:
    value = vars(module).get(name, ABSENT)
    if value is ABSENT:
        # A submodule that only the import statement itself brings in.
        return sys.modules.get(f"{module.__name__}.{name}", ABSENT)
    return value
