import json
import pickle
import shutil
from datetime import UTC, datetime

import numpy as np
import pytest

from cachestore import CachestoreWarning, IndexUnavailable, StorageError
from cachestore.cache import Hit, Miss, Parent, open_cache
from cachestore.index import Selection
from cachestore.settings import Settings
from cachestore.storage import blob_path, version_path
from tests.cache.conftest import call_of


def test_what_was_put_is_found(cache, put):
    key = put(1, {"a": np.arange(5)})
    found = cache.get(key)
    assert isinstance(found, Hit)
    np.testing.assert_array_equal(found.value["a"], np.arange(5))
    assert found.metadata.function.endswith("call_of")
    assert found.metadata.creator == "ana"


def test_what_was_not_put_is_a_miss(cache):
    assert cache.get("0" * 64) == Miss("absent")
    assert cache.peek("0" * 64) == Miss("absent")


def test_a_put_makes_a_row_and_a_hit_counts_as_its_use(cache, put):
    key = put(1)
    cache.get(key)
    cache.get(key)
    cache.peek(key)
    cache.merge_uses()
    row = cache.index.get(key)
    assert (row.hits, row.creator, row.kind, row.seconds) == (2, "ana", "builtins.str", 2.0)
    # What a hit saves is net of the time that loading takes.
    assert 3.0 < row.seconds_saved < 4.0


def test_the_parts_of_a_code_version_are_kept_in_the_store(cache, put):
    key = put(1)
    put(2)
    metadata = cache.peek(key)
    cache.drop([key])
    [kept] = cache.store.list("versions/")
    assert kept.path == version_path(metadata.code_version)
    described = json.loads(cache.store.get(kept.path))
    assert described["parts"] == dict(metadata.code_parts)
    assert any(part.endswith("call_of") for part in described["parts"])


def test_a_second_put_replaces_the_first(cache, put):
    put(1, "old")
    key = put(1, "new")
    assert cache.get(key).value == "new"
    assert len(cache.index.select(Selection())) == 1


def test_drop_removes_row_and_blob(cache, put):
    key = put(1)
    cache.drop([key])
    assert cache.get(key) == Miss("absent")
    assert cache.index.get(key) is None
    cache.drop([key])


def test_large_arrays_carry_their_digest_and_small_values_none(cache, put):
    from cachestore import digest

    large = np.arange(100_000)
    assert cache.peek(put(1, large)).value_digest == digest(large)
    assert cache.peek(put(2, "small")).value_digest is None


def test_parents_are_kept_in_blob_and_row(cache, put):
    parent = put(1)
    call = call_of(2)
    cache.put(call, "child", started_at=datetime.now(UTC), seconds=1.0, parents=[Parent(parent, None)])
    assert cache.peek(call.key).parents == (Parent(parent, None),)
    assert cache.index.get(call.key).parents == (parent,)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda blob: blob[: len(blob) // 2], "corrupt"),
        (lambda blob: b"", "corrupt"),
        (lambda blob: blob[:-40] + bytes([blob[-40] ^ 1]) + blob[-39:], "corrupt"),
    ],
    ids=["truncated", "empty", "flipped"],
)
def test_a_damaged_blob_is_a_miss_that_is_told_and_mended_by_the_next_put(cache, put, damage, reason):
    key = put(1, "precious " * 1000)
    path = cache.store.directory() / blob_path(key)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(CachestoreWarning, match=key[:12]) as told:
        assert cache.get(key) == Miss(reason)
        assert cache.get(key) == Miss(reason)
    assert len(told) == 1
    put(1, "precious")
    assert cache.get(key).value == "precious"


def test_a_blob_under_another_key_is_a_miss(cache, put):
    one, other = put(1, "one"), put(2, "other")
    directory = cache.store.directory()
    (directory / blob_path(one)).write_bytes((directory / blob_path(other)).read_bytes())
    with pytest.warns(CachestoreWarning, match="cannot be used"):
        assert cache.get(one) == Miss("corrupt")


def test_a_blob_that_is_replaced_between_two_reads_is_read_again(cache, put, monkeypatch):
    key = put(1, "x" * 100)
    real, calls = cache.store.get_suffix, []

    def torn_once(path, length):
        calls.append(path)
        content = real(path, length)
        return content[:-1] if len(calls) == 1 else content

    monkeypatch.setattr(type(cache.store), "get_suffix", lambda self, path, length: torn_once(path, length))
    assert cache.get(key).value == "x" * 100


def test_a_value_that_cannot_be_pickled_is_not_stored_and_told_once(cache, put):
    with pytest.warns(CachestoreWarning, match="call_of is not stored") as told:
        key = put(1, (number for number in range(3)))
        put(2, (number for number in range(3)))
    assert len(told) == 1
    assert cache.get(key) == Miss("absent")


