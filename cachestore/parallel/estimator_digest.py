"""What of a scikit-learn estimator or scorer decides a score: its structure without what only says how to work."""

from __future__ import annotations

from typing import Any

# Parameters of scikit-learn's own estimators that change how long a fit takes and what it prints, never its result.
_ONLY_HOW = frozenset({"memory", "n_jobs", "pre_dispatch", "verbose"})


def effective_estimator(estimator: Any, parameters: dict[str, Any] | None) -> Any:
    """Return the estimator that a fold will fit: a clone with the candidate's parameters set.

    Two searches whose base estimators differ only in what both grids set fit the same.
    """
    from sklearn.base import clone

    copy = clone(estimator)
    return copy.set_params(**clone(parameters, safe=False)) if parameters else copy


def estimator_structure(value: Any, *, whole: bool = False) -> Any:
    """Replace the estimators inside a value by their classes and the parameters that count.

    Parameters
    ----------
    value
        An estimator, or a list, tuple or dict of such.
    whole
        Keep every parameter: where the estimator itself is handed back, `n_jobs` is seen.

    Returns
    -------
    object
        Something that `cachestore.keys` digests.
    """
    from sklearn.base import BaseEstimator

    if type(value) in (list, tuple):
        return type(value)(estimator_structure(item, whole=whole) for item in value)
    if type(value) is dict:
        return {name: estimator_structure(item, whole=whole) for name, item in value.items()}
    kind = type(value)
    if isinstance(value, type) or not callable(getattr(value, "get_params", None)):
        return value
    if getattr(kind, "__sklearn_clone__", None) not in (None, BaseEstimator.__sklearn_clone__):
        # What is cloned in a way of its own keeps more than parameters: a frozen estimator stays fitted.
        return value
    own = kind.__module__.startswith("sklearn.")
    parameters = {
        name: estimator_structure(item, whole=whole)
        for name, item in value.get_params(deep=False).items()
        if whole or not (own and name in _ONLY_HOW)
    }
    # What `clone` keeps besides parameters: requested metadata, and the container of what a transformer gives.
    kept = {name: getattr(value, name, None) for name in ("_metadata_request", "_sklearn_output_config")}
    return (kind, parameters, kept)


def scorer_structure(value: Any) -> Any:
    """Leave out of scikit-learn's scorers what they only carry: the estimator of the search that asks."""
    kind = type(value)
    if kind is dict:
        return {name: scorer_structure(item) for name, item in value.items()}
    if kind.__module__ == "sklearn.metrics._scorer" and kind.__name__ == "_PassthroughScorer":
        # It calls `score` of whatever estimator it is given; its own is only asked for its signature.
        return (kind, "score")
    if kind.__module__ == "sklearn.metrics._scorer" and kind.__name__ == "_MultimetricScorer":
        return (kind, scorer_structure(value._scorers))
    return value


def unseeded(estimator: Any) -> list[str]:
    """Name what inside an estimator may have drawn, if random numbers were drawn that nobody seeded.

    Those with `random_state=None`; where there are none, the estimator itself, for it may draw without such a
    parameter. Nothing, where all that draws ignores what it draws.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> unseeded(RandomForestClassifier()), unseeded(RandomForestClassifier(random_state=0))
    (['RandomForestClassifier'], ['RandomForestClassifier'])
    >>> from sklearn.svm import SVC
    >>> unseeded(SVC())
    []
    """
    parameters = estimator.get_params(deep=True)
    owners = {"": estimator, **parameters}
    drawing = [
        owners[name.rpartition("__")[0]]
        for name, value in parameters.items()
        if value is None and name.rpartition("__")[2] == "random_state"
    ]
    named = sorted({type(owner).__name__ for owner in drawing if not _ignores_seed(owner)})
    return named if named or drawing else [type(estimator).__name__]


def _ignores_seed(estimator: Any) -> bool:
    # libsvm is given a seed by every fit, and uses it for probability estimates alone.
    kind = type(estimator)
    classifier = kind.__module__ == "sklearn.svm._classes" and kind.__name__ in ("SVC", "NuSVC")
    return classifier and estimator.probability is not True
