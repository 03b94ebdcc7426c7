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


def differing_parts(parts: Mapping[str, str], *, rules: Rules = DELIVERED) -> list[str]:
    """Return the names of the parts whose code in this process is not that of the given versions.

    Only what this process finds by its name is looked at. What came pickled by value (from `__main__`, a
    notebook, the inside of a function, or a module that is not here) brought its code along.

    Parameters
    ----------
    parts
        The version of each part, as in `FunctionIdentity.parts` or `CallKey.code_parts`.
    rules
        How code is looked at.
    """
    walk = new_walk(rules)
    differing = set()
    for name, version in parts.items():
        kind, _, place = name.partition(":")
        if kind == "package":
            if package_version(place, rules.fineness(place)) != version:
                differing.add(name)
            continue
        value = _find(place) if kind in _CODE else ABSENT
        if value is None:
            differing.add(name)
        elif value is not ABSENT:
            try:
                walk.encode(value)
            except Refusal:
                differing.add(name)
    here = code_parts(walk)
    differing.update(name for name, version in here.items() if parts.get(name, version) != version)
    return sorted(differing)


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