def test_an_index_that_is_ill_stops_nothing(tmp_path, put):
    (tmp_path / "broken.sqlite").write_bytes(b"this is no database" * 100)
    cache = open_cache(Settings(location=str(tmp_path / "store"), index=str(tmp_path / "broken.sqlite")))
    with pytest.warns(CachestoreWarning, match="without its index") as told:
        key = put(1, into=cache)
        put(2, into=cache)
    assert len(told) == 1
    assert cache.get(key).value == "a value"
    with pytest.raises(IndexUnavailable):
        cache.drop([key])
    assert cache.get(key).value == "a value"


def test_a_store_that_is_ill_is_a_miss_and_told_once(tmp_path, put):
    cache = open_cache(Settings(location=str(tmp_path / "store")))
    (tmp_path / "store").write_text("a file where the directory should be")
    with pytest.warns(CachestoreWarning, match="The store is ill") as told:
        key = put(1, into=cache)
        assert cache.get(key) in (Miss("unavailable"), Miss("absent"))
    assert len(told) == 1
    with pytest.raises(StorageError):
        cache.store.put("x", [b""])


def test_losing_the_index_loses_no_value(cache, put):
    key = put(1)
    cache.close()
    for file in cache.store.directory().glob("index.sqlite*"):
        file.unlink()
    fresh = open_cache(Settings(location=cache.location, user="ben"))
    assert fresh.get(key).value == "a value"
    # The use of an orphan gives it a row again.
    fresh.merge_uses()
    assert fresh.index.get(key).creator == "ana"


def test_a_directory_that_is_removed_under_a_living_process_is_made_again(cache, put):
    put(1)
    shutil.rmtree(cache.store.directory())
    key = put(2)
    assert cache.get(key).value == "a value"
    assert cache.store_id() is not None
    assert [entry.key for entry in cache.index.select(Selection())] == [key]


def test_a_pickled_cache_opens_the_same_place_without_secrets(tmp_path):
    settings = Settings(location=str(tmp_path / "store"), storage_options={"secret": "hunter2"})
    cache = open_cache(settings)
    pickled = pickle.dumps(cache)
    assert b"hunter2" not in pickled
    # Here the cache is open already, with all that it needs.
    assert pickle.loads(pickled) is cache


def test_a_store_has_one_name_whoever_puts_first(tmp_path, put):
    one = open_cache(Settings(location=str(tmp_path / "store"), user="ana"))
    other = open_cache(Settings(location=str(tmp_path / "store"), user="ben"))
    assert one.store_id() is None
    put(1, into=one)
    named = one.store_id()
    put(2, into=other)
    assert one.store_id() == other.store_id() == named


@pytest.mark.parametrize("at_once", [1, 8])
def test_many_are_answered_in_order_each_as_one_alone(cache, put, monkeypatch, at_once):
    monkeypatch.setattr(type(cache.store), "at_once", at_once)
    keys = [put(number, number) for number in range(20)]
    keys[7] = 64 * "0"
    damaged = blob_path(keys[9])
    cache.store.put(damaged, [b"no blob"])
    with pytest.warns(CachestoreWarning, match="cannot be used"):
        found = list(cache.get_many(iter(keys)))
    assert found[7] == Miss("absent")
    assert found[9] == Miss("corrupt")
    assert [hit.value for hit in found if isinstance(hit, Hit)] == [n for n in range(20) if n not in {7, 9}]
    cache.merge_uses()
    assert [cache.index.get(key).hits for key in keys[:3]] == [1, 1, 1]


def test_many_misses_are_one_request_each(moto_server, s3_store_url, proxy_to, tmp_path):
    proxy = proxy_to(moto_server.endpoint_url)
    location, options = s3_store_url(moto_server)
    options = {**options, "endpoint_url": proxy.endpoint_url}
    cache = open_cache(
        Settings(location=location, storage_options=options, index=f"sqlite:///{tmp_path}/index.sqlite")
    )
    assert list(cache.get_many(f"{number:064x}" for number in range(40))) == 40 * [Miss("absent")]
    assert proxy.methods == 40 * ["GET"]


def test_a_value_without_room_is_returned_and_not_stored(cache, put, monkeypatch):
    def no_room(*_, **__):
        raise MemoryError("no room")

    monkeypatch.setattr("cachestore.blob.writer.body_of", no_room)
    with pytest.warns(CachestoreWarning, match="is not stored"):
        key = put(1)
    monkeypatch.undo()
    assert isinstance(cache.get(key), Miss)


def test_looking_at_a_pickle_is_a_miss_where_loading_it_is(cache, put):
    keys = [put(1, 1j), put(2, 2j), put(3, [1, np.arange(100_000), 1j])]
    data = put(4, {"a": 1})
    reading = open_cache(Settings(location=cache.location, load_policy="data"))
    with pytest.warns(CachestoreWarning, match="computed at each call.*load_policy='data'") as told:
        for key in keys:
            assert reading.peek(key) == reading.get(key) == Miss("unreadable")
            assert reading.peek(key, accept=lambda metadata: False) == Miss("refused")
    assert len(told) == 1
    assert not isinstance(reading.peek(data), Miss)
    assert reading.get(data).value == {"a": 1}
    assert not any(isinstance(cache.peek(key), Miss) for key in keys)
