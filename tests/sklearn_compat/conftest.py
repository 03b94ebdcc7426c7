"""scikit-learn's own tests, from the installed package, with our `Memory` in two ways.

`named`: what they call `joblib.Memory` is ours. `everywhere`: where they cache nothing, they do, and with ours. HDBSCAN
takes no memory, and a ColumnTransformer or FeatureUnion only what the pipelines inside of it take.
"""

import joblib
import pytest
import sklearn.cluster._agglomerative
import sklearn.cluster._optics
import sklearn.datasets._lfw
import sklearn.pipeline
from sklearn.utils import validation

import cachestore

# What no cache can do: with joblib's Memory these fail too, but for the one that is marked.

CLONED = "scikit-learn fits a clone where it caches, and the test looks at the object that it gave"
WITHOUT_A_CACHE = {  # pass only where nothing is cached
    "test_set_pipeline_step_passthrough": CLONED,
    "test_n_features_in_pipeline": CLONED,
    "test_metadata_routing_for_pipeline": CLONED,
}

WARNS = "the function warns, and a hit does not run it"
PRINTS = "the function prints, and a hit does not run it"
RECORDS = "the function calls back or keeps records, and a hit does not run it"
WITHOUT_A_HIT = {  # pass only the first time
    "test_connectivity_fixing_non_lil": WARNS,
    "test_precomputed_connectivity_metric_with_2_connected_components": WARNS,
    "test_bad_reachability": WARNS,
    "test_min_samples_edge_case": WARNS,
    "test_verbose": PRINTS,
    "test_pipeline_with_callbacks": RECORDS,
    "test_transform_input_pipeline": RECORDS,  # joblib computes again: its key differs each time
}


class _Joblib:
    """joblib, but for its Memory."""

    Memory = cachestore.Memory

    def __getattr__(self, name):
        return getattr(joblib, name)


@pytest.fixture
def named(alone, monkeypatch, request):
    monkeypatch.setattr(validation, "joblib", _Joblib())
    monkeypatch.setattr(sklearn.datasets._lfw, "Memory", cachestore.Memory)
    names = request.function.__globals__
    if "joblib" in names:
        monkeypatch.setitem(names, "joblib", _Joblib())


@pytest.fixture
def everywhere(named, monkeypatch, request, tmp_path):
    def check_memory(memory):
        if memory is None:
            return cachestore.Memory(tmp_path / "everywhere", verbose=0)
        return validation.check_memory(memory)

    for user in (sklearn.pipeline, sklearn.cluster._optics, sklearn.cluster._agglomerative):
        monkeypatch.setattr(user, "check_memory", check_memory)
    reason = WITHOUT_A_CACHE.get(request.node.originalname)
    if reason is not None:
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a test that caches everywhere once more: what was computed the first time is now a hit."""
    ran = yield
    if "everywhere" in pyfuncitem.fixturenames and pyfuncitem.originalname not in WITHOUT_A_HIT:
        names = pyfuncitem._fixtureinfo.argnames
        pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
    return ran


@pytest.fixture
def global_random_seed():
    return 42


@pytest.fixture
def global_dtype():
    return "float64"


def pytest_configure(config):
    for marker in ("thread_unsafe", "no_check_spmatrix"):
        config.addinivalue_line("markers", f"{marker}: scikit-learn's own")
