"""Two accounts of one group share a local store: each reads, uses, clears and collects what the other wrote."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import platformdirs  # noqa: F401 - read now: another account may not enter the folder that it lies in
import pytest

from cachestore import Memory
from cachestore.cache import gc, open_cache
from cachestore.cache.clearing import clear_all
from cachestore.cache.eviction import Limits
from cachestore.cache.verify import verify
from cachestore.index import Selection
from cachestore.settings import Settings
from tests.faults.calls import a_large_call, computed, one_call, told, words
from tests.faults.children import in_a_child

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

TEAM = 12345
ANA, BEN, EVE = 23451, 23452, 23453


@pytest.fixture
def shared(place):
    """A directory of the team's."""
    warm = Memory(place / "first", verbose=0)  # whatever is imported lazily is imported as root
    one_call(warm)
    a_large_call(warm)
    verify(warm.store_backend)
    gc.run(warm.store_backend, gc.plan(warm.store_backend, Limits(max_entries=0)))
    folder = place / "shared"
    folder.mkdir()
    os.chown(folder, 0, TEAM)
    folder.chmod(0o2770)
    return folder


def acting(who: int, work, *, umask: int, member: bool = True):
    """Have somebody do something with a Memory of theirs; return what came of it, how much was computed, and told."""

    def act() -> list[object]:
        os.environ["HOME"] = os.environ["XDG_CACHE_HOME"] = "/nowhere"
        computed.clear()
        with told() as said:
            found = work()
        return [found, list(computed), said]

    # Everybody has a group of their own, and is in the team's beside it.
    code, found = in_a_child(act, user=who, groups=(who, TEAM) if member else (who,), umask=umask)
    assert code == 0, found
    return found


def calls(location: Path, who: str):
    def work() -> None:
        memory = Memory.over(open_cache(Settings(location=str(location), user=who)))
        one_call(memory)
        a_large_call(memory)
        memory.store_backend.close()

    return work


def entries_of(location: Path):
    cache = open_cache(Settings(location=str(location), user="root"))
    cache.merge_uses()
    return {entry.function.rpartition(".")[2]: entry for entry in cache.index.select(Selection())}


@pytest.fixture(params=[0o022, 0o077], ids=["umask 022", "umask 077"])
def umask(request) -> int:
    return request.param


@pytest.mark.parametrize("made_before", [False, True], ids=["new store", "directory made before"])
def test_each_uses_what_the_other_wrote(shared, umask, made_before):
    store = shared / "store"
    if made_before:
        store.mkdir()
        os.chown(store, ANA, TEAM)
        store.chmod(0o2770)
    assert acting(ANA, calls(store, "ana"), umask=umask) == [None, ["words", "noise"], []]
    assert acting(BEN, calls(store, "ben"), umask=umask) == [None, [], []]
    assert acting(ANA, calls(store, "ana"), umask=umask) == [None, [], []]
    found = entries_of(store)
    assert {name: (entry.creator, entry.hits) for name, entry in found.items()} == {
        "words": ("ana", 2),
        "noise": ("ana", 2),
    }
    for path in [store, *store.rglob("*")]:
        status = path.stat()
        assert status.st_gid == TEAM, path
        needed = 0o2070 if path.is_dir() else 0o060
        assert status.st_mode & needed == needed, f"{path}: {stat.filemode(status.st_mode)}"
        assert not status.st_mode & 0o007 or umask == 0o022, f"{path}: {stat.filemode(status.st_mode)}"


def test_each_may_replace_clear_and_collect_what_the_other_wrote(shared, umask):
    store = shared / "store"

    def cache(who: str):
        return open_cache(Settings(location=str(store), user=who))

    def damage() -> None:
        for blob in (store / "blobs").glob("*/*"):
            blob.write_bytes(b"damaged")

    def clear() -> None:
        Memory.over(cache("ben")).cache(words).clear(warn=False)

    def collect() -> int:
        mine = cache("ben")
        decided = gc.plan(mine, Limits(max_entries=0), now=datetime.now(UTC) + timedelta(days=8))
        gc.run(mine, decided)
        return len(decided.evictions)

    assert acting(ANA, calls(store, "ana"), umask=umask)[1] == ["words", "noise"]
    assert acting(BEN, damage, umask=umask) == [None, [], []]
    _, again, said = acting(BEN, calls(store, "ben"), umask=umask)
    assert again == ["words", "noise"]
    assert len(said) == 2
    assert acting(ANA, calls(store, "ana"), umask=umask) == [None, [], []]
    assert acting(BEN, clear, umask=umask) == [None, [], []]
    assert acting(ANA, calls(store, "ana"), umask=umask) == [None, ["words"], []]
    assert acting(BEN, collect, umask=umask) == [2, [], []]
    assert acting(BEN, calls(store, "ben"), umask=umask) == [None, ["words", "noise"], []]
    assert acting(ANA, lambda: clear_all(cache("ana")), umask=umask) == [2, [], []]
    assert acting(BEN, calls(store, "ben"), umask=umask) == [None, ["words", "noise"], []]


def test_who_is_not_of_the_team_reads_nothing(shared, umask):
    store = shared / "store"
    acting(ANA, calls(store, "ana"), umask=umask)
    _, again, said = acting(EVE, calls(store, "eve"), umask=umask, member=False)
    assert again == ["words", "noise"]
    assert len(said) == 1
    assert "Permission denied" in said[0]


def test_a_private_store_stays_private(place, shared):
    """Outside of a shared directory the umask alone decides, also for members of one group."""
    home = place / "home"
    home.mkdir(mode=0o755)
    os.chown(home, ANA, TEAM)
    home.chmod(0o755)
    assert acting(ANA, calls(home / "store", "ana"), umask=0o077)[1] == ["words", "noise"]
    for path in [home / "store", *(home / "store").rglob("*")]:
        assert not path.stat().st_mode & 0o077, path

    def read() -> list[str]:
        refused = []
        for path in [home / "store/store.json", home / "store/blobs", home / "store/index.sqlite"]:
            try:
                path.read_bytes()
            except OSError as error:
                refused.append(type(error).__name__)
        return refused

    assert acting(BEN, read, umask=0o022)[0] == 3 * ["PermissionError"]
    _, again, said = acting(BEN, calls(home / "store", "ben"), umask=0o022)
    assert (again, len(said)) == (["words", "noise"], 1)
    assert acting(ANA, calls(home / "store", "ana"), umask=0o077) == [None, [], []]
