"""Names of the standard library, alike on every Python: what it moves within itself is one thing all the same."""

from __future__ import annotations

import os.path
import sys
from types import BuiltinFunctionType, FunctionType

from cachestore.keys.code_origin import origin_of

# Modules that this system has under another name.
_SYSTEM = {os.path.__name__: "os.path", "genericpath": "os.path", os.name: "os"}
# What is neither in a private module nor under the name that all Pythons have for it.
_MOVED = {
    ("_thread", "allocate_lock"): ("threading", "Lock"),
    ("_thread", "lock"): ("threading", "Lock"),
    ("asyncio.tasks", "current_task"): ("asyncio", "current_task"),
    ("annotationlib", "ForwardRef"): ("typing", "ForwardRef"),
    ("os", "_path_normpath"): ("os.path", "normpath"),
    ("os", "_path_splitroot"): ("os.path", "splitroot"),
    ("os", "_path_splitroot_ex"): ("os.path", "splitroot"),
    ("re", "PatternError"): ("re", "error"),
    ("typing", "Union"): ("types", "UnionType"),
}


def named_publicly(module: str, name: str) -> tuple[str, str]:
    """Return the module and the name under which something of the standard library goes on every Python.

    Other modules keep their names: only the standard library does not count by its version.

    Examples
    --------
    >>> import pathlib
    >>> named_publicly(pathlib.Path.__module__, "Path")
    ('pathlib', 'Path')
    >>> named_publicly("acme._local", "Path")
    ('acme._local', 'Path')
    """
    if origin_of(module).kind != "standard":
        return module, name
    public = _public_home(module, name)
    public = _SYSTEM.get(public, public)
    return _MOVED.get((public, name), (public, name))


def _public_home(module: str, name: str) -> str:
    """Return the public module that offers what a private one defines; the private one where none does."""
    parts = module.split(".")
    while len(parts) > 1 and parts[-1].startswith("_"):
        del parts[-1]
    # The compiled half of a module: `_io` of `io`.
    public = ".".join([parts[0].lstrip("_") if len(parts) == 1 else parts[0], *parts[1:]])
    offered = getattr(sys.modules.get(public), name.partition(".")[0], None)
    # It may have something else of that name: `re.compile` is not `re._compiler.compile`.
    return public if getattr(offered, "__module__", None) == module else module


def standard_name(value: object) -> str | None:
    """Return the name of a function or class of the standard library; None for everything else.

    What is a function on one Python is a built-in one or a class on another. What only says to be of the standard
    library, as classes do that were made by a call, is none of it.

    Examples
    --------
    >>> import threading
    >>> standard_name(threading.Lock)
    'threading:Lock'
    """
    if not isinstance(value, FunctionType | BuiltinFunctionType | type):
        return None
    module, name = value.__module__, value.__qualname__
    if not isinstance(module, str) or origin_of(module).kind != "standard":
        return None
    return ":".join(named_publicly(module, name)) if stands_at(value, module, name) else None


def stands_at(value: object, module: str, name: str) -> bool:
    """Say whether a name in a module that is loaded leads to an object."""
    found: object = sys.modules.get(module)
    for step in name.split("."):
        found = getattr(found, step, None)
    return found is value
