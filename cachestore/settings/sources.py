"""Where settings come from: the environment, a file that the team commits, the defaults."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar, Token
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import Any

from cachestore.errors import SettingsError
from cachestore.settings.settings import Settings, is_url

_NAMES = tuple(field.name for field in fields(Settings))
_PREFIX = "CACHESTORE_"

# Of a worker, while it unpickles or runs a task: its client's.
_adopted: ContextVar[Settings | None] = ContextVar("cachestore_adopted", default=None)

# Who calls through these means what stands beside their own code.
_BETWEEN = frozenset({"cachestore", "joblib", "sklearn"})


def adopt(settings: Settings) -> Token[Settings | None]:
    """Make `settings` those of this thread: a worker works with what its client was given."""
    return _adopted.set(settings)


def give_back(token: Token[Settings | None]) -> None:
    """Undo an adoption."""
    _adopted.reset(token)


def settings_here() -> Settings:
    """Return the settings of whoever calls into cachestore: those of a worker's client, or what is found.

    Raises
    ------
    SettingsError
        If a file cannot be read, or a name or value has no meaning.
    """
    adopted = _adopted.get()
    return find_settings(_folder_of_caller())[0] if adopted is None else adopted


def _folder_of_caller() -> Path | None:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame = frame.f_back
    file = frame.f_globals.get("__file__") if frame is not None else None
    return Path(file).resolve().parent if file else None


def find_settings(
    start: Path | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Settings, dict[str, str]]:
    """Find the settings, and for each the place it came from.

    A settings file is sought upward from `start` (the folder of the calling module), then from the working
    directory; a relative location, index or near directory in it is relative to the file.

    Parameters
    ----------
    start
        The first folder to look in.
    environ
        The environment; by default that of the process.

    Returns
    -------
    settings, origins
        The settings, and a text such as `CACHESTORE_USER` or `/repo/pyproject.toml` for each of them.

    Raises
    ------
    SettingsError
        If a file cannot be read, or a name or value in it has no meaning.
    """
    environ = os.environ if environ is None else environ
    here = _working_directory()
    # Without a working directory it stays relative: only who needs it hears of that.
    values: dict[str, Any] = {"location": str((here or Path()) / ".cachestore")}
    origins = dict.fromkeys(_NAMES, "default")
    file, table = _find_file(start, here)
    if file is not None:
        for name, value in table.items():
            values[name] = _anchored(name, value, file.parent)
            origins[name] = str(file)
    for name in _NAMES:
        text = environ.get(_PREFIX + name.upper())
        if text:
            values[name] = _anchored(name, _from_text(name, text), here)
            origins[name] = _PREFIX + name.upper()
    try:
        return Settings(**values), origins
    except SettingsError as error:
        setting = str(error).split(" ", 1)[0]
        raise SettingsError(f"{error} It was set in {origins.get(setting, 'the settings')}.") from None


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the variables that are named as if they were a setting's, and are none's: somebody may have misspelt it.

    Examples
    --------
    >>> unknown_variables({"CACHESTORE_LOCATON": "s3://team/cache", "CACHESTORE_USER": "ana", "HOME": "/home/ana"})
    ['CACHESTORE_LOCATON']
    """
    known = {_PREFIX + name.upper() for name in _NAMES}
    environ = os.environ if environ is None else environ
    return sorted(name for name in environ if name.startswith(_PREFIX) and name not in known)


def _working_directory() -> Path | None:
    try:
        return Path.cwd()
    except FileNotFoundError:  # somebody removed it
        return None


def _find_file(*starts: Path | None) -> tuple[Path | None, dict[str, Any]]:
    for folder in _upward(starts):
        for name, read in (("cachestore.toml", _read_own), ("pyproject.toml", _read_project)):
            file = folder / name
            # Unlike `Path.is_file`, this is no error in a folder that may not be entered.
            if os.path.isfile(file):  # noqa: PTH113
                table = read(file)
                if table is not None:
                    return file, table
    return None, {}


def _upward(starts: Iterable[Path | None]) -> Iterator[Path]:
    for first in starts:
        if first is not None:
            yield first
            yield from first.parents


