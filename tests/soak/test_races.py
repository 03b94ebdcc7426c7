"""Several processes put, get, drop and collect the same few entries: nobody reads a wrong value, nobody fails.

`CACHESTORE_SOAK_OPERATIONS` says how many operations each of four processes does; a full run is of 2000 and more.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from cachestore import Memory
from cachestore.cache.verify import verify

OPERATIONS = int(os.environ.get("CACHESTORE_SOAK_OPERATIONS", "60"))
SEED = int(os.environ.get("CACHESTORE_SOAK_SEED", str(random.randrange(2**32))))
REPOSITORY = Path(__file__).parents[2]

WORKER = """
import pathlib, random, sys, warnings
from datetime import timedelta
warnings.simplefilter("error")
import cachestore
from cachestore.cache import gc
from cachestore.cache.eviction import Limits
from cachestore.cache.rebuild import rebuild
from tests.soak.test_races import value_of

chance = random.Random(int(sys.argv[2]))
memory = cachestore.Memory(pathlib.Path(sys.argv[1]), verbose=0)
cache = memory.store_backend
shared = memory.cache(value_of)
for _ in range(int(sys.argv[3])):
    number = chance.randrange(6)
    action = chance.choices(
        [
            lambda: shared(number),
            lambda: shared.call(number)[0],
            lambda: cache.drop([shared.call_key(number).key]),
            lambda: gc.run(cache, gc.plan(cache, Limits(max_entries=3))),
            lambda: rebuild(cache),
            lambda: shared.clear(warn=False),
        ],
        [60, 20, 10, 5, 3, 2],
    )[0]
    given = action()
    assert not isinstance(given, list) or given == value_of(number), number
"""


def value_of(number: int) -> list[int]:
    """Return what everybody must read for a number."""
    return [number] * (1 + 5000 * number)


@pytest.mark.timeout(120 + OPERATIONS)
def test_races_over_the_same_entries(tmp_path):
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path / "store"), str(SEED + number), str(OPERATIONS)],
            cwd=REPOSITORY,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    said = [worker.communicate()[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4, f"seed {SEED}\n" + "\n".join(said)
    found = verify(Memory(tmp_path / "store", verbose=0).store_backend)
    assert found.damaged == ()
