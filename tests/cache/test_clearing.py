from datetime import UTC, datetime

import pytest

from cachestore import CachestoreError
from cachestore.cache import Miss, open_cache
from cachestore.cache.clearing import clear_all, clear_function
from cachestore.keys import identify
from cachestore.settings import Settings
from tests.cache.conftest import call_of


def test_clearing_a_function_leaves_the_others(cache, put):
    key = put(1)
    orphan = put(2)
    cache.index.forget([orphan])
    assert clear_function(cache, identify(len)) == 0
    assert clear_function(cache, identify(call_of)) == 2
    assert cache.get(key) == cache.get(orphan) == Miss("absent")


def test_clearing_every_version_of_a_function(cache, put):
    key = put(1)
    old = call_of(1)._replace(key="0" * 64, code_version="2" * 64)
    other = call_of(1)._replace(key="1" * 64, function="tests.other")
    for call in (old, other):
        cache.put(call, "a value", started_at=datetime.now(UTC), seconds=1.0)
    assert clear_function(cache, identify(call_of), all_versions=True) == 2
    assert cache.get(key) == cache.get(old.key) == Miss("absent")
    assert cache.get(other.key).value == "a value"


def test_clearing_all_of_a_private_store(cache, put):
    keys = [put(1), put(2)]
    cache.index.forget(keys[:1])
    assert clear_all(cache) == 2
    assert not list(cache.store.list("blobs"))


def test_a_newcomer_cannot_wipe_the_team(tmp_path, put):
    cache = open_cache(Settings(location=str(tmp_path / "store"), index=str(tmp_path / "team.sqlite")))
    key = put(1, into=cache)
    with pytest.raises(CachestoreError, match="everyone=True"):
        clear_all(cache)
    assert cache.get(key).value == "a value"
    assert clear_all(cache, everyone=True) == 1
    assert cache.get(key) == Miss("absent")
