"""One fit and score of scikit-learn on one split of the data: the same fold in every search of everybody.

The key is made of the estimator that is fitted (the candidate's parameters set), the data, the split, the scorers and
what is to be returned; not of the search that asks, its progress, nor of what happens on an error, for a fold that
failed is never stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cachestore.keys import Arguments, CallKey, bind, call_key, encode, identify, join_parts
from cachestore.parallel.digests import Digests
from cachestore.parallel.estimator_digest import (
    effective_estimator,
    estimator_structure,
    scorer_structure,
    unseeded,
)

_OF_THE_SEARCH = frozenset(
    {"callback_ctx", "caller", "candidate_progress", "error_score", "parameters", "split_progress", "verbose"}
)


def is_fold(function: Any) -> bool:
    """Say whether a task's function is scikit-learn's fit-and-score."""
    return (
        getattr(function, "__name__", None) == "_fit_and_score"
        and getattr(function, "__module__", None) == "sklearn.model_selection._validation"
    )


def fold_call(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    ambient: Any,
    digests: Digests,
) -> tuple[CallKey, tuple[str, ...]]:
    """Return the key of a fold, and the names of the estimators in it that nobody seeded.

    Parameters
    ----------
    ambient
        What the task carries of its surroundings: scikit-learn's configuration, and the warnings that are errors.
    digests
        Those of this call of `Parallel`.

    Raises
    ------
    KeyingError
        If an argument has no stable digest.
    TypeError
        If there is no such estimator to fit: the fold will say so itself.
    """
    bound: dict[str, Any] = bind(function, args, kwargs)
    # An estimator that is handed back shows all its parameters.
    whole = bool(bound.get("return_estimator"))
    try:
        estimator = effective_estimator(bound["estimator"], bound["parameters"])
    except Exception as error:
        raise TypeError(f"{bound['estimator']!r} cannot be fitted so: {error}") from error
    described = {
        "estimator": estimator_structure(estimator, whole=whole),
        "scorer": scorer_structure(bound["scorer"]),
        "ambient": ambient,
    }
    if bound.get("return_parameters"):
        described["parameters"] = bound["parameters"]
    encodings: dict[str, bytes] = {}
    parts: dict[str, str] = {}
    for name, value in described.items():
        encodings[name], inside = encode(value, rules=digests.rules)
        parts = join_parts(parts, inside)
    for name, value in bound.items():
        if name not in described and name not in _OF_THE_SEARCH:
            encodings[name], inside = digests.of(value)
            parts = join_parts(parts, inside)
    call = call_key(identify(function, rules=digests.rules), Arguments(encodings), argument_parts=parts)
    return call, tuple(unseeded(estimator))


def is_storable(args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> bool:
    """Say whether a fold went well: fitted without an error, and every score a number.

    A score that equals `error_score` may stand for an error: such a fold is not stored either.
    """
    if result.get("fit_error") is not None:
        return False
    error_score = kwargs.get("error_score", math.nan)
    return all(
        not math.isnan(score) and score != error_score
        for name in ("test_scores", "train_scores")
        for score in _scores(result.get(name))
    )


def _scores(scores: Any) -> Iterator[float]:
    if isinstance(scores, Mapping):
        yield from (float(score) for score in scores.values())
    elif scores is not None:
        yield float(scores)
