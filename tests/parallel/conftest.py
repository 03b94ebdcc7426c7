from contextlib import nullcontext

import pytest

from cachestore import Memory
from cachestore.index import Selection


@pytest.fixture(scope="session")
def dask_client():
    """A dask cluster of two processes."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=True) as client,
    ):
        yield client


@pytest.fixture(params=["threading", "loky", pytest.param("dask", marks=pytest.mark.cluster)])
def inner(request):
    """Each joblib backend that computes."""
    with request.getfixturevalue("dask_client").as_current() if request.param == "dask" else nullcontext():
        yield request.param


@pytest.fixture
def memory(tmp_path):
    return Memory(tmp_path, verbose=0)


@pytest.fixture
def books(memory):
    """Read how many tasks were computed and how many answered, from the index."""

    def read():
        cache = memory.store_backend
        cache.merge_uses()
        entries = cache.index.select(Selection())
        return len(entries), sum(entry.hits for entry in entries)

    return read
