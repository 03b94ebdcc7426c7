"""An engine that tells nobody when a task is done: its results are waited for."""

import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

ipyparallel = pytest.importorskip("ipyparallel", reason="pip install ipyparallel")


@pytest.mark.cluster
def test_engines_compute_what_is_new(memory, books):
    from ipyparallel.joblib import register

    register()
    X, y = load_iris(return_X_y=True)
    with ipyparallel.Cluster(n=2) as client:
        view = client.load_balanced_view()
        client[:].use_cloudpickle()
        for grid, expected in [([1, 10], (10, 0)), ([10, 100], (15, 5))]:
            search = GridSearchCV(SVC(), {"C": grid}, cv=5)
            with memory.parallel("ipyparallel", view=view):
                search.fit(X, y)
            assert books() == expected
        with memory.parallel("ipyparallel", view=view), pytest.raises(Exception, match="Invalid parameter"):
            GridSearchCV(SVC(), {"colour": ["red"]}).fit(X, y)
