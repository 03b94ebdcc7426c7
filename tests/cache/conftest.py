from datetime import UTC, datetime

import pytest

from cachestore.cache import open_cache
from cachestore.keys import KeyedFunction
from cachestore.settings import Settings


def call_of(number):
    """Name a call, as a memorised function would."""
    return KeyedFunction(call_of).key((number,), {})


@pytest.fixture
def cache(tmp_path):
    return open_cache(Settings(location=str(tmp_path / "store"), user="ana"))


@pytest.fixture
def put(cache):
    """Store a value under the call of a number; return the key."""

    def store(number, value="a value", *, seconds=2.0, into=cache):
        call = call_of(number)
        into.put(call, value, started_at=datetime.now(UTC), seconds=seconds)
        return call.key

    return store
