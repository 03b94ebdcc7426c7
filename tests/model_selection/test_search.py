"""Searches with a memory of their own fit neither a fold nor a pipeline's first steps twice."""

import numpy as np
import pytest
from sklearn import config_context, model_selection
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from cachestore import Memory, SettingsError
from cachestore.index import Selection
from cachestore.model_selection import GridSearchCV, RandomizedSearchCV

X, y = load_iris(return_X_y=True)
GRID = {"svc__C": [0.1, 1, 10]}


@pytest.fixture
def memory(tmp_path):
    return Memory(tmp_path, verbose=0)


def counts(memory, function):
    cache = memory.store_backend
    cache.merge_uses()
    entries = cache.index.select(Selection(function=function))
    return len(entries), sum(entry.hits for entry in entries)


def pipeline():
    return make_pipeline(StandardScaler(), PCA(2, random_state=0), SVC())


@pytest.mark.parametrize("inner", ["threading", "loky"])
def test_a_prefix_is_fitted_once_for_each_split(memory, inner):
    search = GridSearchCV(pipeline(), GRID, cv=5, memory=memory, inner=inner, n_jobs=1).fit(X, y)
    plain = model_selection.GridSearchCV(pipeline(), GRID, cv=5).fit(X, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
    assert counts(memory, "_fit_and_score") == (15, 0)
    # Two first steps, on five splits and on all data for the refit: three candidates share them.
    assert counts(memory, "_fit_transform_one*") == (12, 20)


def test_folds_are_shared_with_scikit_learns_own_search(memory):
    with memory.parallel("threading"):
        model_selection.GridSearchCV(pipeline(), GRID, cv=5).fit(X, y)
    GridSearchCV(pipeline(), GRID, cv=5, memory=memory, inner="threading").fit(X, y)
    assert counts(memory, "_fit_and_score") == (15, 15)


def test_a_prefix_is_fitted_as_it_is_configured(memory):
    class Named(BaseEstimator, TransformerMixin):
        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return X * (10 if hasattr(X, "columns") else 1)

    steps = make_pipeline(StandardScaler(), Named(), SVC())
    for output in ("default", "pandas"):
        with config_context(transform_output=output):
            search = GridSearchCV(steps, {"svc__C": [1e-3]}, memory=memory, inner="threading").fit(X, y)
            plain = model_selection.GridSearchCV(steps, {"svc__C": [1e-3]}).fit(X, y)
        assert search.best_score_ == plain.best_score_


def test_what_the_user_gave_is_left_as_it_is(memory):
    given = pipeline()
    search = GridSearchCV(given, GRID, memory=memory, inner="threading")
    search.fit(X, y)
    assert search.estimator is given
    assert given.memory is None
    assert clone(search).get_params()["inner"] == "threading"


def test_a_pipeline_keeps_a_memory_of_its_own(memory, tmp_path):
    own = Memory(tmp_path / "own", verbose=0)
    GridSearchCV(clone(pipeline()).set_params(memory=own), GRID, memory=memory, inner="threading").fit(X, y)
    assert counts(own, "_fit_transform_one*")[0] == 12
    assert counts(memory, "_fit_transform_one*")[0] == 0


def test_random_searches_share_candidates(memory):
    for _ in range(2):
        search = RandomizedSearchCV(
            SVC(), {"C": [0.1, 1, 10, 100]}, n_iter=2, random_state=0, memory=memory, inner="threading"
        ).fit(X, y)
    assert counts(memory, "_fit_and_score") == (10, 10)
    assert search.best_score_ > 0.9


def test_a_memory_of_another_kind_is_refused():
    with pytest.raises(SettingsError, match="'directory'"):
        GridSearchCV(SVC(), {"C": [1]}, memory="directory").fit(X, y)


def test_without_a_memory_it_is_the_one_of_the_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("CACHESTORE_LOCATION", str(tmp_path / "named"))
    GridSearchCV(SVC(), {"C": [1]}, inner="threading").fit(X, y)
    assert (tmp_path / "named" / "store.json").exists()
