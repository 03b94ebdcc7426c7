"""What a class holds otherwise than its text says: the text was edited after the class was made."""

from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from cachestore.keys.encoding import text
from cachestore.keys.source_file import constant, parse
from cachestore.keys.watched import ABSENT


def deviations(cls: type, node: ast.ClassDef, namespace: Mapping[str, Any]) -> dict[str, bytes]:
    """Return what a class holds instead of what stands in its body, by name: nothing if it was made from it.

    Only what is written plainly is compared: constants, names of methods, and annotations that are names. Decorators
    and metaclasses may take away or replace what was written, in the same way wherever they run.

    Parameters
    ----------
    namespace
        The globals that the names in the body stand for.

    Examples
    --------
    >>> (node,) = ast.parse("class Options:\\n    depth: int\\n    rate = 2").body
    >>> deviations(type("Options", (), {"__annotations__": {"depth": int}, "rate": 2}), node, {})
    {}
    >>> list(deviations(type("Options", (), {"__annotations__": {"depth": str}}), node, {}))
    ['rate', 'annotation of depth']
    """
    constants = {_mangled(cls, name): value for name, value in _constants(node)}
    found = {
        name: held
        for name, value in constants.items()
        if (held := _other_constant(vars(cls).get(name, ABSENT), value)) is not None
    }
    # Those under an `if` are made on some machines only.
    for method in node.body:
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
            name = _mangled(cls, method.name)
            if name not in vars(cls):
                found[f"method {name}"] = b""
    known = {**vars(builtins), **namespace, **vars(cls)}
    annotations = _annotations(cls)
    written = {_mangled(cls, name): annotation for name, annotation in _annotated(node.body)}
    for name, annotation in written.items():
        other = _other_annotation(annotations.get(name, ABSENT), annotation, known)
        if other is not None:
            found[f"annotation of {name}"] = other
    anywhere = {_mangled(cls, name) for name, _ in _annotated(ast.walk(node))}
    for name in sorted(annotations.keys() - anywhere):
        found[f"annotation of {name}"] = text(name)
    return found


def _constants(node: ast.ClassDef) -> Iterator[tuple[str, Any]]:
    for statement in node.body:
        match statement:
            case ast.Assign([ast.Name(name)], value) | ast.AnnAssign(ast.Name(name), _, ast.expr() as value):
                try:
                    yield name, ast.literal_eval(value)
                except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                    continue


def _other_constant(held: Any, written: Any) -> bytes | None:
    """Return the encoding of what is held; None if it is what was written, or something that was made of it."""
    if held is ABSENT:
        return b""
    if type(held) is not type(written) or held == written:
        return None
    try:
        return constant(held)
    except KeyError:
        return b""


def _annotations(cls: type) -> Mapping[str, Any]:
    try:
        return inspect.get_annotations(cls)
    except Exception:  # noqa: BLE001 - Python 3.14 makes them when they are asked for, by code of the user
        return {}


def _annotated(nodes: Any) -> Iterator[tuple[str, ast.expr]]:
    for node in nodes:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node.annotation


def _other_annotation(held: Any, written: ast.expr, known: Mapping[str, Any]) -> bytes | None:
    """Return the encoding of the annotation that is held; None if it may be the one that was written."""
    if held is ABSENT:
        return b""
    held = getattr(held, "__forward_arg__", held)  # named tuples and typed dicts wrap their texts
    if isinstance(held, str):
        if isinstance(written, ast.Constant) and written.value == held:
            return None
        return text(held) if _tree(held) != ast.dump(written) else None
    meant = _meant(written, known)
    alike = (
        not (isinstance(held, type) and isinstance(meant, type)) or held.__qualname__ == meant.__qualname__
    )
    return None if alike else text(held.__qualname__)


def _tree(annotation: str) -> str | None:
    try:
        (statement,) = parse(annotation).body
    except (SyntaxError, ValueError, RecursionError):
        return None
    return ast.dump(statement.value) if isinstance(statement, ast.Expr) else None


def _meant(annotation: ast.expr, known: Mapping[str, Any]) -> Any:
    if isinstance(annotation, ast.Name):
        return known.get(annotation.id)
    if isinstance(annotation, ast.Attribute):
        return getattr(_meant(annotation.value, known), annotation.attr, None)
    return None


def _mangled(cls: type, name: str) -> str:
    private = name.startswith("__") and not name.endswith("__")
    return f"_{cls.__name__.lstrip('_')}{name}" if private else name
