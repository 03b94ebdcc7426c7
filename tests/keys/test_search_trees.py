"""Search trees count by what is in them, not by what they were asked."""

import copy
import pickle

import numpy as np
import pytest
from scipy import spatial
from sklearn import neighbors

from cachestore.keys import digest

POINTS = np.random.default_rng(0).normal(size=(50, 2))
TREES = [neighbors.KDTree, neighbors.BallTree, spatial.KDTree, spatial.cKDTree]


@pytest.mark.parametrize("cls", TREES, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_trees(cls):
    tree, used = cls(POINTS), cls(POINTS)
    used.query(POINTS[:3])
    assert (
        digest(tree)
        == digest(used)
        == digest(copy.deepcopy(used))
        == digest(pickle.loads(pickle.dumps(tree)))
    )
    assert digest(tree) != digest(cls(POINTS + 1))
    assert digest(tree) != digest(cls(POINTS, 3))


def test_all_differ():
    assert len({digest(cls(POINTS)) for cls in TREES}) == len(TREES)
    assert digest(neighbors.KDTree(POINTS)) != digest(neighbors.KDTree(POINTS, metric="manhattan"))
    assert digest(spatial.KDTree(POINTS % 1)) != digest(spatial.KDTree(POINTS % 1, boxsize=2))


def test_a_fitted_estimator_is_the_same_after_it_was_used():
    fitted = neighbors.KNeighborsClassifier(algorithm="kd_tree").fit(POINTS, POINTS[:, 0] > 0)
    before = digest(fitted)
    fitted.predict(POINTS)
    assert digest(fitted) == before
