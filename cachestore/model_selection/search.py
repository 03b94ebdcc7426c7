"""scikit-learn's searches over a shared cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import model_selection
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from cachestore.errors import SettingsError
from cachestore.memory import Memory, open_memory


class _CachedSearch:
    """Has a search look its folds up, and its pipelines share the fits of their first steps."""

    memory: Memory | None
    inner: str
    estimator: BaseEstimator

    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Fit every fold that nobody has fitted yet, then the best estimator on all data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
            The target.
        **params
            Passed on, as scikit-learn's search does.
        """
        memory = open_memory() if self.memory is None else self.memory
        if not isinstance(memory, Memory):
            raise SettingsError(
                f"memory={memory!r} is none of cachestore's. Give cachestore.Memory(location), or cachestore.open()."
            )
        given = self.estimator
        # scikit-learn clones `self.estimator` for every fold. The user's own object is never changed.
        self.estimator = _sharing_prefixes(given, memory)
        try:
            with memory.parallel(self.inner):
                return super().fit(X, y, **params)  # type: ignore[misc]
        finally:
            self.estimator = given


class GridSearchCV(_CachedSearch, model_selection.GridSearchCV):  # type: ignore[misc]
    """Is scikit-learn's GridSearchCV over a shared cache.

    Each fold is looked up before it is fitted, and each pipeline's first steps are fitted once for a split, however
    many candidates differ only in later steps.

    Parameters
    ----------
    estimator, param_grid, scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score
        As in scikit-learn.
    memory
        The cache; None is what the project's settings name.
    inner
        The joblib backend that computes what is missing: `"loky"`, `"dask"`, `"threading"`, ...

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from cachestore import Memory
    >>> memory = Memory("memory://searches", verbose=0)
    >>> grid = {"n_neighbors": [1, 5]}
    >>> search = GridSearchCV(KNeighborsClassifier(), grid, memory=memory, inner="threading")
    >>> search.fit(*load_iris(return_X_y=True)).best_params_
    {'n_neighbors': 5}
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        param_grid: Any,
        *,
        memory: Memory | None = None,
        inner: str = "loky",
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: Any = "2*n_jobs",
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.memory = memory
        self.inner = inner


class RandomizedSearchCV(_CachedSearch, model_selection.RandomizedSearchCV):  # type: ignore[misc]
    """Is scikit-learn's RandomizedSearchCV over a shared cache.

    Parameters
    ----------
    estimator, param_distributions, n_iter, scoring, n_jobs, refit, cv, verbose, pre_dispatch, random_state, \
    error_score, return_train_score
        As in scikit-learn.
    memory, inner
        As in `GridSearchCV`.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        param_distributions: Any,
        *,
        memory: Memory | None = None,
        inner: str = "loky",
        n_iter: int = 10,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: Any = "2*n_jobs",
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator,
            param_distributions,
            n_iter=n_iter,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            random_state=random_state,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.memory = memory
        self.inner = inner


def _sharing_prefixes(estimator: BaseEstimator, memory: Memory) -> BaseEstimator:
    """Give every pipeline inside an estimator that has no memory of its own the search's."""
    owners = {"": estimator, **estimator.get_params(deep=True)}
    pipelines = [
        name for name, owner in owners.items() if isinstance(owner, Pipeline) and owner.memory is None
    ]
    names = {f"{name}__memory" if name else "memory": memory for name in pipelines}
    return clone(estimator).set_params(**names) if names else estimator