def _read_own(file: Path) -> dict[str, Any] | None:
    table = _toml(file, _content(file))
    if "tool" in table:
        raise SettingsError(
            f"{file} has a table [tool], as pyproject.toml has. Write the settings at the top of the file, under no "
            "table."
        )
    return _checked(table, file)


def _read_project(file: Path) -> dict[str, Any] | None:
    # Most pyproject.toml are of others, and reading TOML costs more than a whole hit: look for the word first.
    content = _content(file)
    if b"cachestore" not in content:
        return None
    tools = _toml(file, content).get("tool", {})
    table = tools.get("cachestore") if isinstance(tools, dict) else None
    if table is not None and not isinstance(table, dict):
        raise SettingsError(f"{file} sets tool.cachestore to {table!r}. Write a table: [tool.cachestore].")
    return None if table is None else _checked(table, file)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be read: {error.strerror}. Ask its owner for access, or work elsewhere."
        ) from error


def _toml(file: Path, content: bytes) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read as TOML: {error}. Mend it, or remove it.") from error


def _checked(table: dict[str, Any], file: Path) -> dict[str, Any]:
    for name in table:
        if name not in _NAMES:
            raise SettingsError(f"{file} sets {name!r}, which is no setting. There are: {', '.join(_NAMES)}.")
    for name in ("compress", "first_party"):
        if isinstance(table.get(name), list):
            table[name] = tuple(table[name])
    return table


def _from_text(name: str, text: str) -> Any:
    read = _READERS.get(name)
    if read is None:
        return text
    try:
        return read(text)
    except (ValueError, KeyError) as error:
        # Options of a filesystem may hold a secret, and so may what the parser says of them.
        shown, cause = ("set to something", None) if name == "storage_options" else (repr(text), error)
        raise SettingsError(
            f"{_PREFIX}{name.upper()} is {shown}, which is no value for {name}. {_HINTS[name]}"
        ) from cause


def _compress(text: str) -> Any:
    value = json.loads(text) if text[:1] in "[0123456789tfn" else text
    return tuple(value) if isinstance(value, list) else value


def _flag(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


_READERS: dict[str, Callable[[str], Any]] = {
    "storage_options": json.loads,
    "compress": _compress,
    "verbose": int,
    "timeout": float,
    "near": lambda text: False if text.lower() in {"false", "0"} else text,
    "write_behind": _flag,
    "durable": _flag,
    "min_seconds": lambda text: text if text == "measured" else float(text),
    "read_only": _flag,
    "reuse_unseeded": _flag,
    "keep_sources": _flag,
    "value_summaries": _flag,
    "first_party": lambda text: tuple(name.strip() for name in text.split(",") if name.strip()),
    "package_versions": lambda text: json.loads(text) if text.startswith("{") else text,
    "check_arguments": _flag,
}
_HINTS = {
    "storage_options": """Write JSON: {"profile": "team"}.""",
    "compress": """Write a codec, a level, true, false, or JSON: ["zstd", 5].""",
    "verbose": "Write a whole number.",
    "timeout": "Write seconds.",
    "write_behind": "Write true or false.",
    "durable": "Write true or false.",
    "min_seconds": "Write seconds, or measured.",
    "read_only": "Write true or false.",
    "reuse_unseeded": "Write true or false.",
    "keep_sources": "Write true or false.",
    "value_summaries": "Write true or false.",
    "package_versions": """Write exact, minor or ignore, or JSON: {"default": "minor", "numpy": "exact"}.""",
    "check_arguments": "Write true or false.",
}


def _anchored(name: str, value: Any, folder: Path | None) -> Any:
    """Make a relative path absolute: the process may change its directory later."""
    if name not in {"location", "index", "near"} or not isinstance(value, str) or not value or is_url(value):
        return value
    path = Path(value).expanduser()
    if folder is None and not path.is_absolute():
        raise SettingsError(
            f"{name} is {value!r}, and the working directory was removed. Write an absolute path, or work elsewhere."
        )
    return os.path.normpath((folder or Path()) / path)
