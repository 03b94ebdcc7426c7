import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from cachestore import StorageError
from cachestore.cache import Miss, gc, open_cache
from cachestore.cache.eviction import Limits
from cachestore.index import Selection
from cachestore.settings import Settings
from cachestore.storage import blob_path


def age(path, days):
    past = time.time() - days * 86400
    os.utime(path, (past, past))


def test_nothing_is_planned_without_need(cache, put):
    put(1)
    decided = gc.plan(cache, Limits(older_than=timedelta(days=1)))
    assert decided.empty
    assert decided.kept == 1


def test_a_plan_changes_nothing_and_running_it_removes_rows_and_blobs(cache, put):
    keys = [put(number) for number in range(5)]
    decided = gc.plan(cache, Limits(max_entries=2))
    assert [eviction.entry.key for eviction in decided.evictions] == keys[:3]
    assert decided.freed_size > 0
    assert all(not isinstance(cache.peek(key), Miss) for key in keys)
    gc.run(cache, decided)
    assert [isinstance(cache.peek(key), Miss) for key in keys] == [True] * 3 + [False] * 2
    assert {entry.key for entry in cache.index.select(Selection())} == set(keys[3:])


def test_limits_may_speak_of_some_functions_only(cache, put):
    keys = [put(number) for number in range(3)]
    assert gc.plan(cache, Limits(max_entries=0, function="other*")).evictions == ()
    decided = gc.plan(cache, Limits(max_entries=1, function="call_*"))
    assert [eviction.entry.key for eviction in decided.evictions] == keys[:2]
    assert decided.kept == 1


def test_uses_that_are_only_noted_count(cache, put):
    first, second = put(1), put(2)
    cache.get(first)
    cache.index.flush()
    decided = gc.plan(cache, Limits(max_entries=1))
    assert [eviction.entry.key for eviction in decided.evictions] == [second]


def test_rows_without_blobs_are_forgotten(cache, put):
    key = put(1)
    cache.store.delete([blob_path(key)])
    decided = gc.plan(cache, Limits())
    assert decided.vanished == (key,)
    gc.run(cache, decided)
    assert cache.index.get(key) is None


def test_old_orphans_are_adopted_and_young_ones_left_alone(cache, put):
    old, young = put(1), put(2)
    cache.index.forget([old, young])
    age(cache.store.directory() / blob_path(old), days=8)
    decided = gc.plan(cache, Limits(older_than=timedelta(days=1)))
    assert [entry.key for entry in decided.adoptions] == [old]
    gc.run(cache, decided)
    assert cache.index.get(old) is not None
    assert cache.index.get(young) is None
    assert cache.get(old).value == cache.get(young).value == "a value"


def test_old_leftovers_are_swept_and_young_ones_are_not(cache, put):
    key = put(1)
    directory = cache.store.directory()
    cache.index.forget([key])
    blob = directory / blob_path(key)
    blob.write_bytes(blob.read_bytes()[:-10])
    torn = put(2)
    cache.index.forget([torn])
    (directory / blob_path(torn)).write_bytes(b"torn just now")
    age(blob, days=8)
    decided = gc.plan(cache, Limits())
    assert [info.path for info in decided.sweeps] == [blob_path(key)]
    gc.run(cache, decided)
    assert not blob.exists()
    assert (directory / blob_path(torn)).exists()


def test_leftovers_of_killed_puts_are_swept_when_old(cache, put):
    put(1)
    directory = cache.store.directory()

    class Killed(BaseException):
        pass

    def parts():
        yield b"half of"
        # What a SIGKILL leaves: the temporary file stays, for nobody was there to remove it.
        left.extend(path for path in directory.rglob("*") if path.is_file() and path not in before)
        saved.extend((path, path.read_bytes()) for path in left)
        raise Killed

    left, saved = [], []
    before = set(directory.rglob("*"))
    with pytest.raises(Killed):
        cache.store.put(blob_path("f" * 64), parts())
    assert saved
    for path, content in saved:
        path.write_bytes(content)
        age(path, days=8)
    gc.run(cache, gc.plan(cache, Limits()))
    assert not any(path.exists() for path in left)


def test_a_private_index_never_sweeps(tmp_path, put, monkeypatch):
    """A shared store whose index is somebody's own: only what it knows of goes, by its limits."""
    cache = open_cache(Settings(location=str(tmp_path / "store")))
    keys = [put(number, into=cache) for number in range(2)]
    orphan = put(3, into=cache)
    cache.index.forget([orphan])
    age(cache.store.directory() / blob_path(orphan), days=30)
    monkeypatch.setattr(type(cache.index), "private", property(lambda self: True), raising=False)
    decided = gc.plan(cache, Limits(max_entries=1))
    assert not decided.sweeps
    assert not decided.adoptions
    assert [eviction.entry.key for eviction in decided.evictions] == keys[:1]


def test_a_collection_that_is_cut_short_can_be_done_again(cache, put, monkeypatch):
    keys = [put(number) for number in range(3)]
    decided = gc.plan(cache, Limits(max_entries=0))
    monkeypatch.setattr(
        type(cache.store), "delete", lambda self, paths: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        gc.run(cache, decided)
    monkeypatch.undo()
    # Rows first, then blobs: the blobs are orphans now, still valid hits.
    assert cache.get(keys[0]).value == "a value"
    for key in keys:
        age(cache.store.directory() / blob_path(key), days=8)
    gc.run(cache, gc.plan(cache, Limits()))
    gc.run(cache, gc.plan(cache, Limits(max_entries=0), now=datetime.now(UTC)))
    assert not list(cache.store.list("blobs"))


@pytest.mark.s3
def test_old_uploads_of_writers_that_died_are_aborted(seaweedfs, s3_store_url, tmp_path, monkeypatch):
    location, options = s3_store_url(seaweedfs)
    cache = open_cache(
        Settings(location=location, storage_options=options, index=f"sqlite:///{tmp_path}/index.sqlite")
    )
    bucket, prefix = location.removeprefix("s3://").split("/")
    seaweedfs.client().create_multipart_upload(Bucket=bucket, Key=f"{prefix}/{blob_path(64 * 'a')}")
    assert gc.plan(cache, Limits()).empty
    monkeypatch.setattr(gc, "UPLOAD_AGE", timedelta(days=-1))
    decided = gc.plan(cache, Limits())
    assert (decided.uploads, decided.empty) == (1, False)
    assert gc.plan(cache, Limits()).uploads == 1
    gc.run(cache, decided)
    assert gc.plan(cache, Limits()).empty


def test_who_may_not_list_uploads_collects_the_rest(cache, put, monkeypatch):
    def refuse(older_than, *, act=True):
        raise StorageError("permission denied")

    put(1)
    monkeypatch.setattr(
        type(cache.store), "sweep_unfinished", lambda self, *args, **options: refuse(*args, **options)
    )
    decided = gc.plan(cache, Limits(max_entries=0))
    assert (len(decided.evictions), decided.uploads) == (1, 0)
    gc.run(cache, decided)


def test_what_was_computed_again_since_the_plan_is_not_swept(cache, put):
    key = put(1)
    path = cache.store.directory() / blob_path(key)
    path.write_bytes(b"no blob")
    cache.index.forget([key])
    age(path, days=30)
    decided = gc.plan(cache, Limits())
    assert [info.path for info in decided.sweeps] == [blob_path(key)]
    put(1)
    gc.run(cache, decided)
    assert not isinstance(cache.get(key), Miss)
