"""What was looked at on the way to a version, so that the version can be seen to hold still."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from operator import is_
from pathlib import Path, PurePath
from re import Pattern
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    GenericAlias,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodWrapperType,
    ModuleType,
    UnionType,
    WrapperDescriptorType,
)
from typing import Any, cast
from weakref import ref

from cachestore.keys.scalars import LEAVES

# What nothing can be put into once it is made, and code, which is watched by its names.
_SETTLED = (
    BuiltinFunctionType, ClassMethodDescriptorType, Enum, FunctionType, GenericAlias, GetSetDescriptorType,
    MemberDescriptorType, MethodDescriptorType, MethodWrapperType, ModuleType, Pattern, PurePath, UnionType,
    WrapperDescriptorType, range, type,
)  # fmt: skip
_SETTLED_NAMES = frozenset(
    {
        "_abc._abc_data", "_collections._tuplegetter", "datetime.date", "datetime.datetime", "datetime.timedelta",
        "datetime.timezone", "decimal.Decimal", "functools._lru_cache_wrapper", "numpy._ArrayFunctionDispatcher",
        "numpy.ufunc", "typing.TypeVar", "typing._AnyMeta", "typing._GenericAlias", "typing._LiteralGenericAlias",
        "typing._SpecialForm", "typing._UnionGenericAlias", "uuid.UUID",
    }
)  # fmt: skip
# What says itself what is in it may look at more.
_SAYING = frozenset({"__cachestore_digest__", "__getstate__", "__reduce__", "__reduce_ex__"})
_CONTAINERS = frozenset({dict, frozenset, list, set, tuple})
# What holds more containers is encoded anew.
_MOST_INSIDE = 20_000

ABSENT: Any = object()
"""Stands for what a name or a free variable stands for that nobody has set."""


class Watched:
    """Holds names, functions, free variables and files with what they were.

    Functions are held weakly: what is remembered of a closure must not keep it alive.
    """

    __slots__ = ("_absent", "_contents", "_files", "_functions", "_names", "_sizes")

    def __init__(self) -> None:
        # By their identities, as many names lead to one thing.
        self._names: dict[tuple[int, Any], tuple[Mapping[Any, Any], Any, Any]] = {}
        self._functions: dict[int, tuple[ref[FunctionType], CodeType, Any, Any, tuple[Any, ...]]] = {}
        self._contents: dict[tuple[int, Any], tuple[Any, Callable[[Any], bytes], list[Any]]] = {}
        self._files: list[tuple[Path, int, int]] = []
        # For each namespace the size that it had, and the names in it, or those that were not in it.
        self._sizes: list[tuple[Mapping[Any, Any], list[int], frozenset[Any]]] = []
        self._absent: dict[int, tuple[Mapping[str, Any], list[int], set[str]]] = {}

    def name(self, namespace: Mapping[Any, Any], name: Any, value: object) -> None:
        """Note what a name stands for."""
        self._names[id(namespace), name] = (namespace, name, _hold(value))

    def size(self, namespace: Mapping[Any, Any]) -> None:
        """Note which names there are: one more may be the one that counts."""
        self._sizes.append((namespace, [len(namespace)], _given_names(namespace)))

    def absent(self, namespace: Mapping[str, Any], name: str) -> None:
        """Note that a name stands for nothing here, as what is built in is found elsewhere."""
        known = self._absent.setdefault(id(namespace), (namespace, [len(namespace)], set()))
        known[2].add(name)

    def function(self, function: FunctionType) -> None:
        """Note the code, the defaults and the free variables of a function."""
        cells = tuple(map(_hold, cell_contents(function)))
        # Defaults by name are a dict, which may be written to.
        named = function.__kwdefaults__ or {}
        for name, default in named.items():
            self.name(named, name, default)
        self._functions[id(function)] = (
            ref(function),
            function.__code__,
            function.__defaults__,
            function.__kwdefaults__,
            cells,
        )

    def content(self, value: object, encode: Callable[[Any], bytes], kind: object) -> None:
        """Note what is inside a value, if it can change in place; one kind of encoding of it is noted once."""
        if not is_immutable(value) and (id(value), kind) not in self._contents:
            self._contents[id(value), kind] = (value, encode, [encode(value), _inside(value)])

    def file(self, path: Path, state: os.stat_result) -> None:
        """Note when a file was written last."""
        self._files.append((path, state.st_mtime_ns, state.st_size))

    def is_unchanged(self) -> bool:
        """Say whether everything is still what it was."""
        for namespace, name, value in self._names.values():
            if not _is_held(value, namespace.get(name, ABSENT)):
                return False
        for reference, code, defaults, named, cells in self._functions.values():
            function = reference()
            if function is None:
                continue
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__kwdefaults__ is not named
                or (cells and not all(map(_is_held, cells, cell_contents(function))))
            ):
                return False
        for watched in self._sizes:
            if len(watched[0]) != watched[1][0] and not _has_same_names(watched):
                return False
        if self._absent and not all(map(_is_absent, self._absent.values())):
            return False
        if self._files and not all(map(_is_unwritten, self._files)):
            return False
        return not self._contents or all(map(_is_same_inside, self._contents.values()))


def _given_names(namespace: Mapping[Any, Any]) -> frozenset[Any]:
    # Python adds some of its own when they are asked for: `__annotations__`.
    return frozenset(name for name in namespace if not (isinstance(name, str) and name.startswith("__")))


def _has_same_names(watched: tuple[Mapping[Any, Any], list[int], frozenset[Any]]) -> bool:
    namespace, known, names = watched
    if _given_names(namespace) != names:
        return False
    known[0] = len(namespace)
    return True


def _is_absent(watched: tuple[Mapping[str, Any], list[int], set[str]]) -> bool:
    namespace, known, names = watched
    # A name that nobody reads is no reason to look at the code again.
    if len(namespace) != known[0]:
        if not names.isdisjoint(namespace):
            return False
        known[0] = len(namespace)
    return True


def _is_unwritten(watched: tuple[Path, int, int]) -> bool:
    path, written, size = watched
    try:
        state = os.stat(path)  # noqa: PTH116 - the quicker way, asked at each call
    except OSError:
        return False
    return (state.st_mtime_ns, state.st_size) == (written, size)


def cell_contents(function: FunctionType) -> list[Any]:
    """Return what the free variables of a function hold, in the order of their names."""
    contents = []
    for cell in function.__closure__ or ():
        try:
            contents.append(cell.cell_contents)
        except ValueError:
            contents.append(ABSENT)
    return contents


def is_immutable(value: object) -> bool:
    """Say whether a value stays what it is for as long as it lives, or is watched in another way."""
    cls = type(value)
    if cls in LEAVES:
        return cls not in (bytearray, memoryview)
    if cls in (tuple, frozenset):
        return all(map(is_immutable, cast(Iterable[object], value)))
    return isinstance(value, _SETTLED) or f"{cls.__module__}.{cls.__qualname__}" in _SETTLED_NAMES


def _inside(value: Any) -> list[tuple[Any, list[Any]]] | None:
    """Return the containers inside a value with their members; None if it holds something else that may change."""
    found: list[tuple[Any, list[Any]]] = []
    open_ = [value]
    while open_:
        container = open_.pop()
        if type(container) not in _CONTAINERS:
            if _is_frozen(type(container)):
                open_.append(vars(container))
            elif _is_row(type(container)):
                open_ += container
            elif not is_immutable(container):
                return None
            continue
        if len(found) > _MOST_INSIDE:
            return None
        members = _members(container)
        found.append((container, members))
        open_ += members
    return found


def _is_frozen(cls: type) -> bool:
    """Say whether instances of a class are what is in their fields: those of plain frozen dataclasses."""
    return cls.__dictoffset__ != 0 and all(
        (parameters := vars(base).get("__dataclass_params__")) is not None
        and parameters.frozen
        and _SAYING.isdisjoint(vars(base))
        for base in cls.__mro__[:-1]
    )


def _is_row(cls: type) -> bool:
    """Say whether instances of a class are tuples with names, and nothing else."""
    return cls.__mro__[1:] == (tuple, object) and cls.__dictoffset__ == 0 and _SAYING.isdisjoint(vars(cls))


def _members(container: Any) -> list[Any]:
    return [*container.keys(), *container.values()] if type(container) is dict else list(container)


def _is_same_inside(watched: tuple[Any, Callable[[Any], bytes], list[Any]]) -> bool:
    value, encode, known = watched
    encoding, inside = known
    # The same members in the same places need not be encoded again.
    if inside is not None and all(
        len(container) * (1 + (type(container) is dict)) == len(members)
        and all(map(is_, _members(container), members))
        for container, members in inside
    ):
        return True
    if encode(value) != encoding:
        return False
    known[1] = _inside(value)
    return True


def _hold(value: Any) -> Any:
    return ref(value) if type(value) is FunctionType else value


def _is_held(held: Any, value: Any) -> bool:
    return held is value or (type(held) is ref and held() is value)
