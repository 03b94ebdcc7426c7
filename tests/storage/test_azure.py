"""Azure's blob storage: the contract, through adlfs, on Azurite where that is at hand."""

from __future__ import annotations

import itertools

import pytest

from cachestore.storage import ConditionalPut, open_store, probe_conditional_put
from tests.contracts.object_store import ObjectStoreContract

_numbers = itertools.count()


@pytest.fixture(scope="module")
def container(azurite):
    return azurite.create_container()


@pytest.mark.azure
class TestAzurite(ObjectStoreContract):
    racers = 4

    @pytest.fixture
    def reopen(self, azurite, container):
        location = f"abfs://{container}/store-{next(_numbers)}"
        return lambda: open_store(location, storage_options=azurite.storage_options, timeout=20)

    @pytest.mark.skip(reason="adlfs leaves a question mark out of a path; none of a store's own has one")
    def test_paths_may_hold_any_character(self, store):
        """All but one."""

    def test_exactly_one_create_wins(self, store):
        assert probe_conditional_put(store) is ConditionalPut.CREATES
