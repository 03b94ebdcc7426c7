"""Writers killed at random moments: what has its final name is whole, what is not whole can be found.

`CACHESTORE_SOAK_KILLS` says how many are killed; a full run is of 200 and more.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from cachestore.storage import LocalStore, blob_path, is_temporary

KILLS = int(os.environ.get("CACHESTORE_SOAK_KILLS", "20"))
SEED = int(os.environ.get("CACHESTORE_SOAK_SEED", str(random.randrange(2**32))))

KEYS = [f"{number:02x}" * 32 for number in range(4)]
# From less than a page to many parts.
SIZES = (1024, 16 * 1024, 512 * 1024, 4 * 2**20)
_HEAD = 32
_BIRTH = 0.002


@pytest.mark.timeout(60 + 2 * KILLS)
def test_a_killed_put_leaves_the_old_object_or_the_new_one(tmp_path, capsys):
    store = LocalStore(tmp_path / "store")
    chance = random.Random(SEED)
    wounded = 0
    found = set()
    number = 0
    # On a busy machine writers come late: it goes on, with more time for each, until one was hit in a put.
    while number < KILLS or (KILLS >= 20 and not wounded and number < 10 * KILLS):
        writer = _forked_writer(tmp_path / "store", number)
        # From before the first write to many puts later: where in a put it hits is up to the machine.
        time.sleep(_BIRTH + chance.random() * 0.06 * (1 + number // KILLS))
        number += 1
        os.kill(writer, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1]) == -signal.SIGKILL
        left = {info.path for info in store.list("") if is_temporary(info.path)}
        wounded += len(left - found)
        found |= left
        _check(store, seed=SEED)
    with capsys.disabled():
        print(f"\n{number} writers killed (seed {SEED}), {wounded} in the middle of a put", end=" ")
    if KILLS >= 20:
        assert wounded, "nobody was killed in the middle of a put: this run has proved nothing"
    # gc finds what they left by listing, and nothing else goes with it.
    store.delete(found)
    assert not any(is_temporary(info.path) for info in store.list(""))
    _check(store, seed=SEED)


@pytest.mark.timeout(60 + 2 * KILLS)
def test_a_killed_create_is_whole_or_absent(tmp_path):
    store = LocalStore(tmp_path / "store")
    chance = random.Random(SEED + 1)
    for _ in range(KILLS):
        creator = _forked(lambda: _create_for_ever(tmp_path / "store"))
        time.sleep(_BIRTH + chance.random() * 0.03)
        os.kill(creator, signal.SIGKILL)
        os.waitpid(creator, 0)
        for info in store.list("marks/"):
            if not is_temporary(info.path):
                assert _is_whole(store.get(info.path)), f"{info.path} is not whole (seed {SEED + 1})"
        store.delete(info.path for info in store.list("marks/"))


def _check(store: LocalStore, *, seed: int) -> None:
    for info in store.list(""):
        if not is_temporary(info.path):
            assert _is_whole(store.get(info.path)), f"{info.path} is not whole (seed {seed})"


def _object(turn: int, number: int = 0) -> list[bytes]:
    """An object that shows whether it is whole: a head with its size, and a body that is the head again and again."""
    size = SIZES[turn % 7 % len(SIZES)]
    head = (b"%d %d %d" % (size, number, turn)).ljust(_HEAD, b".")
    return [head, *(4 * [head * (size // _HEAD // 4)])]


def _is_whole(data: bytes) -> bool:
    size = int(data[:_HEAD].partition(b" ")[0] or 0)
    return len(data) == size + _HEAD and data == data[:_HEAD] * (size // _HEAD + 1)


def _forked_writer(root: Path, number: int) -> int:
    return _forked(lambda: _put_for_ever(root, number))


def _put_for_ever(root: Path, number: int) -> None:
    store = LocalStore(root)
    turn = number
    while True:
        store.put(blob_path(KEYS[turn % len(KEYS)]), _object(turn, number))
        turn += 1


def _create_for_ever(root: Path) -> None:
    store = LocalStore(root)
    turn = 0
    while True:
        store.create(f"marks/{turn}", b"".join(_object(turn)))
        turn += 1


def _forked(work) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work()
    finally:
        # Whatever happens, a child never goes on as if it were the tests.
        os._exit(1)
