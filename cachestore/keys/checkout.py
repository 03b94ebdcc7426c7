"""Paths inside the checkout that code runs from: by how they are reached from the module, not by where it lies."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from operator import is_
from pathlib import Path, PurePath
from typing import Any

# What stands at the top of a project.
_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", ".git")
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_MOST_LEVELS = 5


@dataclass(frozen=True, slots=True)
class Inside:
    """Stands for a path inside the checkout of a module; nothing else has the same encoding.

    Parameters
    ----------
    kind
        `text` or `path`: they are not equal.
    above
        How many folders to go up from that of the module.
    rest
        What follows, as it is written, with forward slashes.
    """

    kind: str
    above: int
    rest: str


def portable(value: Any, namespace: Mapping[str, Any]) -> Any:
    """Return a constant of a module with what stands for paths inside its checkout, in containers too.

    A path counts as inside if it is so by its text and by where it leads: under the folder that the module is
    imported from, or that of its project. What lies in a file there is no part of it, no more than with any path.

    Parameters
    ----------
    value
        What a global of the module stands for. It is never changed.
    namespace
        The names of the module, `__file__` and `__name__` among them.

    Examples
    --------
    >>> names = {"__name__": "acme.load", "__file__": "/home/ana/acme/load.py"}
    >>> portable("/home/ana/acme/data/a.csv", names)
    Inside(kind='text', above=0, rest='/data/a.csv')
    >>> portable({"raw": "/srv/data"}, names)
    {'raw': '/srv/data'}
    """
    file = namespace.get("__file__")
    if not isinstance(file, str):
        return value
    # `python -m acme.load` calls the module `__main__`.
    name = getattr(namespace.get("__spec__"), "name", None) or namespace.get("__name__")
    return _replaced(value, _folders(file, str(name)), 0)


def _replaced(value: Any, folders: tuple[tuple[str, ...], ...], level: int) -> Any:
    cls = type(value)
    if cls is str:
        return _inside("text", value, folders) or value
    if isinstance(value, PurePath):
        return _inside("path", os.fspath(value), folders) or value
    if level == _MOST_LEVELS:
        return value
    if cls in (list, tuple, set, frozenset):
        members = [_replaced(member, folders, level + 1) for member in value]
        return value if all(map(is_, members, value)) else cls(members)
    if cls is dict:
        pairs = {
            _replaced(key, folders, level + 1): _replaced(member, folders, level + 1)
            for key, member in value.items()
        }
        unchanged = all(map(is_, pairs, value)) and all(map(is_, pairs.values(), value.values()))
        return value if unchanged else pairs
    return value


def _inside(kind: str, path: str, folders: tuple[tuple[str, ...], ...]) -> Inside | None:
    for upwards in folders:
        for above, folder in enumerate(upwards):
            if _is_under(path, folder):
                # `..` may lead out again.
                if not _is_under(os.path.normpath(path), upwards[-1]):
                    return None
                return Inside(kind, above, path[len(folder) :].replace(os.sep, "/"))
    return None


def _is_under(path: str, folder: str) -> bool:
    return path.startswith(folder) and path[len(folder) : len(folder) + 1] in ("", "/", os.sep)


@cache
def _folders(file: str, module: str) -> tuple[tuple[str, ...], ...]:
    """Return the folders from that of a module up to the top of its checkout, as named and with links followed."""
    spellings = dict.fromkeys((os.path.abspath(file), os.path.realpath(file)))  # noqa: PTH100
    return tuple(found for spelling in spellings if (found := _upwards(Path(spelling), module)))


def _upwards(file: Path, module: str) -> tuple[str, ...]:
    parents = list(file.parents)
    depth = module.count(".") + (file.stem == "__init__")
    top = min(depth, len(parents) - 1)
    if not _INSTALLED.intersection(file.parts):
        # Settings are often kept in a repository of one's own there.
        home = Path("~").expanduser()
        marked = (
            place
            for place, folder in enumerate(parents)
            if place >= top and folder != home and any((folder / mark).exists() for mark in _MARKS)
        )
        top = next(marked, top)
    # Everything is inside the root of a file system, and nothing is said by that.
    return tuple(str(folder) for folder in parents[: top + 1] if folder != folder.parent)
