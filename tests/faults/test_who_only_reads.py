"""An account that may only read a local store: hits, listings, checks, and entries pulled from it."""

from __future__ import annotations

import os

import pytest

from cachestore import Memory
from cachestore.cache import gc, open_cache
from cachestore.cache.eviction import Limits
from cachestore.cache.overview import describe_entry, list_entries, overview
from cachestore.cache.transfer import Wanted, carry_out, plan
from cachestore.cache.verify import Verified, verify
from cachestore.cache.why import explain_function
from cachestore.errors import IndexUnavailable
from cachestore.index import Selection
from cachestore.settings import Settings
from tests.faults.calls import computed, noise, one_call, told
from tests.faults.children import in_a_child

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

EVE = 23453


@pytest.fixture(params=[False, True], ids=["nobody else there", "index open elsewhere"])
def store(request, place):
    """A store with two entries that everybody may read and only its owner may write."""
    memory = Memory(place / "store", verbose=0)
    one_call(memory)
    memory.cache(noise)(7)
    cache = memory.store_backend
    assert describe_entry(cache, cache.index.select(Selection())[0].key).problem is None  # read now, as root
    cache.close()
    if request.param:
        verify(cache)
    assert (place / "store" / "index.sqlite-wal").exists() == request.param
    computed.clear()
    yield place / "store"
    cache.close()


def as_eve(work):
    def act():
        os.environ["HOME"] = os.environ["XDG_CACHE_HOME"] = "/nowhere"
        return work()

    code, found = in_a_child(act, user=EVE, groups=(EVE,))
    assert code == 0, found
    return found


def test_listings_and_checks_need_no_writing(store):
    def look():
        cache = open_cache(Settings(location=str(store), user="eve"))
        listed = list_entries(cache)
        shown = describe_entry(cache, listed[0].key)
        missed = explain_function(cache, "*.words")
        return [
            sorted(entry.function.rpartition(".")[2] for entry in listed),
            overview(cache).statistics.entries,
            shown.problem,
            missed is not None,
            verify(cache) == Verified(2, (), (), ()),
        ]

    assert as_eve(look) == [["noise", "words"], 2, None, True, True]


def test_results_are_hits(store):
    def call():
        with told() as said:
            one_call(Memory.over(open_cache(Settings(location=str(store), user="eve"))))
        return [computed, len(said)]

    assert as_eve(call) == [[], 0]


def test_entries_can_be_pulled_from_it(store, place):
    own = place / "own"
    own.mkdir()
    os.chown(own, EVE, EVE)

    def pull():
        source = open_cache(Settings(location=str(store), user="eve"))
        mine = open_cache(Settings(location=str(own), user="eve"))
        moved = carry_out(source, mine, plan(source, mine, Wanted()))
        one_call(Memory.over(mine))
        return [len(moved.keys), len(moved.failed), len(list_entries(mine)), computed]

    assert as_eve(pull) == [2, 0, 2, []]


def test_collecting_removes_nothing_and_says_why(store):
    def collect():
        cache = open_cache(Settings(location=str(store), user="eve"))
        with pytest.raises(IndexUnavailable) as raised:
            gc.run(cache, gc.plan(cache, Limits(max_entries=0)))
        return str(raised.value)

    blobs = sorted((store / "blobs").glob("*/*"))
    assert "may be written" in as_eve(collect)
    assert sorted((store / "blobs").glob("*/*")) == blobs
