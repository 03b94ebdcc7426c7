"""Where settings come from: the environment, a file that the team commits, the defaults."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from cachestore.errors import SettingsError
from cachestore.settings.settings import Settings

_NAMES = tuple(field.name for field in fields(Settings))
_PREFIX = "CACHESTORE_"

# Set once in a worker by the task that brought the client's settings.
_adopted: Settings | None = None


def adopt(settings: Settings) -> None:
    """Make `settings` those of this process: a worker works with what its client was given."""
    global _adopted
    _adopted = settings


def adopted() -> Settings | None:
    """Return the settings that this process adopted from its client, if it is a worker."""
    return _adopted


def find_settings(
    start: Path | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Settings, dict[str, str]]:
    """Find the settings, and for each the place it came from.

    A settings file is sought upward from `start` (the folder of the calling module), then from the working
    directory; a relative location or index in it is relative to the file.

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
    values: dict[str, Any] = {"location": str(Path.cwd() / ".cachestore")}
    origins = dict.fromkeys(_NAMES, "default")
    file, table = _find_file(start)
    if file is not None:
        for name, value in table.items():
            values[name] = _anchored(name, value, file.parent)
            origins[name] = str(file)
    for name in _NAMES:
        text = environ.get(_PREFIX + name.upper())
        if text:
            values[name] = _anchored(name, _from_text(name, text), Path.cwd())
            origins[name] = _PREFIX + name.upper()
    try:
        return Settings(**values), origins
    except SettingsError as error:
        setting = str(error).split(" ", 1)[0]
        raise SettingsError(f"{error} It was set in {origins.get(setting, 'the settings')}.") from None


def _find_file(start: Path | None) -> tuple[Path | None, dict[str, Any]]:
    for folder in _upward(start):
        for name, read in (("cachestore.toml", _read_own), ("pyproject.toml", _read_project)):
            file = folder / name
            if file.is_file():
                table = read(file)
                if table is not None:
                    return file, table
    return None, {}


def _upward(start: Path | None) -> Iterator[Path]:
    for first in (start, Path.cwd()):
        if first is not None:
            yield first
            yield from first.parents


def _read_own(file: Path) -> dict[str, Any] | None:
    return _checked(_toml(file), file)


def _read_project(file: Path) -> dict[str, Any] | None:
    # Most pyproject.toml are of others, and reading TOML costs more than a whole hit: look for the word first.
    if b"cachestore" not in file.read_bytes():
        return None
    table = _toml(file).get("tool", {}).get("cachestore")
    return None if table is None else _checked(table, file)


def _toml(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{file} cannot be read as TOML: {error}. Mend it, or remove it.") from error


def _checked(table: dict[str, Any], file: Path) -> dict[str, Any]:
    for name in table:
        if name not in _NAMES:
            raise SettingsError(f"{file} sets {name!r}, which is no setting. There are: {', '.join(_NAMES)}.")
    if isinstance(table.get("compress"), list):
        table["compress"] = tuple(table["compress"])
    return table


def _from_text(name: str, text: str) -> Any:
    read = _READERS.get(name)
    if read is None:
        return text
    try:
        return read(text)
    except (ValueError, KeyError) as error:
        raise SettingsError(
            f"{_PREFIX}{name.upper()} is {text!r}, which is no value for {name}. {_HINTS[name]}"
        ) from error


def _compress(text: str) -> Any:
    value = json.loads(text) if text[:1] in "[0123456789tfn" else text
    return tuple(value) if isinstance(value, list) else value


_READERS: dict[str, Callable[[str], Any]] = {
    "storage_options": json.loads,
    "compress": _compress,
    "verbose": int,
    "timeout": float,
    "reuse_unseeded": lambda text: {"true": True, "1": True, "false": False, "0": False}[text.lower()],
}
_HINTS = {
    "storage_options": """Write JSON: {"profile": "team"}.""",
    "compress": """Write a codec, a level, true, false, or JSON: ["zstd", 5].""",
    "verbose": "Write a whole number.",
    "timeout": "Write seconds.",
    "reuse_unseeded": "Write true or false.",
}


def _anchored(name: str, value: Any, folder: Path) -> Any:
    """Make a relative path absolute: the process may change its directory later."""
    if name not in {"location", "index"} or not isinstance(value, str) or not value or "://" in value:
        return value
    return os.path.normpath(folder / Path(value).expanduser())
