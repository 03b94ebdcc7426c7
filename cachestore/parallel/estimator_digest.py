"""What of a scikit-learn estimator or scorer decides a score: its structure without what only says how to work."""

from __future__ import annotations

from typing import Any

# Parameters of scikit-learn's own estimators that change how long a fit takes and what it prints, never its result.
_NEUTRAL = frozenset({"memory", "n_jobs", "pre_dispatch", "verbose"})


def effective_estimator(estimator: Any, parameters: dict[str, Any] | None) -> Any:
    """Return the estimator that a fold will fit: a clone with the candidate's parameters set.

    Two searches whose base estimators differ only in what both grids set fit the same.
    """
    from sklearn.base import clone

    copy = clone(estimator)
    return copy.set_params(**clone(parameters, safe=False)) if parameters else copy


def estimator_structure(value: Any, *, whole: bool = False) -> Any:
    """Replace the estimators and scorers inside a value by their classes and the parameters that count.

    Parameters
    ----------
    value
        An estimator, a scorer, or a list, tuple or dict of such.
    whole
        Keep every parameter: where the estimator itself is handed back, `n_jobs` is seen.

    Returns
    -------
    object
        Something that `cachestore.keys` digests.
    """
    if type(value) in (list, tuple):
        return type(value)(estimator_structure(item, whole=whole) for item in value)
    if type(value) is dict:
        return {name: estimator_structure(item, whole=whole) for name, item in value.items()}
    kind = type(value)
    if kind.__module__.startswith("sklearn.") and kind.__name__ == "_PassthroughScorer":
        # It calls `score` of whatever estimator it is given; the one it holds is only asked for its signature.
        return (kind, "score")
    if kind.__module__.startswith("sklearn.") and kind.__name__ == "_MultimetricScorer":
        return (kind, estimator_structure(value._scorers, whole=whole))
    if isinstance(value, type) or not callable(getattr(value, "get_params", None)):
        return value
    own = kind.__module__.startswith("sklearn.")
    parameters = {
        name: estimator_structure(item, whole=whole)
        for name, item in value.get_params(deep=False).items()
        if whole or not (own and name in _NEUTRAL)
    }
    # What `clone` keeps besides parameters: requested metadata, and the container of what a transformer gives.
    kept = {name: getattr(value, name, None) for name in ("_metadata_request", "_sklearn_output_config")}
    return (kind, parameters, kept)


def unseeded(estimator: Any) -> list[str]:
    """Name the estimators, inside and out, that would draw from a random state that nobody seeded.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> unseeded(RandomForestClassifier()), unseeded(RandomForestClassifier(random_state=0))
    (['RandomForestClassifier'], [])
    """
    parameters = estimator.get_params(deep=True)
    owners = {"": estimator, **parameters}
    drawing = (
        owners[name.rpartition("__")[0]]
        for name, value in parameters.items()
        if value is None and name.rpartition("__")[2] == "random_state"
    )
    return sorted({type(owner).__name__ for owner in drawing if not _ignores_seed(owner)})


def _ignores_seed(estimator: Any) -> bool:
    # libsvm is given a seed by every fit, and uses it for probability estimates alone.
    return (
        type(estimator).__module__ == "sklearn.svm._classes"
        and getattr(estimator, "probability", None) is not True
    )
