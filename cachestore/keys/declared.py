"""What the author of a function says of its version, beside or in place of its source."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

from cachestore.errors import KeyingError
from cachestore.keys.code_origin import distribution_of
from cachestore.keys.encoding import buffer, hexadecimal, named, record, text
from cachestore.keys.functions import encode_carried, free_variables, memorised
from cachestore.keys.own_version import module_of
from cachestore.keys.walk import Walk


@dataclass(frozen=True, slots=True, eq=False)
class Declared:
    """Holds what stands in `@memory.cache(...)` about the code of a function.

    Parameters
    ----------
    version
        Stands for the source of a function of an importable module; elsewhere it is added to the source.
    depends_on
        What counts too: functions, classes and modules by their code, other objects by their value, and files, named
        by a text or `Path`, by their content; a relative path begins at the function's file.
    ignore_globals
        Names of globals, wherever the function or what it calls reads them, that do not count.
    keyed
        What gives the digest of an argument in its place, by the name of the parameter.
    """

    version: str | None = None
    depends_on: tuple[Any, ...] = ()
    ignore_globals: frozenset[str] = frozenset()
    keyed: Mapping[str, Callable[[Any], object]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        *,
        version: str | None = None,
        depends_on: Iterable[Any] = (),
        ignore_globals: Iterable[str] = (),
        key: Mapping[str, Callable[[Any], object]] | None = None,
    ) -> Declared:
        """Check what was declared.

        Raises
        ------
        TypeError
            If something has no meaning.
        """
        if version is not None and not isinstance(version, str):
            raise TypeError(f"version is {version!r}. Give a text: version={str(version)!r}.")
        for name, given in (("depends_on", depends_on), ("ignore_globals", ignore_globals)):
            if isinstance(given, str) or not isinstance(given, Iterable):
                raise TypeError(f"{name} is {given!r}. Give a list: {name}=[{given!r}].")
        for name in (ignored := frozenset(ignore_globals)):
            if not isinstance(name, str):
                raise TypeError(f"ignore_globals holds {name!r}. Give the names of globals.")
        for name, function in (keyed := dict(key or {})).items():
            if not callable(function):
                raise TypeError(
                    f"key[{name!r}] is {function!r}. Give a function of the argument: {{{name!r}: lambda {name}: ...}}."
                )
        declared = cls(version, tuple(depends_on), ignored, keyed)
        return NOTHING if declared.is_empty else declared

    @property
    def is_empty(self) -> bool:
        """Whether nothing was declared."""
        return self.version is None and not (self.depends_on or self.ignore_globals or self.keyed)

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Pickle `NOTHING` by its name: it has no equal but itself."""
        if self is NOTHING:
            return "NOTHING"
        return Declared, (self.version, self.depends_on, self.ignore_globals, self.keyed)


NOTHING = Declared()
"""What is declared of most functions."""


def declared_parts(walk: Walk, function: Any, declared: Declared) -> dict[str, str]:
    """Return the version of each part that was declared, and note the code among them."""
    parts = {}
    if declared.version is not None:
        parts["version"] = declared.version
    for position, dependency in enumerate(declared.depends_on):
        if isinstance(dependency, str | Path):
            name = f"file:{_file_name(dependency)}"
            # Two files may have one name in two folders.
            parts[name if name not in parts else f"{name}:{position}"] = _content(
                walk, _path(function, dependency)
            )
        else:
            parts[f"depends_on:{position}"] = _value(walk, f"depends_on[{position}]", dependency)
    for name, keyed in sorted(declared.keyed.items()):
        # Told apart in another way it is another key, though both ways may give one text.
        parts[f"key:{name}"] = _value(walk, f"key[{name!r}]", keyed)
    return parts


def declared_of(value: Any) -> Declared | None:
    """Return what was declared of a memorised function; None where it is none, or nothing was."""
    declared = getattr(value, "declared", None) if memorised(value) is not None else None
    return declared if isinstance(declared, Declared) and not declared.is_empty else None


