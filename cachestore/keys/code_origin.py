"""Where a module comes from: the standard library, an installed distribution, or the team itself.

Decided by path, as `importlib.metadata` alone costs more than a hit.
"""

from __future__ import annotations

import json
import os
import re
import sys
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from cachestore.keys.rules import DELIVERED, Rules

_STANDARD_LIBRARY = str(Path(os.__file__).parent) + os.sep
_INSTALLED = re.compile(r"(.*[/\\](?:site|dist)-packages)[/\\]")
_MINOR = re.compile(r"\d+(?:\.\d+)?")

# This package is no part of what users compute: it changes a key only by the format number of the keys.
_OURSELVES = __name__.partition(".")[0]


class Origin(NamedTuple):
    """Says whose code a module is.

    Parameters
    ----------
    kind
        `standard` (counts by its names only), `package` (by its version), or `first-party` (by its source).
    package
        The top-level module of a package.
    """

    kind: Literal["standard", "package", "first-party"]
    package: str = ""


_STANDARD = Origin("standard")
_FIRST_PARTY = Origin("first-party")
_known: dict[str, Origin] = {}


def origin_of(module: str | None, rules: Rules = DELIVERED) -> Origin:
    """Say where a module comes from, by its name as in `__module__`.

    Parameters
    ----------
    rules
        Name what counts as the team's own wherever it was installed from.

    Examples
    --------
    >>> origin_of("json.decoder")
    Origin(kind='standard', package='')
    >>> origin_of("__main__").kind
    'first-party'
    """
    if module is None:
        return _STANDARD
    if rules.first_party and _is_named(module, rules.first_party):
        return _FIRST_PARTY
    known = _known.get(module)
    if known is None:
        known = _find_origin(module)
        # A module that is not imported yet may turn out to be something else later.
        if module in sys.modules or known is _STANDARD:
            _known[module] = known
    return known


@cache
def _is_named(module: str, patterns: tuple[str, ...]) -> bool:
    # `acme` names what is inside it too; `acme.features` of a namespace package only that part.
    parts = module.split(".")
    return any(
        fnmatchcase(".".join(parts[:depth]), pattern)
        for pattern in patterns
        for depth in range(1, len(parts) + 1)
    )


def _find_origin(module: str) -> Origin:
    top = module.partition(".")[0]
    if top == _OURSELVES or top in sys.builtin_module_names:
        return _STANDARD
    if module in {"__main__", "__mp_main__"}:
        return _FIRST_PARTY
    file = _file_of(module) or _file_of(top) or _file_on_path(top)
    if file is None:
        return _STANDARD if top in sys.stdlib_module_names else _FIRST_PARTY
    installed = _INSTALLED.match(file)
    if installed:
        root = installed[1]
    elif file.startswith(_STANDARD_LIBRARY):
        return _STANDARD
    else:
        # `pip install --target` puts distributions into any folder.
        root = _root_of(module, file)
        if not _distributions(root):
            return _FIRST_PARTY
    if top in _own_modules(root) or not _is_installed(root, top):
        return _FIRST_PARTY
    return Origin("package", top)


def _file_of(module: str) -> str | None:
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None)
    if isinstance(file, str):
        return str(Path(file).absolute())
    # A namespace package has folders, no file.
    for folder in getattr(loaded, "__path__", ()):
        return str(Path(folder, "__init__.py").absolute())
    return None


def _file_on_path(top: str) -> str | None:
    """Find the file of a module that is not imported, without importing it."""
    from importlib.util import find_spec

    try:
        spec = find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None:
        return None
    return spec.origin if spec.has_location else next(iter(spec.submodule_search_locations or ()), None)


def _root_of(module: str, file: str) -> str:
    path = Path(file)
    depth = module.count(".") + (path.stem == "__init__")
    return str(path.parents[min(depth, len(path.parents) - 1)])


@cache
def _distributions(root: str) -> tuple[str, ...]:
    return tuple(name for name in _listing(root) if name.endswith(".dist-info"))


@cache
def _listing(folder: str) -> tuple[str, ...]:
    try:
        return tuple(sorted(os.listdir(folder)))  # noqa: PTH208
    except OSError:
        return ()


