"""Where code runs: is it the code that the key speaks of?"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from cachestore.keys.code_origin import package_version
from cachestore.keys.hasher import new_walk
from cachestore.keys.reach import code_parts
from cachestore.keys.rules import DELIVERED, Rules
from cachestore.keys.walk import Refusal
from cachestore.keys.watched import ABSENT

_CODE = frozenset({"function", "class", "module"})


def differing_parts(parts: Mapping[str, str], *, rules: Rules = DELIVERED) -> dict[str, str | None]:
    """Return the parts whose code in this process is not that of the given versions, each with its version here.

    Only what this process finds by its name is looked at. What came pickled by value (from `__main__`, a
    notebook, the inside of a function, or a module that is not here) brought its code along.

    Parameters
    ----------
    parts
        The version of each part, as in `FunctionIdentity.parts` or `CallKey.code_parts`.
    rules
        How code is looked at.

    Returns
    -------
    dict
        By the name of the part; None stands for what is not there, or has no version.
    """
    walk = new_walk(rules)
    differing: dict[str, str | None] = {}
    for name, version in parts.items():
        kind, _, place = name.partition(":")
        if kind == "package":
            here = package_version(place, rules.fineness(place))
            if here != version:
                differing[name] = here
            continue
        value = _find(place) if kind in _CODE else ABSENT
        if value is None:
            differing[name] = None
        elif value is not ABSENT:
            try:
                walk.encode(value)
            except Refusal:
                differing[name] = None
    for name, version in code_parts(walk).items():
        if parts.get(name, version) != version:
            differing[name] = version
    return dict(sorted(differing.items()))


def _find(place: str) -> Any:
    """Return what stands at `module:qualname`: None if it is gone, ABSENT if it is not found by its name."""
    module_name, _, qualname = place.partition(":")
    if module_name == "__main__" or "<" in qualname:
        return ABSENT
    value: Any = sys.modules.get(module_name)
    if value is None:
        try:
            value = import_module(module_name)
        except Exception:  # noqa: BLE001 - a module that does not load is a module that is not here
            return ABSENT
    for name in qualname.split(".") if qualname else ():
        value = getattr(value, name, None)
    return value


def find_part(name: str) -> Any:
    """Return the function or class that is a part of this name here; None if the name does not lead to one."""
    value = _find(name.partition(":")[2])
    return None if value is ABSENT else value
