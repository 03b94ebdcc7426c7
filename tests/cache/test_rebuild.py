from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from cachestore.cache import open_cache
from cachestore.cache.rebuild import rebuild
from cachestore.cache.verify import verify
from cachestore.index import Selection
from cachestore.settings import Settings
from cachestore.storage import blob_path
from tests.contracts.index import missed


def rows(cache):
    """All rows, but for what counts uses."""
    moment = datetime.now(UTC)
    entries = cache.index.select(Selection(sort="created"))
    return [replace(entry, hits=0, seconds_saved=0.0, last_used_at=moment) for entry in entries], moment


def same(cache, before):
    entries, moment = before
    return [replace(entry, last_used_at=moment) for entry in rows(cache)[0]] == entries


def test_rebuilding_a_lost_index_gives_the_same_rows_but_for_uses(cache, put):
    for number, value in enumerate(["text", np.arange(50_000), {"a": [1, None]}]):
        put(number, value, seconds=0.5 * number)
    before = rows(cache)
    cache.close()
    for file in cache.store.directory().glob("index.sqlite*"):
        file.unlink()
    fresh = open_cache(Settings(location=cache.location, user="ben"))
    told = []
    outcome = rebuild(fresh, progress=lambda done, total: told.append((done, total)))
    assert (outcome.recorded, outcome.forgotten, outcome.unreadable) == (3, 0, ())
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert same(fresh, before)


def test_rebuilding_keeps_uses_forgets_lost_blobs_and_names_unreadable_ones(cache, put):
    used, lost, torn = put(1), put(2), put(3)
    cache.get(used)
    cache.store.delete([blob_path(lost)])
    path = cache.store.directory() / blob_path(torn)
    path.write_bytes(path.read_bytes()[:-1])
    outcome = rebuild(cache)
    assert (outcome.recorded, outcome.forgotten) == (1, 1)
    assert [finding.key for finding in outcome.unreadable] == [torn]
    assert cache.index.get(used).hits == 1
    assert cache.index.get(lost) is None
    assert path.exists()


def test_verify_finds_damage_lost_blobs_and_orphans_and_changes_nothing(cache, put):
    whole, torn, lost, orphan = (put(number, "x" * 5000) for number in range(4))
    path = cache.store.directory() / blob_path(torn)
    content = bytearray(path.read_bytes())
    content[100] ^= 1  # in the body: only its digest tells
    path.write_bytes(content)
    cache.store.delete([blob_path(lost)])
    cache.index.forget([orphan])
    found = verify(cache)
    assert found.checked == 2
    assert [finding.key for finding in found.damaged] == [torn]
    assert found.vanished == (lost,)
    assert found.orphans == (orphan,)
    assert path.read_bytes() == content
    assert cache.get(whole).value == "x" * 5000


def test_verify_sees_bytes_that_no_reader_fetches(cache, put):
    key = put(1, np.random.default_rng(0).bytes(3 * 2**20))
    path = cache.store.directory() / blob_path(key)
    content = path.read_bytes()
    path.write_bytes(content[: -(2**14)] + b"inserted" + content[-(2**14) :])
    [finding] = verify(cache).damaged
    assert finding.key == key
    assert str(path.stat().st_size) in finding.problem


def test_what_versions_are_made_of_is_known_again(cache, put):
    key = put(1)
    metadata, _ = cache.read_metadata(key)
    cache.index.forget([key])
    assert cache.index.history.misses_of("") == []
    rebuild(cache)
    cache.index.miss(replace(missed(7), code_version=metadata.code_version, code_parts=None))
    cache.merge_uses()
    (noted,) = cache.index.history.misses_of("")
    assert noted.code_parts == metadata.code_parts
