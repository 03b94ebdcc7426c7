"""Whichever operation of a store goes wrong, and however: the value is right, it is said once, nothing stays broken.

`CACHESTORE_SOAK_STEP` is 1 to try every operation, n to try every nth; `CACHESTORE_SOAK_SEED` decides which, and which
bits are flipped.
"""

from __future__ import annotations

import gc
import itertools
import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cachestore import Memory, StorageError
from cachestore.cache.trouble import Trouble
from cachestore.index import Selection
from cachestore.storage import PROBES, STORE_FILE, LocalStore, ObjectStore, is_temporary, open_store
from cachestore.storage.guarded_store import GuardedStore
from cachestore.storage.tiered_store import TieredStore
from tests.faults.calls import SCENARIOS, computed, index_in, memory_over, told
from tests.faults.children import in_a_child
from tests.faults.faulty_store import DEATH, Clock, Fault, FaultyStore

SEED = int(os.environ.get("CACHESTORE_SOAK_SEED", str(random.randrange(2**32))))
STEP = int(os.environ.get("CACHESTORE_SOAK_STEP", "10"))
# One operation on a remote store: what a small one may take, and what the largest of these adds to it.
DEADLINE = 5.0 + 64.0

_numbers = itertools.count()

SURVIVED = [fault for fault in Fault if not fault.startswith("dies")]


@dataclass
class Place:
    """Is where the values are: a store that is well, and how a process sees it while it is ill."""

    healthy: Callable[[], ObjectStore]
    inner: Callable[[], ObjectStore]
    around: Callable[[FaultyStore, Clock], ObjectStore]
    remote: bool = False

    def ill(self, fault: Callable[[int, str], Fault | None], clock: Clock, seed: object) -> tuple:
        faulty = FaultyStore(self.inner(), fault, remote=self.remote, clock=clock, seed=seed)
        return faulty, self.around(faulty, clock)


def in_memory(folder: Path) -> Place:
    location = f"memory://faults-{next(_numbers)}"
    return Place(lambda: open_store(location), lambda: open_store(location), lambda faulty, clock: faulty)


def local(folder: Path) -> Place:
    root = folder / "store"
    return Place(lambda: LocalStore(root), lambda: LocalStore(root), lambda faulty, clock: faulty)


def guarded(folder: Path) -> Place:
    root = folder / "store"

    def around(faulty: FaultyStore, clock: Clock) -> ObjectStore:
        return GuardedStore(faulty, timeout=5.0, clock=clock, sleep=clock.sleep)

    return Place(lambda: LocalStore(root), lambda: LocalStore(root), around, remote=True)


def tiered(folder: Path, *, write_behind: bool = False) -> Place:
    far = guarded(folder)

    def around(faulty: FaultyStore, clock: Clock) -> ObjectStore:
        return TieredStore(
            far.around(faulty, clock),
            folder / f"near-{next(_numbers)}",
            limit=2**30,
            write_behind=write_behind,
            tell=Trouble().tell,
        )

    return Place(far.healthy, far.inner, around, remote=True)


def behind(folder: Path) -> Place:
    return tiered(folder, write_behind=True)


PLACES = {place.__name__: place for place in (in_memory, local, guarded, tiered, behind)}


@pytest.fixture(scope="module")
def index():
    """One index for all: making one takes longer than all that is tried on it."""
    return index_in(None)


def well(index, place: Place, scenario: Callable[[Memory], None]) -> int:
    """Run a scenario on a store that is well; say how often it computed."""
    computed.clear()
    with told() as said:
        scenario(memory_over(place.healthy(), index))
    # What was found damaged is computed again, and that is said.
    assert all("it is computed again" in text or f"{STORE_FILE} is damaged" in text for text in said), said
    if any(f"{STORE_FILE} is damaged. Remove that one file" in text for text in said):
        place.healthy().delete([STORE_FILE])
    return len(computed)


def ill(
    index, place: Place, scenario: Callable[[Memory], None], fault, seed: object
) -> tuple[list[str], FaultyStore]:
    """Run a scenario on a store that is ill; the values are right, within the deadline."""
    clock = Clock()
    with told() as said:
        faulty, store = place.ill(fault, clock, seed)
        scenario(memory_over(store, index))
        lost = _flushed(store)
        # As at the end of a process: nobody is still sending when we look at what is left.
        del store
        for thread in threading.enumerate():
            if thread.name == "cachestore-write-behind":
                gc.collect()
                thread.join(30)
    faults = sum(fault(number, name) is not None for number, name in enumerate(faulty.asked))
    # A breaker leaves alone what has failed three times.
    assert clock.now - 100.0 <= DEADLINE * min(faults, 3)
    # Whoever waits for the far store hears what did not get there.
    return said or lost, faulty


