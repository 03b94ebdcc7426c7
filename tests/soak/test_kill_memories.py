"""Processes killed while they compute and store: every entry that is found has the right value.

`CACHESTORE_SOAK_KILLS` says how many are killed; a full run is of 200 and more.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from cachestore import Memory
from cachestore.cache import gc
from cachestore.cache.eviction import Limits
from cachestore.cache.rebuild import rebuild
from cachestore.cache.verify import verify
from cachestore.index import Selection
from cachestore.storage import is_temporary

KILLS = int(os.environ.get("CACHESTORE_SOAK_KILLS", "20"))
SEED = int(os.environ.get("CACHESTORE_SOAK_SEED", str(random.randrange(2**32))))
REPOSITORY = Path(__file__).parents[2]
SIZES = (30_000, 6, 1_000, 200_000)

WRITER = """
import itertools, pathlib, sys
import numpy as np
import cachestore
from tests.soak.test_kill_memories import expected

store, first = pathlib.Path(sys.argv[1]), int(sys.argv[2])
made = cachestore.Memory(store, verbose=0).cache(expected)
made(first)
print("ready", flush=True)
for number in itertools.count(first):
    made(number)
    made(number)
"""


def expected(number: int) -> np.ndarray:
    """Return what call `number` gives: half of it compressible, half not, of a hundred bytes to three megabytes."""
    size = SIZES[number % len(SIZES)]
    noise = np.random.default_rng(number).integers(0, 2**62, size=size)
    return np.concatenate([noise, np.full(size, number)])


@pytest.mark.timeout(60 + 5 * KILLS)
def test_whoever_is_killed_nobody_reads_a_wrong_value(tmp_path, capsys):
    chance = random.Random(SEED)
    for number in range(KILLS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "store"), str(1000 * number)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(chance.random() * 0.1)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    memory = Memory(tmp_path / "store", verbose=0)
    cache = memory.store_backend
    left = [info for info in cache.store.list("") if is_temporary(info.path)]
    found = verify(cache)
    assert found.damaged == ()
    # A row is written after its blob: none can lack it.
    assert found.vanished == ()
    whole = 0
    read = memory.cache(expected)
    for number in range(KILLS):
        for call in range(1000 * number, 1000 * number + 1000):
            if not read.check_call_in_cache(call):
                break
            np.testing.assert_array_equal(read(call), expected(call))
            whole += 1
    assert whole == found.checked
    # What is left behind is swept when it is old; blobs without a row get one.
    later = datetime.now(UTC) + timedelta(days=8)
    gc.run(cache, gc.plan(cache, Limits(), now=later))
    assert not [info for info in cache.store.list("") if is_temporary(info.path)]
    assert len(cache.index.select(Selection())) == whole
    assert rebuild(cache).unreadable == ()
    with capsys.disabled():
        print(
            f"\n{KILLS} processes killed (seed {SEED}): {whole} entries whole, {len(found.orphans)} without a row, "
            f"{len(left)} leftovers swept",
            end=" ",
        )
