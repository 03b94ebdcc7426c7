"""What stands for a function, and binds, is copied and is pickled as one."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from types import MethodType
from typing import Any, NamedTuple, Self, cast

from cachestore.errors import SettingsError


class Wrapped:
    """Stands for a function.

    Attributes
    ----------
    func
        The function.
    """

    __slots__ = ("__dict__", "__weakref__")

    func: Callable[..., Any]

    def _stand_for(self, func: Callable[..., Any]) -> None:
        """Take over the name of a function, its documentation and what was set on it."""
        # Objects like ufuncs lack some of what is copied.
        with suppress(AttributeError, TypeError):
            functools.update_wrapper(cast(Callable[..., Any], self), func)
        self.func = func

    def __get__(self, instance: object, owner: type | None = None) -> Self:
        """Bind like what it stands for: functions do, so methods can be decorated in a class body."""
        if instance is None or isinstance(self.func, MethodType) or not hasattr(type(self.func), "__get__"):
            return self
        return self._bound_to(instance)

    def _bound_to(self, instance: object) -> Self:
        bound = type(self).__new__(type(self))
        bound.__dict__.update(self.__dict__)
        bound.func = MethodType(self.func, instance)
        return bound

    def __copy__(self) -> Self:
        """Return itself, as functions do."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return itself, as functions do: scikit-learn copies the parameters of what it clones."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Pickle a function that is found by its name by that, also where the name is that of what stands for it."""
        function, receiver = self._function_and_receiver()
        # What was taken over from the function comes with it.
        its_own = getattr(function, "__dict__", {})
        state = {
            name: value
            for name, value in self.__dict__.items()
            if name != "__wrapped__" and (name not in its_own or its_own[name] is not value)
        }
        if self._is_found_by_name() and not _goes_by_value(function):
            named = _Named(function.__module__, function.__qualname__)
            state["func"] = function if named.found() is function else named
        else:
            state["func"] = function
        return {**state, "receiver": receiver}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Stand for the function again."""
        state = dict(state)
        function, receiver = state.pop("func"), state.pop("receiver")
        if isinstance(function, _Named):
            function = function.function()
        self._stand_for(function)
        self.__dict__.update(state)
        if receiver:
            self.func = MethodType(function, *receiver)

    def _function_and_receiver(self) -> tuple[Any, tuple[object, ...]]:
        func = self.func
        return (func.__func__, (func.__self__,)) if isinstance(func, MethodType) else (func, ())

    def _is_found_by_name(self) -> bool:
        function, _ = self._function_and_receiver()
        module = getattr(function, "__module__", None)
        if module in {None, "__main__", "__mp_main__"}:
            return False
        found = _Named(module, getattr(function, "__qualname__", "<locals>")).found()
        return found is function or getattr(found, "func", None) is function


class _Named(NamedTuple):
    """Says where a function is found: what stands there is not the function itself."""

    module: str
    qualname: str

    def found(self) -> Any:
        found: Any = sys.modules.get(self.module)
        for name in self.qualname.split("."):
            found = vars(found).get(name) if isinstance(found, type) else getattr(found, name, None)
            if isinstance(found, staticmethod | classmethod):
                found = found.__func__
        return found

    def function(self) -> Any:
        import_module(self.module)
        found = self.found()
        if isinstance(found, Wrapped):
            return found.func
        raise AttributeError(
            f"{self.module} has no memorised function {self.qualname}, as it had where this was pickled."
        )


def _goes_by_value(function: Any) -> bool:
    """Tell whether the author asked cloudpickle to send the functions of its module by value."""
    for pickler in ("cloudpickle", "joblib.externals.cloudpickle"):
        registered: set[str] = getattr(sys.modules.get(pickler), "list_registry_pickle_by_value", set)()
        if any(f"{function.__module__}.".startswith(f"{name}.") for name in registered):
            return True
    return False


def refuse_generators(func: Any) -> None:
    """Refuse a function that is a generator: what it gives is used up by who takes it, and is no value to store.

    Raises
    ------
    SettingsError
        If it is one.
    """
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        name = getattr(func, "__qualname__", None) or type(func).__qualname__
        raise SettingsError(
            f"{name} is a generator function: what it yields is used up by who takes it, and cannot be stored. "
            f"Have it return a list, or memorise a function that does: `@memory.cache` over `return list({name}(...))`."
        )
