"""Bringing results over that joblib cached: what can be keyed anew is a plan, what cannot is listed with the reason.

A call is keyed anew where its function can be imported and has the source that joblib wrote down, and where the texts
of its arguments read back to values of which joblib's own digest is that of the call. Of helpers and constants joblib
knows nothing: they are taken to be what they were. joblib's directory is never changed, and a plan unpickles nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache as remember
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from cachestore.cache.cache import Cache, Miss
from cachestore.cache.joblib_folder import CannotBeKeyed, JoblibEntry, entries_in
from cachestore.errors import KeyingError, SettingsError
from cachestore.keys import CallKey, Declared, KeyedFunction
from cachestore.keys.functions import memorised


@dataclass(frozen=True, slots=True)
class Import:
    """Is an entry that can be brought over.

    Attributes
    ----------
    folder
        Where joblib has it.
    call
        Its call, as it is keyed here.
    size
        The bytes of the pickle.
    started_at, seconds
        When computing began, and how long it took.
    called
        The function.
    """

    folder: Path
    call: CallKey
    size: int
    started_at: datetime
    seconds: float
    called: Callable[..., Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Says of one entry of joblib why it is not brought over."""

    folder: Path
    function: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Says what will be brought over.

    Attributes
    ----------
    imports
        The entries that will be.
    present
        How many are there already.
    skipped
        Those that cannot be, and why.
    """

    imports: tuple[Import, ...]
    present: int
    skipped: tuple[Skipped, ...]

    @property
    def size(self) -> int:
        """The bytes of all pickles."""
        return sum(each.size for each in self.imports)


@dataclass(frozen=True, slots=True)
class Imported:
    """Says what was brought over, and what failed at it."""

    keys: tuple[str, ...]
    failed: tuple[Skipped, ...]


def plan(cache: Cache, directory: Path, modules: Iterable[str] = ()) -> Plan:
    """Decide what of a directory of joblib can be brought over. Modules are imported; nothing is unpickled.

    Parameters
    ----------
    modules
        Where functions are that were defined in a script or have moved: names, or files.

    Raises
    ------
    SettingsError
        If one of the modules cannot be imported, or the cache does not take pickles.
    StorageError
        If nothing of joblib's is there, or it cannot be read.
    """
    if cache.settings.load_policy != "any":
        raise SettingsError(
            f"load_policy is {cache.settings.load_policy!r}, and all that joblib stores are pickles. Import them where "
            "pickles may be read: CACHESTORE_LOAD_POLICY=any."
        )
    found = entries_in(directory)
    imports: dict[str, Import] = {}
    skipped: list[Skipped] = []
    present = 0
    with _working_directory_on_path():
        functions = _Functions([_named(name) for name in modules])
        for entry in found:
            try:
                planned = _planned(cache, entry, functions)
            except CannotBeKeyed as reason:
                skipped.append(Skipped(entry.folder, ".".join(entry.function), str(reason)))
                continue
            key = planned.call.key
            if key in imports or not isinstance(cache.peek(key), Miss):
                present += 1
            else:
                imports[key] = planned
    return Plan(tuple(imports.values()), present, tuple(skipped))


def carry_out(
    cache: Cache, decided: Plan, *, progress: Callable[[int, int], object] = lambda done, total: None
) -> Imported:
    """Bring over what was planned: each value is unpickled, which runs code that is in the pickle, and stored.

    Parameters
    ----------
    progress
        Told how many of how many are done.
    """
    from cachestore.cache.persistence import load

    keys: list[str] = []
    failed: list[Skipped] = []
    with _working_directory_on_path():
        for done, each in enumerate(decided.imports, 1):
            try:
                value = load(str(each.folder / "output.pkl"))
            except Exception as error:  # noqa: BLE001 - a pickle may raise anything
                reason = f"it cannot be loaded: {type(error).__name__}: {error}"
            else:
                stored = cache.put(
                    each.call,
                    value,
                    started_at=each.started_at,
                    seconds=each.seconds,
                    function=each.called,
                )
                reason = "" if stored is not None else "it could not be stored"
            if reason:
                failed.append(Skipped(each.folder, each.call.function, reason))
            else:
                keys.append(each.call.key)
            progress(done, len(decided.imports))
    return Imported(tuple(keys), tuple(failed))


def _planned(cache: Cache, entry: JoblibEntry, functions: _Functions) -> Import:
    found = functions.find(entry)
    arguments, ended, seconds = entry.described()
    function = memorised(found) or found
    parameters = inspect.signature(function).parameters
    names = {_joblibs_name(parameter): parameter for parameter in parameters.values()}
    if not arguments.keys() <= names.keys():
        raise CannotBeKeyed("the function has no such arguments any more")
    missing = names.keys() - arguments.keys()
    # joblib writes nothing of ignored arguments down. Which they are is not said where a function is not decorated.
    ignored = missing if found is function else getattr(found, "ignore", ())
    if not missing <= set(ignored):
        raise CannotBeKeyed("the function has arguments that were ignored, or did not exist")
    declared = getattr(found, "declared", None)
    keyed = KeyedFunction(
        function,
        ignore=ignored,
        rules=cache.rules,
        declared=declared if isinstance(declared, Declared) else Declared(),
    )
    args, kwargs = _given(parameters, {names[name].name: value for name, value in arguments.items()})
    try:
        call = keyed.key(args, kwargs)
    except (KeyingError, TypeError, ValueError) as error:
        raise CannotBeKeyed(f"its call cannot be keyed: {error}") from error
    try:
        size = entry.value.stat().st_size
    except OSError as error:
        raise CannotBeKeyed(f"its value cannot be read: {error.strerror}") from error
    return Import(entry.folder, call, size, ended - timedelta(seconds=seconds), seconds, function)


def _joblibs_name(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return "*"
    return "**" if parameter.kind is parameter.VAR_KEYWORD else parameter.name


def _given(
    parameters: Mapping[str, inspect.Parameter], values: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return arguments that bind to these values; what is ignored is None, and does not count."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            args += values.get(name, ())
        elif parameter.kind is parameter.VAR_KEYWORD:
            kwargs |= values.get(name, {})
        elif parameter.kind is parameter.KEYWORD_ONLY:
            kwargs[name] = values.get(name)
        else:
            args.append(values.get(name))
    return tuple(args), kwargs


class _Functions:
    """Finds the functions that joblib names, each once."""

    def __init__(self, modules: Sequence[ModuleType]) -> None:
        self._modules = modules
        self._find = remember(self._find_named)

    def find(self, entry: JoblibEntry) -> Any:
        """Return the function of an entry, memorised or not, of the source that it had then.

        Raises
        ------
        CannotBeKeyed
            If it cannot be found, or has another source now.
        """
        candidates, reason = self._find(entry.function)
        if not candidates:
            raise CannotBeKeyed(reason)
        code = entry.code().rstrip()
        for candidate in candidates:
            if _source(memorised(candidate) or candidate) == code:
                return candidate
        raise CannotBeKeyed("the code of the function has changed since")

    def _find_named(self, names: tuple[str, ...]) -> tuple[list[Any], str]:
        if "<locals>" in names or "<lambda>" in names:
            return [], "a function that is defined in another one, or a lambda, cannot be imported"
        if names[0].startswith("__main__"):
            found = [_reach(module, names[1:]) for module in self._modules]
            reason = "it was defined in a script or notebook: name the module that it is in now with --module"
        else:
            own, reason = _import_function(names)
            found = [own, *(_reach(module, names[-1:]) for module in self._modules)]
        return [each for each in found if callable(each)], reason


def _import_function(names: tuple[str, ...]) -> tuple[Any, str]:
    for length in range(len(names) - 1, 0, -1):
        name = ".".join(names[:length])
        try:
            return _reach(
                importlib.import_module(name), names[length:]
            ), f"{name} has no such function any more"
        except ModuleNotFoundError as error:
            if not f"{name}.".startswith(f"{error.name}."):
                return None, f"its module cannot be imported: {error}"
        except Exception as error:  # noqa: BLE001 - a module runs whatever is in it
            return None, f"its module cannot be imported: {type(error).__name__}: {error}"
    return None, f"there is no module {'.'.join(names[:-1])}: name the one that it is in now with --module"


def _reach(module: ModuleType, names: Iterable[str]) -> Any:
    found: Any = module
    for name in names:
        found = getattr(found, name, None)
    return found


def _source(function: Any) -> str | None:
    if not isinstance(function, FunctionType):
        return None
    try:
        return "".join(inspect.getsourcelines(function.__code__)[0]).rstrip()
    except (OSError, TypeError, SyntaxError):
        return None


def _named(name: str) -> ModuleType:
    """Import a module that was named, or that is in a file."""
    file = Path(name)
    try:
        if file.suffix != ".py":
            return importlib.import_module(name)
        # By the name that it has for whoever imports it from its folder.
        sys.path.insert(0, str(file.resolve().parent))
        return importlib.import_module(file.stem)
    except Exception as error:
        raise SettingsError(
            f"The module {name} cannot be imported: {type(error).__name__}: {error}. Name one that can, or its file."
        ) from error


@contextmanager
def _working_directory_on_path() -> Iterator[None]:
    """Find modules in the working directory too, as `python -m` does."""
    before = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path[:] = before