def encode_declared(walk: Walk, function: Any, declared: Declared) -> bytes:
    """Encode a function that code reaches by its code and by what was declared of it."""
    # Its globals are ignored where it reads them, not where somebody else does.
    walk.ignored[id(_plain(function))] = declared.ignore_globals
    walk.counted += declared.depends_on
    stands = stands_for_source(function, declared)
    encoding = encode_version(walk, function, declared) if stands else walk.encode(function)
    return record("memorised", encoding, *named(declared_parts(walk, function, declared)))


def _value(walk: Walk, step: str, value: object) -> str:
    encoding = walk.named(f" -> {step}", value)
    walk.watch_content(value)
    return hexadecimal(encoding)


def stands_for_source(function: Any, declared: Declared) -> bool:
    """Say whether a version was given for a function that has a name of its own, in a module that has one."""
    if declared.version is None or _module_name(function) == "__main__":
        return False
    return "<" not in getattr(_plain(function), "__qualname__", "")


def encode_version(walk: Walk, function: Any, declared: Declared) -> bytes:
    """Encode a function by the version that was declared for it.

    What it was given in its closure or a partial counts all the same: that is no code.
    """
    project = _project_of(function, walk.rules.project)
    carried = []
    while isinstance(function, partial):
        carried += [walk.named(".args", function.args), walk.named(".keywords", function.keywords)]
        function = function.func
    if isinstance(function, FunctionType):
        walk.watched.function(function)
        carried += [
            text(name) + encode_carried(walk, f" -> {name}", held, function.__globals__)
            for name, held in free_variables(function)
        ]
    name = f"{_module_name(function)}:{_plain(function).__qualname__}"
    return record("version", text(project), text(name), text(str(declared.version)), *carried)


def _project_of(function: Any, setting: str | None) -> str:
    name = setting or _named_above(_file_of(function)) or distribution_of(_module_name(function))
    if name is None:
        raise KeyingError(
            f"{_module_name(function)}.{_plain(function).__qualname__} has an explicit version, and nothing names the "
            'project that it is a version of. Write project = "..." into cachestore.toml, or name = "..." into '
            "[project] of the pyproject.toml above it."
        )
    return name.lower().replace("_", "-").replace(".", "-")


def _module_name(function: Any) -> str:
    function = _plain(function)
    return (
        module_of(function)
        if isinstance(function, FunctionType)
        else str(getattr(function, "__module__", None) or "builtins")
    )


def _plain(function: Any) -> Any:
    while not isinstance(function, FunctionType) and hasattr(function, "func"):
        function = function.func
    return function.__func__ if isinstance(function, MethodType) else function


def _file_of(function: Any) -> str | None:
    module = sys.modules.get(_module_name(function))
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else None


def _file_name(path: str | Path) -> str:
    # Where the checkout lies is no part of a key.
    return Path(path).name if Path(path).is_absolute() else Path(path).as_posix()


def _path(function: Any, path: str | Path) -> Path:
    file = _file_of(function)
    return Path(file).absolute().parent / path if file else Path(path).absolute()


def _content(walk: Walk, path: Path) -> str:
    try:
        state = os.stat(path)  # noqa: PTH116 - is asked for at each call
        walk.watched.file(path, state)
        return _digest_of_file(path, state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise KeyingError(
            f"depends_on names the file {path}, which cannot be read: {error.strerror}. Mend the path (a relative one "
            "begins at the function's file), or leave it out."
        ) from error


@lru_cache(maxsize=256)
def _digest_of_file(path: Path, changed: int, size: int) -> str:
    return hexadecimal(record("file", buffer(path.read_bytes())))


@lru_cache(maxsize=256)
def _named_above(file: str | None) -> str | None:
    """Return the name in the nearest `pyproject.toml` above a file."""
    import tomllib

    for folder in Path(file).absolute().parents if file else ():
        try:
            described = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        project = described.get("project")
        name = project.get("name") if isinstance(project, dict) else None
        if isinstance(name, str):
            return name
    return None