def _flushed(store: ObjectStore) -> list[str]:
    try:
        if hasattr(store, "flush"):
            store.flush()
    except StorageError as error:
        return [str(error)]
    return []


def fresh(index, name: str, folder: Path, warm: Callable[[Memory], None] | None) -> Place:
    """Make a place, empty or with what a scenario leaves there; the index knows of nothing else."""
    index.forget([entry.key for entry in index.select(Selection())])
    place = PLACES[name](folder)
    if warm:
        well(index, place, warm)
    return place


def check_nothing_is_broken(place: Place) -> None:
    # What a probe of the store could not remove is small, and gone with the next `gc` once it is old.
    left = [info.path for info in place.healthy().list("") if not info.path.startswith(PROBES)]
    assert not any(map(is_temporary, left))


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("kind", SURVIVED)
@pytest.mark.parametrize("name", PLACES)
def test_one_operation_goes_wrong(tmp_path, index, name, kind, scenario, warm):
    run = SCENARIOS[scenario]
    for number in _numbers_of(name, kind, scenario, warm):
        place = fresh(index, name, tmp_path / str(number), run if warm else None)
        seed = f"{SEED} {name} {kind} {scenario} {warm} {number}"

        def fault(operation: int, _: str, number: int = number) -> Fault | None:
            return kind if operation == number else None

        computed.clear()
        said, faulty = ill(index, place, run, fault, seed)
        once = len(computed)
        where = f"{seed}: {faulty.asked}"
        assert len(said) <= 1, where
        # What another try cures is not even noticed.
        if place.remote and kind in {Fault.TRANSIENT, Fault.LOST}:
            assert not said, where
        check_nothing_is_broken(place)
        again = well(index, place, run)
        # What was not stored was not lost in silence. (A clear computes anyway.)
        if scenario != "a_clear":
            assert not again or said or kind is Fault.FLIPPED, where
            # Nor is what is there computed again in silence.
            assert not (warm and once) or said, where
            assert not well(index, place, run) or kind is Fault.FLIPPED, where
            # Whatever people were told to do is done by now.
            assert well(index, place, run) == 0, where
        assert once <= 4, where
        if number >= len(faulty.asked):
            return


@pytest.mark.parametrize(
    "warm", [False, True] if STEP == 1 else [True], ids=["cold", "warm"] if STEP == 1 else ["warm"]
)
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("kind", SURVIVED)
@pytest.mark.parametrize("name", PLACES)
def test_all_goes_wrong_from_one_operation_on(tmp_path, index, name, kind, scenario, warm):
    run = SCENARIOS[scenario]
    for number in itertools.takewhile(lambda number: number < 8, _numbers_of(name, kind, scenario, warm)):
        place = fresh(index, name, tmp_path / str(number), run if warm else None)
        seed = f"{SEED} {name} {kind} {scenario} {warm} {number}"

        def fault(operation: int, _: str, number: int = number) -> Fault | None:
            return kind if operation >= number else None

        said, faulty = ill(index, place, run, fault, seed)
        # That the store is ill; and, where it gives wrong bytes, each entry that they were read of.
        assert len(said) <= (3 if kind in {Fault.FLIPPED, Fault.TRUNCATED} else 1), f"{seed}: {said}"
        check_nothing_is_broken(place)
        well(index, place, run)
        if scenario != "a_clear":
            assert not well(index, place, run) or kind is Fault.FLIPPED, f"{seed}: {faulty.asked}"
            assert well(index, place, run) == 0, f"{seed}: {faulty.asked}"


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("kind", [Fault.DIES, Fault.DIES_AFTER])
@pytest.mark.parametrize("name", ["local", "tiered", "behind"])
def test_the_process_dies_at_one_operation(tmp_path, name, kind, scenario):
    run = SCENARIOS[scenario]
    for number in _numbers_of(name, kind, scenario):
        folder = tmp_path / str(number)
        folder.mkdir()
        place = PLACES[name](folder)

        def fault(operation: int, _: str, number: int = number) -> Fault | None:
            return kind if operation == number else None

        def work(folder: Path = folder, place: Place = place, fault=fault) -> None:
            ill(index_in(folder), place, run, fault, "")

        ended, said = in_a_child(work)
        assert ended in {0, DEATH}, f"{name} {kind} {scenario} {number}: {said}"
        index = index_in(folder)
        check_nothing_is_broken(place)
        well(index, place, run)
        if scenario != "a_clear":
            assert well(index, place, run) == 0
        index.close()
        if ended == 0:
            return


def _numbers_of(*case: object) -> Iterator[int]:
    """Give the numbers of the operations to try, without an end: the first always."""
    first = 1 + random.Random(f"{SEED} {case}").randrange(STEP)
    return itertools.chain([0], itertools.count(first, STEP))
