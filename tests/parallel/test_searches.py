"""Unmodified scikit-learn searches, whose folds are answered from the store."""

import threading
import warnings

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from cachestore import CachestoreWarning, Memory
from cachestore.cache import Cache, open_cache
from cachestore.settings import Settings
from cachestore.storage import LocalStore

X, y = load_iris(return_X_y=True)


def assert_same_results(ours, theirs):
    assert ours.keys() == theirs.keys()
    for column in theirs:
        if not column.endswith("_time"):
            np.testing.assert_array_equal(
                np.asarray(ours[column]), np.asarray(theirs[column]), err_msg=column
            )


def test_an_overlapping_search_computes_only_what_is_new(memory, books, inner):
    pipeline = make_pipeline(StandardScaler(), SVC())
    for grid, expected in [([0.1, 1, 10], (15, 0)), ([1, 10, 100], (20, 10)), ([1, 10, 100], (20, 25))]:
        search = GridSearchCV(pipeline, {"svc__C": grid}, cv=5, return_train_score=True)
        with memory.parallel(inner):
            search.fit(X, y)
        assert books() == expected
        plain = GridSearchCV(pipeline, {"svc__C": grid}, cv=5, return_train_score=True).fit(X, y)
        assert_same_results(search.cv_results_, plain.cv_results_)
        assert search.best_params_ == plain.best_params_


def test_with_one_job_folds_are_looked_up_too(memory, books):
    for expected in [(10, 0), (10, 10)]:
        with memory.parallel("loky", n_jobs=1):
            GridSearchCV(SVC(), {"C": [1, 10]}, cv=5, n_jobs=1).fit(X, y)
        assert books() == expected


def test_with_one_job_folds_are_looked_up_as_many_at_a_time_as_the_store_is_worth(memory, books, monkeypatch):
    monkeypatch.setattr(LocalStore, "at_once", 4)
    several = threading.Barrier(4, timeout=20)
    real = Cache.look_up

    def look_up(cache, *args, **options):
        several.wait()  # breaks unless four are under way at once
        return real(cache, *args, **options)

    monkeypatch.setattr(Cache, "look_up", look_up)
    for expected in [(8, 0), (8, 8)]:
        with memory.parallel("loky", n_jobs=1):
            GridSearchCV(SVC(), {"C": [1, 10]}, cv=4, n_jobs=1, refit=False).fit(X, y)
        assert books() == expected


def test_folds_are_the_same_whoever_searches_however(memory, books):
    """Base parameters that the grid sets, neutral parameters and the kind of search make no difference."""
    with memory.parallel("threading"):
        GridSearchCV(SVC(C=5), {"C": [1, 10]}, cv=5).fit(X, y)
        assert books() == (10, 0)
        GridSearchCV(SVC(C=7, verbose=0), {"C": [10, 1]}, cv=5, verbose=0, error_score="raise").fit(X, y)
        assert books() == (10, 10)
        pipeline = make_pipeline(SVC(), memory=memory)
        GridSearchCV(make_pipeline(SVC()), {"svc__C": [1]}, cv=5).fit(X, y)
        GridSearchCV(pipeline, {"svc__C": [1]}, cv=5).fit(X, y)
        assert books() == (15, 15)


