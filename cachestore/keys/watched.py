"""What was looked at on the way to a version, so that the version can be seen to hold still."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sized
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast
from weakref import ref

from cachestore.keys.scalars import LEAVES

ABSENT: Any = object()
"""Stands for what a name or a free variable stands for that nobody has set."""


class Watched:
    """Holds names, functions, free variables and files with what they were.

    Functions are held weakly: what is remembered of a closure must not keep it alive.
    """

    __slots__ = ("_absent", "_contents", "_files", "_functions", "_names", "_sizes")

    def __init__(self) -> None:
        self._names: list[tuple[Mapping[Any, Any], Any, Any]] = []
        self._functions: list[tuple[ref[FunctionType], CodeType, Any, Any, tuple[Any, ...]]] = []
        self._contents: list[tuple[Any, Callable[[Any], bytes], bytes]] = []
        self._files: list[tuple[Path, int, int]] = []
        self._sizes: list[tuple[Sized, int]] = []
        # For each namespace the size that it had, and the names that were not in it.
        self._absent: dict[int, tuple[Mapping[str, Any], list[int], set[str]]] = {}

    def name(self, namespace: Mapping[Any, Any], name: Any, value: object) -> None:
        """Note what a name stands for."""
        self._names.append((namespace, name, _hold(value)))

    def size(self, namespace: Sized) -> None:
        """Note how many names there are: one more may be the one that counts."""
        self._sizes.append((namespace, len(namespace)))

    def absent(self, namespace: Mapping[str, Any], name: str) -> None:
        """Note that a name stands for nothing here, as what is built in is found elsewhere."""
        known = self._absent.setdefault(id(namespace), (namespace, [len(namespace)], set()))
        known[2].add(name)

    def function(self, function: FunctionType) -> None:
        """Note the code, the defaults and the free variables of a function."""
        cells = tuple(map(_hold, cell_contents(function)))
        self._functions.append(
            (ref(function), function.__code__, function.__defaults__, function.__kwdefaults__, cells)
        )

    def content(self, value: object, encode: Callable[[Any], bytes]) -> None:
        """Note what is inside a value, if it can change in place."""
        if not is_immutable(value):
            self._contents.append((value, encode, encode(value)))

    def file(self, path: Path, state: os.stat_result) -> None:
        """Note when a file was written last."""
        self._files.append((path, state.st_mtime_ns, state.st_size))

    def is_unchanged(self) -> bool:
        """Say whether everything is still what it was."""
        for namespace, name, value in self._names:
            if not _is_held(value, namespace.get(name, ABSENT)):
                return False
        for reference, code, defaults, named, cells in self._functions:
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
        for sized, size in self._sizes:
            if len(sized) != size:
                return False
        if self._absent and not all(map(_is_absent, self._absent.values())):
            return False
        if self._files and not all(map(_is_unwritten, self._files)):
            return False
        if not self._contents:
            return True
        return all(encode(value) == encoding for value, encode, encoding in self._contents)


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
    if cls in (tuple, frozenset):
        return all(map(is_immutable, cast(Iterable[object], value)))
    return (cls in LEAVES and cls not in (bytearray, memoryview)) or isinstance(
        value, FunctionType | type | ModuleType
    )


def _hold(value: Any) -> Any:
    return ref(value) if type(value) is FunctionType else value


def _is_held(held: Any, value: Any) -> bool:
    return held is value or (type(held) is ref and held() is value)
