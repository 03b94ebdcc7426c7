import pytest

from cachestore.cache import Hit
from cachestore.cache.overview import describe_entry, list_entries, overview
from cachestore.errors import SettingsError
from cachestore.storage import blob_path


def lose_index(cache):
    cache.index.close()
    for path in cache.store.directory().glob("index.sqlite*"):
        path.unlink()


def test_an_empty_cache_and_one_whose_index_is_lost_are_told_apart(cache, put):
    put(1)
    seen = overview(cache)
    assert (seen.statistics.entries, seen.unlisted) == (1, False)
    lose_index(cache)
    seen = overview(cache)
    assert (seen.statistics.entries, seen.unlisted) == (0, True)
    assert "rebuild" in seen.advice
    cache.drop([put(1)])
    seen = overview(cache)
    assert (seen.statistics.entries, seen.unlisted) == (0, False)
    assert "Nothing is stored yet" in seen.advice


def test_uses_that_are_only_noted_are_listed(cache, put):
    key = put(1)
    assert isinstance(cache.get(key), Hit)
    cache.index.flush()
    assert [entry.hits for entry in list_entries(cache)] == [1]


def test_an_entry_that_was_used_and_then_dropped_by_others_is_forgotten(cache, put):
    key = put(1)
    cache.get(key)
    cache.drop([key])
    assert list_entries(cache) == []
    assert cache.index.merge() == []


def test_an_orphan_that_was_used_is_listed(cache, put):
    key = put(1)
    lose_index(cache)
    cache.get(key)
    assert [(entry.key, entry.hits) for entry in list_entries(cache)] == [(key, 1)]


def test_a_described_entry_is_checked_and_counts_no_use(cache, put):
    key = put(1, "a value" * 100)
    described = describe_entry(cache, key[:10])
    assert (described.key, described.entry.key, described.metadata.key) == (key, key, key)
    assert described.problem is None
    assert list_entries(cache)[0].hits == 0
    path = cache.store.directory() / blob_path(key)
    content = bytearray(path.read_bytes())
    content[70] ^= 1
    path.write_bytes(content)
    described = describe_entry(cache, key)
    assert described.metadata is None
    assert "damaged" in described.problem


@pytest.mark.parametrize("prefix", ["", "x", "0" * 65, "../../etc", "a b"])
def test_what_is_no_key_reaches_neither_index_nor_store(cache, prefix):
    with pytest.raises(SettingsError, match="is no key"):
        describe_entry(cache, prefix)