@pytest.mark.parametrize(
    "change",
    [
        {"estimator": SVC(kernel="linear")},
        {"X": X + 1e-9},
        {"y": 1 - (y == 0).astype(int)},
        {"cv": KFold(5)},
        {"scoring": "f1_macro"},
        {"return_train_score": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_changes_a_score_is_another_fold(memory, books, change):
    with memory.parallel("threading"):
        GridSearchCV(SVC(), {"C": [1]}, cv=5).fit(X, y)
        given = {
            "estimator": SVC(),
            "X": X,
            "y": y,
            "cv": 5,
            "scoring": None,
            "return_train_score": False,
        } | change
        data, target = given.pop("X"), given.pop("y")
        GridSearchCV(param_grid={"C": [1]}, **given).fit(data, target)
    assert books() == (10, 0)


def test_an_output_that_was_set_is_another_fold(memory, books):
    scaled = make_pipeline(StandardScaler().set_output(transform="pandas"), SVC())
    with memory.parallel("threading"):
        cross_val_score(make_pipeline(StandardScaler(), SVC()), X, y)
        cross_val_score(scaled, X, y)
    assert books() == (10, 0)


def test_a_configuration_that_changes_what_is_fitted_is_another_fold(memory, books):
    with memory.parallel("threading"):
        cross_val_score(make_pipeline(StandardScaler(), SVC()), X, y)
        with config_context(transform_output="pandas"):
            cross_val_score(make_pipeline(StandardScaler(), SVC()), X, y)
        assert books() == (10, 0)
        with config_context(working_memory=64, print_changed_only=False):
            cross_val_score(make_pipeline(StandardScaler(), SVC()), X, y)
        assert books() == (10, 5)


def test_estimators_that_stay_fitted_are_told_apart_by_what_they_have_learnt(memory):
    frozen = [FrozenEstimator(SVC().fit(X, labels)) for labels in (y, 2 - y)]
    expected = [cross_val_score(estimator, X, y) for estimator in frozen]
    with memory.parallel("threading"):
        found = [cross_val_score(estimator, X, y) for estimator in frozen]
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(*found)


class Bonus(BaseEstimator):
    """A scorer that has parameters, and more."""

    def __init__(self, extra=0):
        self.extra = extra
        self.learnt = extra

    def __call__(self, estimator, X, y):
        return self.learnt


def test_scorers_are_told_apart_by_all_that_they_hold(memory):
    scorers = [Bonus(), Bonus()]
    scorers[1].learnt = 5
    with memory.parallel("threading"):
        assert [cross_val_score(SVC(), X, y, scoring=scorer)[0] for scorer in scorers] == [0, 5]


def test_warnings_that_are_errors_are_part_of_a_fold(memory, books):
    weak = LogisticRegression(max_iter=1)
    with memory.parallel("threading"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert cross_val_score(weak, X, y).all()
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ValueError, match="All the 5 fits failed"):
            cross_val_score(weak, X, y)
    assert books() == (5, 0)


def test_filters_that_fits_in_threads_leave_behind_are_no_part_of_a_fold(memory, books):
    with memory.parallel("threading"), warnings.catch_warnings():
        cross_val_score(SVC(), X, y)
        # As scikit-learn sets them in each fit; threads that restore in another order than they set leave them.
        warnings.simplefilter("error", np.exceptions.VisibleDeprecationWarning)
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        cross_val_score(SVC(), X, y)
    assert books() == (5, 5)


def test_cross_validation_shares_folds_with_itself(memory, books):
    with memory.parallel("threading"):
        first = cross_validate(SVC(), X, y, scoring=["accuracy", "f1_macro"])
        second = cross_validate(SVC(), X, y, scoring=["accuracy", "f1_macro"])
    assert books() == (5, 5)
    assert_same_results(second, first)


def test_an_estimator_that_is_returned_is_as_asked_for(memory):
    with memory.parallel("threading"):
        cross_validate(KNeighborsClassifier(n_jobs=1), X, y, return_estimator=True)
        again = cross_validate(KNeighborsClassifier(n_jobs=2), X, y, return_estimator=True)
    assert {estimator.n_jobs for estimator in again["estimator"]} == {2}


def test_nested_searches_find_their_inner_folds(memory, books, inner):
    nested = GridSearchCV(SVC(), {"C": [1, 10]}, cv=2)
    with memory.parallel(inner):
        first = cross_val_score(nested, X, y, cv=3)
    assert books() == (3 * 2 * 2 + 3, 0)
    # Another metric outside: the outer folds are new, the inner ones are known.
    with memory.parallel(inner):
        second = cross_val_score(nested, X, y, cv=3, scoring="f1_macro")
    assert books() == (3 * 2 * 2 + 3 + 3, 3 * 2 * 2)
    np.testing.assert_array_equal(first, cross_val_score(nested, X, y, cv=3))
    np.testing.assert_array_equal(second, cross_val_score(nested, X, y, cv=3, scoring="f1_macro"))


class Fussy(ClassifierMixin, BaseEstimator):
    def __init__(self, mood="good"):
        self.mood = mood

    def fit(self, X, y):
        if self.mood == "bad":
            raise ValueError("not today")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        if self.mood == "mute":
            raise ValueError("no answer")
        return np.zeros(len(X), dtype=int)


@pytest.mark.parametrize("error_score", [np.nan, 0.0])
@pytest.mark.parametrize("mood", ["bad", "mute"])
def test_folds_that_failed_are_never_stored(memory, books, mood, error_score):
    grid = {"mood": [mood, "good"]}
    for _ in range(2):
        with memory.parallel("threading"), warnings.catch_warnings():
            warnings.simplefilter("ignore", FitFailedWarning)
            warnings.simplefilter("ignore", UserWarning)
            search = GridSearchCV(Fussy(), grid, cv=3, error_score=error_score).fit(X, y % 2)
    assert books() == (3, 3)
    np.testing.assert_equal(search.cv_results_["mean_test_score"][0], error_score)


def test_a_fold_that_raises_raises(memory, inner):
    with memory.parallel(inner), pytest.raises(ValueError, match="not today"):
        GridSearchCV(Fussy("bad"), {"mood": ["bad"]}, error_score="raise").fit(X, y)


def test_an_invalid_parameter_is_scikit_learns_to_complain_about(memory):
    with memory.parallel("threading"), pytest.raises(ValueError, match="Invalid parameter 'colour'"):
        GridSearchCV(SVC(), {"colour": ["red"]}).fit(X, y)


def test_estimators_that_drew_without_a_seed_are_reused_with_one_warning(memory, books):
    forest = RandomForestClassifier(5)
    with memory.parallel("threading"):
        first = cross_val_score(forest, X, y)
        with pytest.warns(CachestoreWarning, match="RandomForestClassifier") as told:
            second = cross_val_score(forest, X, y)
            cross_val_score(forest, X, y)
    assert len(told) == 1
    assert books() == (5, 10)
    np.testing.assert_array_equal(first, second)


class Drawing(ClassifierMixin, BaseEstimator):
    """Draws, and has no parameter that says so."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.random.choice(self.classes_, len(X))


@pytest.mark.parametrize("estimator", [LinearSVC(), Drawing()], ids=["LinearSVC", "Drawing"])
def test_whatever_drew_is_mentioned(memory, estimator):
    with memory.parallel("threading"):
        cross_val_score(estimator, X, y)
        with pytest.warns(CachestoreWarning, match=type(estimator).__name__):
            cross_val_score(estimator, X, y)


def test_a_setting_has_unseeded_folds_computed_anew(tmp_path):
    memory = Memory.over(open_cache(Settings(location=str(tmp_path), reuse_unseeded=False)))
    with memory.parallel("threading"):
        for _ in range(2):
            cross_val_score(RandomForestClassifier(5), X, y)
            cross_val_score(RandomForestClassifier(5, random_state=0), X, y)
    memory.store_backend.merge_uses()
    assert memory.store_backend.index.statistics().hits == 5


@pytest.mark.parametrize(
    "estimator", [SVC(), LogisticRegression(max_iter=200)], ids=["SVC", "LogisticRegression"]
)
def test_estimators_whose_results_no_random_number_decides_are_reused_silently(memory, estimator, recwarn):
    with memory.parallel("threading"):
        cross_val_score(estimator, X, y)
        cross_val_score(estimator, X, y)
    assert not [warning for warning in recwarn if warning.category is CachestoreWarning]


def test_data_is_digested_once_for_all_tasks_of_a_call(memory, monkeypatch):
    from cachestore.parallel import digests

    seen = []
    real = digests.encode

    def counting(value, **named):
        if value is X:
            seen.append(value)
        return real(value, **named)

    monkeypatch.setattr(digests, "encode", counting)
    with memory.parallel("threading"):
        GridSearchCV(SVC(), {"C": [1, 2, 3, 4]}, cv=5).fit(X, y)
    assert len(seen) == 1
