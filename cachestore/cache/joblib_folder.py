"""A directory that joblib cached in: what lies there, without unpickling any of it.

joblib has a folder for each function, named by its module and name, with the function's source in `func_code.py`; and
in it one for each call, named by joblib's digest of the arguments, with the value in `output.pkl`, and the texts of the
arguments in `metadata.json`.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cachestore.errors import CachestoreError, StorageError

_DIGEST = re.compile(r"[0-9a-f]{32}")
_FIRST_LINE = "# first line:"


class CannotBeKeyed(CachestoreError):
    """Says why an entry of joblib has no key here; its text is the reason alone."""


@dataclass(frozen=True, slots=True)
class JoblibEntry:
    """Is what joblib keeps of one call.

    Parameters
    ----------
    folder
        Where it lies.
    function
        The name that joblib gives the function: the parts of its module, of its classes, and its own.
    """

    folder: Path
    function: tuple[str, ...]

    @property
    def value(self) -> Path:
        """The file that holds the value, as a pickle."""
        return self.folder / "output.pkl"

    def code(self) -> str:
        """Read the source that the function had.

        Raises
        ------
        CannotBeKeyed
            If it was not written down.
        """
        try:
            code = (self.folder.parent / "func_code.py").read_text("utf-8")
        except (OSError, ValueError):
            raise CannotBeKeyed("the code of the function was not written down") from None
        return code.partition("\n")[2] if code.startswith(_FIRST_LINE) else code

    def described(self) -> tuple[dict[str, Any], datetime, float]:
        """Read the arguments of the call, when it ended, and how many seconds it took.

        Raises
        ------
        CannotBeKeyed
            If they were not written down, or the arguments cannot be read back from their texts.
        """
        try:
            metadata = json.loads((self.folder / "metadata.json").read_text("utf-8"))
            texts = {str(name): str(text) for name, text in metadata["input_args"].items()}
            seconds = float(metadata["duration"])
            ended = datetime.fromtimestamp(float(metadata.get("time") or self.value.stat().st_mtime), UTC)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise CannotBeKeyed("what is known of the call was not written down") from None
        arguments = {name: _read_back(name, text) for name, text in texts.items()}
        self._check(arguments)
        return arguments, ended, seconds

    def _check(self, arguments: Mapping[str, Any]) -> None:
        import joblib

        # A text may read back to something else: "1.0" is that of numpy's numbers too. The name of the folder knows.
        if joblib.hash(dict(arguments)) != self.folder.name:
            raise CannotBeKeyed("the texts of its arguments read back to other values")


def entries_in(directory: Path) -> list[JoblibEntry]:
    """List what joblib keeps in a directory, or in its subfolder `joblib`.

    Raises
    ------
    StorageError
        If there is no such directory, or nothing of joblib's in it.
    """
    folders = sorted(_folders(directory))
    inner = directory / "joblib"
    root = inner if folders and all(inner in folder.parents for folder in folders) else directory
    if not folders:
        raise StorageError(
            f"{directory} holds no results of joblib. Name the directory that was given to joblib.Memory."
        )
    return [
        JoblibEntry(folder, tuple(map(unquote, folder.parent.relative_to(root).parts))) for folder in folders
    ]


def _folders(directory: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise StorageError(
            f"{error.filename} cannot be read: {error.strerror}. Look at the place and its rights."
        )

    for folder, _, files in os.walk(directory, onerror=refuse):
        if _DIGEST.fullmatch(os.path.basename(folder)) and "output.pkl" in files:  # noqa: PTH119 - a text
            yield Path(folder)


def _read_back(name: str, text: str) -> Any:
    try:
        return ast.literal_eval(_Floats().visit(ast.parse(text, mode="eval")))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        shown = text if len(text) <= 40 else f"{text[:37]}..."
        shown = " ".join(shown.split())
        raise CannotBeKeyed(f"its argument {name!r} cannot be read back from its text: {shown}") from None


class _Floats(ast.NodeTransformer):
    """Takes `nan` and `inf` for the numbers that have these texts."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(float(node.id)) if node.id in {"nan", "inf"} else node
