from __future__ import annotations

import itertools
import os
import shutil
import signal
import threading
import time
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cachestore.blob import encode
from cachestore.cache import open_cache
from cachestore.cache import transfer as module
from cachestore.cache.entries import entry_of
from cachestore.cache.store_file import write_store_id
from cachestore.cache.transfer import Wanted, carry_out, plan
from cachestore.cache.verify import verify
from cachestore.cache.versions import read_version
from cachestore.errors import SettingsError, StorageError
from cachestore.index import Selection
from cachestore.memory import Memory
from cachestore.settings import Settings
from cachestore.storage import blob_path, key_of, version_path

pytestmark = pytest.mark.usefixtures("alone")


def small(number):
    return [number]


def large(size):
    return os.urandom(size)


def table_of(number):
    return {"number": number}


@pytest.fixture
def laptop(tmp_path):
    """A store in which ana computed five results."""
    cache = open_cache(Settings(location=str(tmp_path / "laptop"), user="ana"))
    memory = Memory.over(cache)
    for number in range(3):
        memory.cache(small)(number)
    memory.cache(large)(300_000)
    memory.cache(table_of)(memory.cache(small)(1)[0])
    return cache


@pytest.fixture
def team(tmp_path):
    """An empty store of another place, for ben."""
    return open_cache(Settings(location=str(tmp_path / "team"), user="ben"))


def keys_in(cache):
    return set(filter(None, (key_of(info.path) for info in cache.store.list("blobs/"))))


def rows_in(cache):
    return {entry.key: entry for entry in cache.index.select(Selection())}


def moved(source, destination, wanted=None):
    return carry_out(source, destination, plan(source, destination, wanted or Wanted()))


def test_entries_arrive_as_they_were(laptop, team):
    done = moved(laptop, team)
    assert set(done.keys) == keys_in(laptop) == keys_in(team)
    assert done.failed == ()
    assert done.size == sum(entry.stored_size for entry in rows_in(laptop).values())
    for key, row in rows_in(laptop).items():
        assert team.store.get(blob_path(key)) == laptop.store.get(blob_path(key))
        theirs = rows_in(team)[key]
        assert theirs.creator == "ana"
        assert (
            replace(theirs, last_used_at=row.last_used_at, hits=row.hits, seconds_saved=row.seconds_saved)
            == row
        )
    assert verify(team).orphans == verify(team).damaged == ()
    assert Memory.over(team).cache(table_of).check_call_in_cache(1)


def test_what_is_written_of_code_versions_goes_with_them(laptop, team):
    moved(laptop, team)
    versions = {entry.code_version for entry in rows_in(laptop).values()}
    assert len(versions) == 3
    for version in versions:
        assert read_version(team.store, version) == read_version(laptop.store, version) is not None
        assert team.index.history.code_versions(version) == laptop.index.history.code_versions(version)


def test_sources_stay_where_the_destination_keeps_none(laptop, team):
    plain = open_cache(replace(team.settings, keep_sources=False))
    moved(laptop, plain)
    for version in {entry.code_version for entry in rows_in(laptop).values()}:
        kept = read_version(laptop.store, version)
        assert kept.sources
        assert read_version(plain.store, version) == replace(kept, sources={})


def test_a_store_that_takes_no_conditional_puts_gets_all_the_same(laptop, team, monkeypatch):
    write_store_id(team.store)

    def refuse(store, path, data):
        raise StorageError("not implemented")

    monkeypatch.setattr(type(team.store), "create", refuse)
    assert set(moved(laptop, team).keys) == keys_in(laptop)
    for version in {entry.code_version for entry in rows_in(laptop).values()}:
        assert read_version(team.store, version) == read_version(laptop.store, version) is not None


def test_what_is_written_of_a_version_stays_as_it_is(laptop, team):
    (version, *_) = sorted(entry.code_version for entry in rows_in(laptop).values())
    team.store.put(version_path(version), [b'{"format": 99}'])
    moved(laptop, team)
    assert team.store.get(version_path(version)) == b'{"format": 99}'


def test_what_is_there_is_not_moved_again(laptop, team):
    moved(laptop, team)
    again = plan(laptop, team, Wanted())
    assert again.empty
    assert again.present == 5
    assert moved(laptop, team).keys == ()


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Wanted(), 5),
        (Wanted(function="small"), 3),
        (Wanted(function="*_of"), 1),
        (Wanted(function="nothing*"), 0),
        (Wanted(creator="ana"), 5),
        (Wanted(creator="ben"), 0),
        (Wanted(smaller_than=100_000), 4),
        (Wanted(newer_than=timedelta(hours=1)), 5),
        (Wanted(newer_than=timedelta(0)), 0),
        (Wanted(function="small", smaller_than=1), 0),
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_only_what_is_wanted_goes(laptop, team, wanted, count, listed):
    if not listed:
        laptop.index.forget(rows_in(laptop))
    decided = plan(laptop, team, wanted)
    assert len(decided.moves) == count
    assert len(moved(laptop, team, wanted).keys) == count == len(keys_in(team)) == len(rows_in(team))


