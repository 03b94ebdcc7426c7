"""The source texts of the parts of a code version, for people who want to see what changed."""

from __future__ import annotations

import ast
import linecache
import sys
import textwrap
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from cachestore.keys.differing_parts import find_part
from cachestore.keys.functions import memorised
from cachestore.keys.hasher import new_walk
from cachestore.keys.own_version import class_definition_of, definition_of, module_of, part_name
from cachestore.keys.reach import code_parts
from cachestore.keys.rules import DELIVERED, Rules
from cachestore.keys.source_file import parse
from cachestore.keys.walk import Refusal


def sources_of(
    parts: Mapping[str, str], function: Callable[..., Any] | None = None, *, rules: Rules = DELIVERED
) -> dict[str, str]:
    """Return the source of each function and class among some parts, as it is written.

    Only what is in this process in exactly that version has one. Constants have none: their values may be secret.
    A module that is handed on as a whole has none either, for what is in it may be.

    Parameters
    ----------
    parts
        The version of each part, as in `FunctionIdentity.parts` or `CallKey.code_parts`.
    function
        The function that the parts belong to, which may be one that its name does not lead to.
    rules
        How code is looked at.
    """
    walk = new_walk(rules)
    found = [find_part(name) for name in parts if name.startswith(("function:", "class:"))]
    for value in (function, *found):
        if value is not None:
            try:
                walk.encode(memorised(value) or value)
            except Refusal:
                continue
    try:
        here = code_parts(walk)
    except Refusal:
        return {}
    sources: dict[str, str] = {}
    for value in walk.code.values():
        if isinstance(value, FunctionType | type):
            name = part_name(value)
            if name in parts and here.get(name) == parts[name]:
                source = _source(value)
                # Two closures of one name stand in one part, and in one place of the file.
                if source is not None:
                    sources.setdefault(name, source)
    return dict(sorted(sources.items()))


def _source(value: FunctionType | type) -> str | None:
    node: ast.AST | None
    file: str | None
    if isinstance(value, FunctionType):
        node, file, module = definition_of(value), value.__code__.co_filename, module_of(value)
    else:
        (node, file), module = class_definition_of(value), value.__module__
    if node is None:
        return None
    tree = ast.unparse(node)
    text = _text(node, file, module)
    # Lines may come from another file of the same name than the tree did: then the tree is shown.
    return text if text is not None and _means(text, tree) else tree + "\n"


def _text(node: Any, file: str | None, module: str) -> str | None:
    if isinstance(node, ast.Lambda) or file is None:
        return None
    whole = getattr(sys.modules.get(module), "__file__", None)
    names = [file, *([whole] if isinstance(whole, str) else [])]
    lines = next(filter(None, map(linecache.getlines, names)), None)
    if not lines:
        return None
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return textwrap.dedent("".join(lines[first - 1 : node.end_lineno])).rstrip() + "\n"


def _means(text: str, tree: str) -> bool:
    try:
        return ast.unparse(parse(text)) == tree
    except (SyntaxError, ValueError):
        return False