@cache
def _is_installed(root: str, top: str) -> bool:
    """Say whether a distribution installed a module: what somebody laid beside those is from no index.

    Where one of them does not tell what it installed, it may have been that one.
    """
    return (
        _installer(root, top) is not None
        or any(name.endswith((".egg-info", ".egg")) for name in _listing(root))
        or not all(Path(root, folder, "RECORD").is_file() for folder in _distributions(root))
    )


@cache
def _installer(root: str, top: str) -> str | None:
    """Return the folder of the distribution that installed a module; None if none says so."""
    folders = _distributions(root)
    plain = _plain(top)
    names = {folder: _plain(folder.removesuffix(".dist-info").rpartition("-")[0]) for folder in folders}
    for folder, name in names.items():
        if name == plain:
            return folder
    # Lists of files are long, and most names are alike: `sklearn` is of `scikit_learn`.
    likely = sorted(folders, key=lambda folder: -len(_pieces(plain) & _pieces(names[folder])))
    return next((folder for folder in likely if _lists(Path(root, folder), top)), None)


def _lists(distribution: Path, top: str) -> bool:
    files = "\n" + _record(distribution)
    return f"\n{top}/" in files or f"\n{top}." in files


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _pieces(name: str) -> set[str]:
    return {name[start : start + 3] for start in range(len(name) - 2)}


@cache
def _own_modules(root: str) -> frozenset[str]:
    """Return the modules in `root` that were installed from a directory or a repository, from no index."""
    own: set[str] = set()
    for folder in Path(root).glob("*.dist-info/direct_url.json"):
        try:
            source = json.loads(folder.read_text(encoding="utf-8"))
            installer = folder.with_name("INSTALLER")
            # conda builds its packages from directories, and says so in every one of them.
            if installer.is_file() and installer.read_text(encoding="utf-8").strip() == "conda":
                continue
        except (OSError, ValueError):
            continue
        if "dir_info" in source or "vcs_info" in source or str(source.get("url", "")).startswith("file:"):
            own |= _recorded(folder.parent)
    return frozenset(own)


@cache
def _recorded(distribution: Path) -> frozenset[str]:
    """Return the top-level modules that a distribution installed."""
    first = {line.partition(",")[0].partition("/") for line in _record(distribution).splitlines()}
    packages = {name for name, slash, _ in first if slash and name.isidentifier()}
    modules = {
        name.partition(".")[0]
        for name, slash, _ in first
        if not slash and name.endswith((".py", ".so", ".pyd"))
    }
    return frozenset(packages | modules)


def _record(distribution: Path) -> str:
    try:
        return (distribution / "RECORD").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


@cache
def package_version(package: str, fineness: str = "minor") -> str:
    """Return the version of an installed package as finely as it counts.

    The package's own `__version__` counts, else that of the distribution that installed it; a package that
    has neither has the version `0`.

    Parameters
    ----------
    fineness
        `exact`, `minor` (`2.3.1` is `2.3`) or `ignore` (every version is `any`).
    """
    if fineness == "ignore":
        return "any"
    # Some packages compute theirs when it is asked for, with a warning that the name is going.
    version = getattr(sys.modules.get(package), "__dict__", {}).get("__version__")
    if not isinstance(version, str):
        version = _distribution_version(package)
    if fineness == "exact":
        return version
    minor = _MINOR.match(version)
    return minor[0] if minor else "0"


def _distribution_version(package: str) -> str:
    found = _distribution(package)
    return found[1] if found else "0"


def distribution_of(module: str) -> str | None:
    """Return the name of the distribution that installed a module; None for code that none did."""
    found = _distribution(module.partition(".")[0])
    return found[0] if found else None


@cache
def _distribution(package: str) -> tuple[str, str] | None:
    """Return name and version of the distribution that installed a top-level module."""
    file = _file_of(package) or _file_on_path(package)
    if file is None:
        return None
    installed = _INSTALLED.match(file)
    folder = _installer(installed[1] if installed else _root_of(package, file), package)
    if folder is None:
        return None
    name, _, version = folder.removesuffix(".dist-info").rpartition("-")
    return name, version
