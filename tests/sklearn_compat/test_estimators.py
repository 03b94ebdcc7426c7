"""Estimators that hold a `Memory`: scikit-learn clones, pickles, digests and sends them."""

import copy
import pickle
import time

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import OPTICS, AgglomerativeClustering, FeatureAgglomeration
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from cachestore import Memory
from cachestore.index import Selection

X, Y = load_iris(return_X_y=True)


@pytest.fixture
def memory(alone, tmp_path):
    return Memory(tmp_path / "store", verbose=0)


def entries(memory):
    memory.store_backend.index.merge()
    return memory.store_backend.index.select(Selection())


def pipeline(memory):
    return make_pipeline(StandardScaler(), LogisticRegression(), memory=memory)


ESTIMATORS = [
    pipeline,
    lambda memory: AgglomerativeClustering(memory=memory),
    lambda memory: FeatureAgglomeration(memory=memory),
    lambda memory: OPTICS(memory=memory),
]
NAMES = ["Pipeline", "AgglomerativeClustering", "FeatureAgglomeration", "OPTICS"]


@pytest.mark.parametrize("make", ESTIMATORS, ids=NAMES)
def test_a_second_fit_is_a_hit(memory, make):
    first, second = make(memory).fit(X, Y), make(memory).fit(X, Y)
    assert [entry.hits for entry in entries(memory)] == [1]
    for name in ("labels_", "n_features_in_"):
        assert np.array_equal(getattr(first, name, None), getattr(second, name, None))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.EstimatorCheckFailedWarning")
@pytest.mark.parametrize("make", ESTIMATORS, ids=NAMES)
def test_scikit_learns_checks_say_the_same_as_without(memory, make):
    def failed(estimator):
        ran = check_estimator(estimator, on_fail=None)
        return sorted((check["check_name"], repr(check["exception"])) for check in ran if check["exception"])

    assert failed(make(memory)) == failed(make(None))


def test_a_clone_is_over_the_same_cache(memory):
    cloned = clone(pipeline(memory))
    assert cloned.memory.store_backend is memory.store_backend
    assert cloned.memory.location == memory.location
    assert repr(cloned) == repr(pipeline(memory))


def test_a_copy_keeps_the_secrets_of_its_own(alone):
    """Two caches of one place differ in nothing that is public."""
    memories = [
        Memory(
            "s3://bucket/prefix",
            backend_options={"storage_options": {"key": name, "secret": f"{name}'s"}},
            verbose=0,
        )
        for name in ("ana", "ben")
    ]
    for memory in memories:
        copied = copy.deepcopy(memory)
        assert copied.store_backend is memory.store_backend
        assert copied.backend_options == memory.backend_options


def test_a_copy_is_cheap(memory):
    def seconds():
        started = time.perf_counter()
        copy.deepcopy(memory)
        return time.perf_counter() - started

    assert min(seconds() for _ in range(20)) < 0.0001


def test_pickles_are_over_the_same_place(memory):
    fitted = pipeline(memory).fit(X, Y)
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict(X), fitted.predict(X))
    again.fit(X, Y)
    assert len(entries(memory)) == 1


def test_joblibs_hash_is_stable(memory, tmp_path):
    """It is told apart by its place, not by when it was made, what was done with it, and who copied it."""
    for make in (lambda memory: memory, pipeline, lambda memory: memory.cache(np.sort)):
        made = make(memory)
        known = joblib.hash(made)
        memory.cache(np.sort)(X)
        same = [made, make(Memory(tmp_path / "store", verbose=0)), copy.deepcopy(made)]
        same.append(pickle.loads(pickle.dumps(made)))
        assert {joblib.hash(one) for one in same} == {known}
        assert joblib.hash(make(Memory(tmp_path / "other", verbose=0))) != known


def test_a_search_with_workers_shares_what_is_fitted_first(memory):
    grid = {"logisticregression__C": [0.1, 1.0, 10.0]}
    search = GridSearchCV(pipeline(memory), grid, cv=2, n_jobs=2).fit(X, Y)
    plain = GridSearchCV(pipeline(None), grid, cv=2).fit(X, Y)
    assert np.array_equal(search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
    # The scaler of two splits and that of the refit: six fits and one more needed three.
    assert len(entries(memory)) == 3
    pickle.loads(pickle.dumps(search)).predict(X)


def test_what_only_tells_of_a_fit_does_not_count(memory):
    """A pipeline passes itself and its callbacks along, and has them ignored."""
    Pipeline([("one", StandardScaler()), ("two", LogisticRegression(C=1.0))], memory=memory).fit(X, Y)
    Pipeline([("other", StandardScaler()), ("two", LogisticRegression(C=2.0))], memory=memory).fit(X, Y)
    assert len(entries(memory)) == 1


def test_a_transformer_that_is_fitted_in_place_is_stored_where_arguments_are_checked(
    alone, monkeypatch, tmp_path
):
    monkeypatch.setenv("CACHESTORE_CHECK_ARGUMENTS", "true")
    memory = Memory(tmp_path / "store", verbose=0)
    for _ in range(2):
        pipeline(memory).fit(X, Y)
    assert [entry.hits for entry in entries(memory)] == [1]
