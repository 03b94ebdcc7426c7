"""Sentinels, `MISSING = object()`: by the name under which a module has them, as they hold nothing."""

from __future__ import annotations

import ast
import sys

from cachestore.keys.encoding import record, text
from cachestore.keys.source_file import find_source
from cachestore.keys.walk import Refusal

# The value is kept beside its name: its id may not be given to another.
_known: dict[int, tuple[object, str]] = {}


def encode_sentinel(value: object) -> bytes:
    """Encode a bare `object()`: two of them are told apart by nothing but where they are.

    Raises
    ------
    Refusal
        If no module has it under a name.
    """
    known = _known.get(id(value))
    if known is None:
        name = _find(value)
        if name is None:
            raise Refusal(
                "<object>", "it is an object() with nothing in it (make it a global of a module, or an Enum)"
            )
        known = _known[id(value)] = (value, name)
    return record("sentinel", text(known[1]))


def _find(value: object) -> str | None:
    found = [
        (module, name)
        for module, loaded in list(sys.modules.items())
        for name, other in list(getattr(loaded, "__dict__", {}).items())
        if other is value
    ]
    # Others may have imported it: which of them are loaded says nothing.
    at_home = [place for place in found if len(found) == 1 or _assigns(*place)]
    return ":".join(min(at_home or found)) if found else None


def _assigns(module: str, name: str) -> bool:
    file = getattr(sys.modules.get(module), "__file__", None)
    source = find_source(file, module) if isinstance(file, str) else None
    return source is not None and any(
        isinstance(target, ast.Name) and target.id == name
        for node in source.tree.body
        for target in (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
    )