def test_keys_may_be_shortened(laptop, team):
    first, second, *_ = sorted(keys_in(laptop))
    assert set(moved(laptop, team, Wanted(keys=(first[:12], second))).keys) == {first, second}
    for wrong in ("", "nothing", "a" * 65):
        with pytest.raises(SettingsError, match="is no key"):
            Wanted(keys=(wrong,))


def test_what_has_expired_stays(laptop, team):
    key, *_ = sorted(keys_in(laptop))
    metadata, _ = laptop.read_metadata(key)
    past, future = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))
    for expired, when in ((True, past), (False, future)):
        encoded = encode([1], replace(metadata, expires_at=when), compress=None)
        laptop.store.put(blob_path(key), encoded)
        laptop.index.record([entry_of(*laptop.read_metadata(key))])
        decided = plan(laptop, team, Wanted())
        assert decided.expired == expired
        assert (key in {entry.key for entry in decided.moves}) is not expired
    moved(laptop, team)
    assert rows_in(team)[key].expires_at == future


@pytest.mark.parametrize("at", [0, 30, 200, -200, -1])
def test_what_does_not_verify_arrives_nowhere(laptop, team, at):
    key = max(rows_in(laptop).values(), key=lambda entry: entry.stored_size).key
    damaged = bytearray(laptop.store.get(blob_path(key)))
    damaged[at] ^= 0xFF
    laptop.store.put(blob_path(key), [damaged])
    done = moved(laptop, team)
    assert [finding.key for finding in done.failed] == [key]
    assert keys_in(team) == keys_in(laptop) - {key} == set(rows_in(team))
    assert not list(Path(team.location).rglob(".tmp-*"))


def test_bytes_put_in_between_are_seen(laptop, team):
    key = max(rows_in(laptop).values(), key=lambda entry: entry.stored_size).key
    big = Memory.over(laptop).cache(large)
    big(3 * 2**20)
    (key,) = {entry.key for entry in rows_in(laptop).values() if entry.stored_size > 2**20}
    data = laptop.store.get(blob_path(key))
    laptop.store.put(blob_path(key), [data[: -(2**20)], b"more", data[-(2**20) :]])
    done = moved(laptop, team)
    assert [finding.key for finding in done.failed] == [key]


def test_a_sound_one_is_never_overwritten_and_a_damaged_one_is(laptop, team):
    moved(laptop, team)
    sound, damaged, *_ = sorted(keys_in(team))
    metadata, _ = team.read_metadata(sound)
    other = encode([17], replace(metadata, creator="benjamin"), compress=None)
    team.store.put(blob_path(sound), other)
    theirs = team.store.get(blob_path(sound))
    team.store.put(blob_path(damaged), [b"cut off"])
    assert moved(laptop, team).keys == (damaged,)
    assert team.store.get(blob_path(sound)) == theirs
    assert team.store.get(blob_path(damaged)) == laptop.store.get(blob_path(damaged))


def test_one_that_came_meanwhile_stays(laptop, team):
    decided = plan(laptop, team, Wanted())
    key = decided.moves[0].key
    metadata, _ = laptop.read_metadata(key)
    encoded = encode([17], replace(metadata, creator="cleo"), compress=None)
    team.store.put(blob_path(key), encoded)
    done = carry_out(laptop, team, decided)
    assert set(done.keys) == {entry.key for entry in decided.moves[1:]}
    assert done.size == sum(entry.stored_size for entry in decided.moves[1:])
    assert rows_in(team)[key].creator == "cleo"
    assert team.read_metadata(key)[0].creator == "cleo"


def test_one_store_is_not_moved_to_itself(laptop, tmp_path):
    again = open_cache(Settings(location=laptop.location, user="ben"))
    with pytest.raises(SettingsError, match="are one store"):
        plan(laptop, again, Wanted())


def test_a_copy_of_a_store_becomes_one_of_its_own_without_its_name(laptop, tmp_path):
    laptop.close()
    copied = tmp_path / "copied"
    shutil.copytree(laptop.location, copied)
    some = sorted(keys_in(laptop))[0]
    copy = open_cache(Settings(location=str(copied), user="ben"))
    with pytest.raises(SettingsError, match=r"same id in store\.json: one is a copy"):
        plan(laptop, copy, Wanted())
    copy.drop([some])
    (copied / "store.json").unlink()
    moved(laptop, copy)
    assert keys_in(copy) == keys_in(laptop)
    assert set(rows_in(copy)) == set(rows_in(laptop))
    assert copy.store_id() not in {None, laptop.store_id()}


def test_one_directory_under_two_names_is_one_store(laptop, tmp_path):
    (tmp_path / "link").symlink_to(laptop.location)
    with pytest.raises(SettingsError, match="are one store"):
        plan(laptop, open_cache(Settings(location=str(tmp_path / "link"), user="ben")), Wanted())


