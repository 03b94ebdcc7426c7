"""Writers killed in uploads to S3: nothing half has its final name, and what they left can be swept.

`CACHESTORE_SOAK_UPLOAD_KILLS` says how many are killed; a full run is of 200 and more.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from cachestore.errors import ObjectNotFound
from cachestore.storage import blob_path, open_store

KILLS = int(os.environ.get("CACHESTORE_SOAK_UPLOAD_KILLS", "24"))
SEED = int(os.environ.get("CACHESTORE_SOAK_SEED", str(random.randrange(2**32))))

PATH = blob_path(64 * "a")
PART = 8 * 2**20
# Two parts and a little: an upload, though a short one.
SIZE = 2 * PART + 1024

# A writer is forked for each kill, and says that it is one once its client is made, which takes longest.
WRITERS = """
import os, sys
from cachestore.storage import open_store

location, url, path, size = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
options = {"key": "test", "secret": "testtest", "endpoint_url": url, "client_kwargs": {"region_name": "us-east-1"}}
import cachestore.storage.s3_client
for line in sys.stdin:
    writer = os.fork()
    if not writer:
        store = open_store(location, storage_options=options)
        letter = line.strip().encode()
        list(store.list(""))
        os.write(1, b"%d\\n" % os.getpid())
        while True:
            store.put(path, [letter * (size // 4)] * 4)
    os.waitpid(writer, 0)
    os.write(1, b"dead\\n")
"""


@pytest.mark.s3
@pytest.mark.timeout(120 + 5 * KILLS)
def test_a_killed_upload_leaves_the_old_object_or_the_new_one(seaweedfs, s3_store_url, capsys):
    location, options = s3_store_url(seaweedfs)
    store = open_store(location, storage_options=options, timeout=20)
    chance = random.Random(SEED)
    arguments = [location, seaweedfs.endpoint_url, PATH, str(SIZE)]
    with subprocess.Popen(
        [sys.executable, "-c", WRITERS, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    ) as writers:  # fmt: skip
        try:
            for number in range(KILLS):
                print(chr(ord("a") + number % 26), file=writers.stdin)
                writer = int(writers.stdout.readline())
                time.sleep(chance.random() * 0.5)
                os.kill(writer, signal.SIGKILL)
                assert writers.stdout.readline() == "dead\n"
                _check(store)
        finally:
            writers.kill()
    left = store.sweep_unfinished(timedelta(days=-1), act=False)
    with capsys.disabled():
        print(f"\n{KILLS} writers killed (seed {SEED}), {left} in the middle of an upload", end=" ")
    if KILLS >= 20:
        assert left, "nobody was killed in the middle of an upload: this run has proved nothing"
    assert store.sweep_unfinished(timedelta(days=1)) == 0
    assert store.sweep_unfinished(timedelta(days=-1)) == left
    assert store.sweep_unfinished(timedelta(days=-1)) == 0
    _check(store)


def _check(store) -> None:
    assert {info.path for info in store.list("")} <= {PATH}
    try:
        data = store.get(PATH)
    except ObjectNotFound:
        return
    assert len(data) == SIZE, f"{len(data)} bytes (seed {SEED})"
    assert data == data[:1] * SIZE, f"not of one put (seed {SEED})"
