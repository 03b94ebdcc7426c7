"""Which tasks of joblib are looked up, and by which key.

Folds of scikit-learn are, by a key of their own; so are tasks of the team's own functions. A task of an installed
library is not, for it may write into its arguments; nor is one whose arguments have no stable digest.
A memorised function answers for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cachestore.keys import CallKey, identify, key_of_call
from cachestore.parallel import fold
from cachestore.parallel.digests import Digests


@dataclass(frozen=True, slots=True)
class TaskCall:
    """Says by which key a task is looked up.

    Attributes
    ----------
    call
        The key, and what it is made of.
    unseeded
        Names of what may draw random numbers that nobody seeded.
    storable
        Given the arguments and the value, says whether the value may be stored.
    """

    call: CallKey
    unseeded: tuple[str, ...] = ()
    storable: Callable[[tuple[Any, ...], dict[str, Any], Any], bool] | None = None


def task_call(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], digests: Digests
) -> TaskCall | None:
    """Return the key of a task; None where it is not looked up.

    Raises
    ------
    KeyingError
        If an argument has no stable digest.
    """
    bare = unwrapped(function)
    if fold.is_fold(bare):
        call, unseeded = fold.fold_call(bare, args, kwargs, getattr(function, "config", {}), digests)
        return TaskCall(call, unseeded, fold.is_storable)
    if not any(part.startswith("function:") for part in identify(bare).parts):
        return None
    return TaskCall(key_of_call(bare, args, kwargs, digest=digests.of))


def unwrapped(function: Any) -> Any:
    """Return the function inside scikit-learn's wrapper, which only carries its configuration to the worker."""
    if type(function).__module__ == "sklearn.utils.parallel":
        return function.function
    return function
