"""Large objects to and from S3 beside boto3's transfer manager, and many small hits of a server far away.

`python -m benchmarks.s3` starts SeaweedFS, and a relay that makes it 30 ms further away.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np

from cachestore.blob import BlobReader, Metadata, encode
from cachestore.cache import Cache, Hit, open_cache
from cachestore.demo.seaweedfs import KEY, REGION, SECRET, running_seaweedfs, s3_client
from cachestore.keys import KeyedFunction
from cachestore.settings import Settings
from cachestore.storage import ObjectStore, open_store
from tests.servers.latency import far_away

MIB = 2**20
SIZE = 256 * MIB
PART = 8 * MIB
SMALL = 1000
ROUNDS = 5
NOTHING = Metadata("", "benchmark", "", {}, {}, datetime.now(UTC), 0.0, "", "")


def options(url: str) -> dict[str, object]:
    return {"key": KEY, "secret": SECRET, "endpoint_url": url, "client_kwargs": {"region_name": REGION}}


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def large(store: ObjectStore, client: object, bucket: str, name: str, array: np.ndarray) -> None:
    """Store and load an array as a blob, in turns with boto3 moving its bare bytes with as many requests at once."""
    from boto3.s3.transfer import TransferConfig

    at_once = 4  # the parts that a put has under way
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=at_once)
    data = array.tobytes()
    path = "blobs/ab/" + 32 * "ab"

    def put() -> None:
        store.put(path, encode(array, NOTHING, place="far"))

    def get() -> None:
        loaded = BlobReader.open(store.open(path)).value()
        assert loaded.shape == array.shape

    def put_bytes() -> None:
        client.upload_fileobj(io.BytesIO(data), bucket, "large", Config=config)

    def get_bytes() -> None:
        # In memory that is there, and unchecked.
        client.download_fileobj(bucket, "large", io.BytesIO(), Config=config)

    took = {work: [] for work in (put_bytes, put, get_bytes, get)}
    for _ in range(ROUNDS):
        for work, times in took.items():
            times.append(seconds(work))
    for ours, theirs in ((put, put_bytes), (get, get_bytes)):
        ratios = sorted(their / our for our, their in zip(took[ours], took[theirs], strict=True))
        print(
            f"{ours.__name__} {array.nbytes >> 20} MiB of {name}: {median(ratios):.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}) times as fast as boto3's transfer manager"
        )


def value(number: int) -> None:
    """Name a call."""


def fill(cache: Cache) -> list[str]:
    keyed = KeyedFunction(value)
    calls = [keyed.key((number,), {}) for number in range(SMALL)]
    now = datetime.now(UTC)
    for call in calls:
        cache.put(call, {"score": 1.0, "name": call.key[:8]}, started_at=now, seconds=1.0)
    return [call.key for call in calls]


def small(location: str, near: str, far: str) -> None:
    """Load 1000 small results that lie 30 ms away, one after the other and through `get_many`."""
    with tempfile.TemporaryDirectory() as directory:
        index = f"sqlite:///{directory}/index.sqlite"
        keys = fill(open_cache(Settings(location=location, storage_options=options(near), index=index)))
        cache = open_cache(Settings(location=location, storage_options=options(far), index=index))
        assert isinstance(cache.get(keys[0]), Hit)
        alone = seconds(lambda: [cache.get(key) for key in keys[:200]]) * SMALL / 200
        for _ in range(ROUNDS):
            found: list[object] = []
            together = seconds(lambda found=found: found.extend(cache.get_many(keys)))
            assert all(isinstance(hit, Hit) for hit in found)
            print(
                f"{SMALL} small hits, 30 ms away: {alone:.1f} s alone, {together:.2f} s together, "
                f"{alone / together:.0f} times"
            )


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, running_seaweedfs(Path(directory)) as url:
        client = s3_client(url)
        client.create_bucket(Bucket="benchmark")
        import boto3
        from botocore.config import Config

        theirs = boto3.client(
            "s3", endpoint_url=url, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET,
            config=Config(max_pool_connections=32),
        )  # fmt: skip
        store = open_store("s3://benchmark/store", storage_options=options(url))
        random = np.random.default_rng(0)
        large(store, theirs, "benchmark", "random bytes", random.integers(0, 256, SIZE, dtype="u1"))
        large(store, theirs, "benchmark", "random floats", random.random(SIZE // 8))
        large(store, theirs, "benchmark", "labels", random.integers(0, 10, SIZE // 8))
        with far_away(url, milliseconds=30) as far:
            small("s3://benchmark/cache", url, far)


if __name__ == "__main__":
    main()
