"""An engine that tells nobody when a task is done: its results are waited for."""

import subprocess
import sys
import textwrap

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


# A task for each engine: of more, the one that fails might wait behind two that sleep.
GIVES_UP = textwrap.dedent("""
    import sys, time
    import ipyparallel
    from ipyparallel.joblib import register
    from joblib import Parallel, delayed
    from cachestore import Memory

    def work(number):
        if number == 0:
            raise ValueError("no")
        time.sleep(600)

    register()
    memory = Memory(sys.argv[1])
    with ipyparallel.Cluster(n=2) as client:
        client[:].use_cloudpickle()
        try:
            with memory.parallel("ipyparallel", view=client.load_balanced_view()):
                Parallel()(delayed(work)(number) for number in range(2))
        except Exception as error:
            print("gave up:", error)
""")


@pytest.mark.cluster
def test_a_process_ends_though_tasks_of_a_failed_call_never_do(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", GIVES_UP, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "gave up:" in done.stdout