def test_what_cannot_be_put_is_said_and_the_rest_goes(laptop, team, monkeypatch):
    key = sorted(keys_in(laptop))[2]
    real = type(team.store).put

    def put(store, path, parts):
        if store is team.store and path == blob_path(key):
            raise StorageError("refused for a test")
        real(store, path, parts)

    monkeypatch.setattr(type(team.store), "put", put)
    done = moved(laptop, team)
    assert [(finding.key, finding.problem) for finding in done.failed] == [(key, "refused for a test")]
    assert keys_in(team) == set(rows_in(team)) == keys_in(laptop) - {key}


def test_what_is_gone_meanwhile_is_said(laptop, team):
    decided = plan(laptop, team, Wanted())
    laptop.drop([decided.moves[0].key])
    done = carry_out(laptop, team, decided)
    assert [finding.key for finding in done.failed] == [decided.moves[0].key]
    assert "removed" in done.failed[0].problem


def test_blobs_that_are_there_without_a_row_get_one(laptop, team):
    moved(laptop, team)
    team.index.forget(rows_in(team))
    decided = plan(laptop, team, Wanted())
    assert decided.moves == ()
    assert set(decided.unlisted) == keys_in(team)
    assert carry_out(laptop, team, decided).keys == ()
    assert set(rows_in(team)) == keys_in(team)


def test_progress_is_told(laptop, team):
    told = []
    decided = plan(laptop, team, Wanted())
    carry_out(laptop, team, decided, progress=lambda done, total: told.append((done, total)))
    assert told == [(number, 5) for number in range(1, 6)]


@pytest.mark.parametrize("after", [1, 3, 6])
def test_whoever_is_killed_moves_the_rest_the_next_time(laptop, team, after, monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    memory = Memory.over(laptop)
    for number in range(10, 14):
        memory.cache(small)(number)
    laptop.index.flush()
    child = os.fork()
    if not child:
        real, puts = type(team.store).put, itertools.count()

        def put(store, path, parts):
            if path.startswith("blobs/") and next(puts) == after:
                os.kill(os.getpid(), signal.SIGKILL)
            real(store, path, parts)

        type(team.store).put = put
        moved(laptop, team)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    there = keys_in(team)
    # Some were under way; none is there in part.
    assert len(there) <= after + module._AT_ONCE
    assert len(there) >= after - module._AT_ONCE
    assert verify(team).damaged == ()
    done = moved(laptop, team)
    assert set(done.keys) == keys_in(laptop) - there
    assert set(rows_in(team)) == keys_in(team) == keys_in(laptop)


def test_ctrl_c_leaves_what_arrived_listed(laptop, team):
    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_out(laptop, team, plan(laptop, team, Wanted()), progress=interrupt)
    assert len(rows_in(team)) == 2


def test_only_so_many_are_under_way(laptop, team, monkeypatch):
    under_way, most = set(), []
    lock = threading.Lock()
    real = module._move

    def move(source, destination, key):
        with lock:
            under_way.add(key)
            most.append(len(under_way))
        time.sleep(0.01)
        try:
            return real(source, destination, key)
        finally:
            with lock:
                under_way.discard(key)

    monkeypatch.setattr(module, "_move", move)
    memory = Memory.over(laptop)
    for number in range(100, 120):
        memory.cache(small)(number)
    moved(laptop, team)
    assert 1 < max(most) <= module._AT_ONCE


def test_a_large_blob_is_never_in_memory_whole(laptop, team):
    Memory.over(laptop).cache(large)(200 * 2**20)
    decided = plan(laptop, team, Wanted(function="large"))
    assert decided.size > 200 * 2**20
    tracemalloc.start()
    try:
        carry_out(laptop, team, decided)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * 2**20
    assert verify(team).damaged == ()


def test_many_blobs_are_never_in_memory_together(laptop, tmp_path, s3_server, s3_store_url):
    remember = Memory.over(laptop).cache(large)
    for number, size in enumerate([1_000_000] * 20 + [4_000_000] * 5 + [30_000_000] * 3):
        remember(size + number)
    location, options = s3_store_url(s3_server)
    server = open_cache(Settings(location=location, storage_options=options, timeout=60.0))
    back = open_cache(Settings(location=str(tmp_path / "back")))
    for source, destination in ((laptop, server), (server, back)):
        decided = plan(source, destination, Wanted(function="large"))
        assert decided.size > 130_000_000
        tracemalloc.start()
        try:
            assert carry_out(source, destination, decided).failed == ()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 64 * 2**20


def test_to_a_server_and_back(laptop, tmp_path, s3_server, s3_store_url):
    location, options = s3_store_url(s3_server)
    settings = Settings(location=location, storage_options=options, user="ana", timeout=20.0)
    server = open_cache(settings)
    assert set(moved(laptop, server).keys) == keys_in(laptop)
    # Ben's private index knows nothing of them, and his laptop is new.
    other = open_cache(replace(settings, user="ben", index=str(tmp_path / "empty.sqlite")))
    mine = open_cache(Settings(location=str(tmp_path / "mine"), user="ben"))
    assert len(moved(other, mine, Wanted(function="small", creator="ana")).keys) == 3
    assert {entry.creator for entry in rows_in(mine).values()} == {"ana"}
    assert Memory.over(mine).cache(small)(2) == [2]
