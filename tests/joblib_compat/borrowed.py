"""joblib's own test modules, read from the installed package and run with our names in place of its."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from _pytest.assertion.rewrite import rewrite_asserts


def borrow(
    module: str, ours: str, inside: Mapping[str, str], namespace: dict[str, Any], **instead: object
) -> None:
    """Run the source of a test module in a namespace of ours.

    Parameters
    ----------
    module
        Its name: `test_memory`.
    ours
        Imports that follow its own and take the place of some.
    inside
        The tests that look at joblib's inside, each with the reason why it cannot pass: they are expected to fail, and
        one that passes is an error too.
    namespace
        Where the tests go.
    **instead
        What takes the place of helpers that reach into joblib's store, by name.
    """
    original = importlib.import_module(f"joblib.test.{module}")
    assert original.__file__ is not None
    source = Path(original.__file__).read_bytes()
    tree = ast.parse(source)
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.level:
            statement.level, statement.module = 0, f"joblib.test.{statement.module}"
    last = max(
        place
        for place, statement in enumerate(tree.body)
        if isinstance(statement, ast.Import | ast.ImportFrom)
    )
    tree.body[last + 1 : last + 1] = ast.parse(ours).body
    rewrite_asserts(tree, source, original.__file__)
    exec(compile(tree, original.__file__, "exec", dont_inherit=True), namespace)
    for name in instead:
        assert name in namespace, f"{module} has no {name} any more"
    namespace.update(instead)
    # What is ill is told once more than in joblib, by a warning, which is an error elsewhere in these tests.
    namespace["pytestmark"] = [
        pytest.mark.filterwarnings("ignore::cachestore.CachestoreWarning"),
        pytest.mark.usefixtures("alone", "in_a_folder"),
    ]
    for test, reason in inside.items():
        owner, _, name = test.rpartition(".")
        mark = pytest.mark.xfail(strict=True, reason=reason)
        if owner:
            setattr(namespace[owner], name, mark(getattr(namespace[owner], name)))
        else:
            namespace[name] = mark(namespace[name])


def damage_single_entry(memory: Any) -> None:
    """Damage the value of the only entry, where a look at what the entry says of itself does not see it."""
    (blob,) = (path for path in Path(memory.store_backend.location, "blobs").rglob("*") if path.is_file())
    chunk = memory.store_backend.open_blob(blob.name).table.frames[0].chunks[0]
    with blob.open("r+b") as file:
        file.seek(chunk.offset)
        (byte,) = file.read(1)
        file.seek(chunk.offset)
        file.write(bytes([byte ^ 0xFF]))


def recorded_log(func: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record what a memorised function warns of in the log."""
    recorded: list[str] = []
    monkeypatch.setattr(func, "warn", recorded.append)
    return recorded
