"""Which tasks of joblib are looked up, and by which key.

Folds of scikit-learn are, by a key of their own; so are tasks of the team's own functions. A task of an installed
library is not, for it may write into its arguments; nor is one whose arguments have no stable digest.
A memorised function answers for itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MethodType
from typing import Any

from cachestore.cache import Hit, Miss
from cachestore.keys import CallKey, KeyedFunction, Rules, configured
from cachestore.parallel import fold
from cachestore.parallel.digests import Digests

# Every fit and check of scikit-learn makes these errors for a moment; threads that fit at once restore each other's
# filters, and leave them behind for good. Whoever sets them changes nothing: to scikit-learn they are errors already.
_ERRORS_FOR_MOMENTS = frozenset({"ComplexWarning", "VisibleDeprecationWarning"})


@dataclass(frozen=True, slots=True)
class TaskCall:
    """Says by which key a task is looked up.

    Attributes
    ----------
    call
        The key, and what it is made of.
    is_fold
        Whether it is a fit and score of scikit-learn.
    unseeded
        Names of what in a fold may draw random numbers that nobody seeded.
    """

    call: CallKey
    is_fold: bool = False
    unseeded: tuple[str, ...] = ()

    def is_storable(
        self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any, *, rules: Rules
    ) -> bool:
        """Say whether a value may stand for the call from now on.

        Not that of a fold that failed. Not that of another task that returns nothing, and so works by what it
        changes; nor where its arguments are not any more what they were when it was looked up.
        """
        if self.is_fold:
            return fold.is_storable(args, kwargs, value)
        return value is not None and not KeyedFunction(bare_function(function), rules=rules).changed(
            self.call, args, kwargs
        )


def task_call(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], digests: Digests
) -> TaskCall | None:
    """Return the key of a task; None where it is not looked up.

    Raises
    ------
    KeyingError
        If an argument has no stable digest.
    """
    bare = bare_function(function)
    ambient = None if bare is function else _ambient(function)
    if fold.is_fold(bare):
        call, unseeded = fold.fold_call(bare, args, kwargs, ambient, digests)
        return TaskCall(call, is_fold=True, unseeded=unseeded)
    keyed = digests.keyed(bare)
    if not any(part.startswith("function:") for part in keyed.identity().parts):
        return None
    return TaskCall(keyed.key(args, kwargs, ambient=ambient))


def ask_memorised(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hit | Miss | None:
    """Ask a memorised function, or method, for the answer to a task; None if it is neither."""
    bare: Any = bare_function(function)
    if isinstance(bare, MethodType):
        bare, args = bare.__func__, (bare.__self__, *args)
    ask = getattr(type(bare), "__cachestore_lookup__", None)
    answer: Hit | Miss | None = None if ask is None else ask(bare, *args, **kwargs)
    return answer


def bare_function(function: Any) -> Any:
    """Return the function inside scikit-learn's wrapper, which carries its surroundings to the worker."""
    return function.function if type(function).__module__ == "sklearn.utils.parallel" else function


def _ambient(wrapper: Any) -> Any:
    """Say what of the surroundings in a wrapper can change a result: configuration, warnings that are errors."""
    config = configured(getattr(wrapper, "config", {}))
    errors = [
        (category, getattr(message, "pattern", message), getattr(module, "pattern", module), line)
        for action, message, category, module, line in getattr(wrapper, "warning_filters", [])
        if action == "error" and category.__name__ not in _ERRORS_FOR_MOMENTS
    ]
    return (config, errors) if config or errors else None
