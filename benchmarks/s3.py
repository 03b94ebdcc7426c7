"""Large objects to and from S3 beside boto3's transfer manager, and many small hits of a server far away.

`python -m benchmarks.s3` starts SeaweedFS, and a relay that makes it 30 ms further away.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from cachestore.cache import Cache, Hit, open_cache
from cachestore.demo.seaweedfs import KEY, REGION, SECRET, running_seaweedfs, s3_client
from cachestore.keys import KeyedFunction
from cachestore.settings import Settings
from cachestore.storage import ObjectStore, each, open_store
from tests.servers.latency import far_away

MIB = 2**20
SIZE = 256 * MIB
PART = 8 * MIB
SMALL = 1000
ROUNDS = 5


def options(url: str) -> dict[str, object]:
    return {"key": KEY, "secret": SECRET, "endpoint_url": url, "client_kwargs": {"region_name": REGION}}


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def large(store: ObjectStore, client: object, bucket: str, at_once: int) -> None:
    """Put and get 256 MB, in turns with boto3, each with the same number of requests under way."""
    from boto3.s3.transfer import TransferConfig

    data = os.urandom(SIZE)
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=at_once)
    spans = [(start, start + PART) for start in range(0, SIZE, PART)]

    def get() -> int:
        found = each(lambda span: store.get_range("marks/large", *span), spans, at_once=at_once)
        return sum(map(len, found))

    work = {
        "put, boto3": lambda: client.upload_fileobj(io.BytesIO(data), bucket, "large", Config=config),
        "put": lambda: store.put("marks/large", [data]),
        "get, boto3": lambda: client.download_fileobj(bucket, "large", io.BytesIO(), Config=config),
        "get": get,
    }
    took = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, each_work in work.items():
            took[name].append(seconds(each_work))
    for name in ("put", "get"):
        ratio = median(theirs / ours for ours, theirs in zip(took[name], took[f"{name}, boto3"], strict=True))
        print(
            f"{name} 256 MiB, {at_once} at once: {256 / median(took[name]):.0f} MiB/s, "
            f"boto3 {256 / median(took[f'{name}, boto3']):.0f} MiB/s, {ratio:.2f} times as fast"
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
        large(open_store("s3://benchmark/store", storage_options=options(url)), theirs, "benchmark", 4)
        with far_away(url, milliseconds=30) as far:
            small("s3://benchmark/cache", url, far)


if __name__ == "__main__":
    main()
