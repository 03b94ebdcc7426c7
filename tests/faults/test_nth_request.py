"""Whichever request to an S3 server goes wrong, and however: the value is right, in time, and it is said once.

`CACHESTORE_SOAK_STEP` is 1 to try every request, on SeaweedFS, and n to try every nth, on moto;
`CACHESTORE_SOAK_SEED` decides which.
"""

from __future__ import annotations

import itertools
import os
import random
import time

import pytest

from cachestore.index import Selection
from cachestore.storage import PROBES, is_temporary, open_store
from tests.faults.calls import SCENARIOS, index_in, memory_over, told

SEED = int(os.environ.get("CACHESTORE_SOAK_SEED", str(random.randrange(2**32))))
STEP = int(os.environ.get("CACHESTORE_SOAK_STEP", "4"))

# What the proxy does, the timeout of one operation, and the seconds that a scenario may take with it.
FAULTS: dict[str, tuple[int | str, float]] = {
    "busy": (503, 5.0),
    "refused": (403, 5.0),
    "absent": (404, 5.0),
    "lose": ("lose", 5.0),
    "cut": ("cut", 5.0),
    "flip": ("flip", 5.0),
    "stall": ("stall", 0.5),
}
SLACK = 15.0


@pytest.fixture(scope="module")
def index():
    return index_in(None)


@pytest.fixture
def open_at(request, described_once, proxy_to, index):
    """A function from a timeout to how a Memory is opened at a fresh place, directly and through a proxy."""
    s3_server = request.getfixturevalue("seaweedfs" if STEP == 1 else "moto_server")
    proxy = proxy_to(s3_server.endpoint_url)

    def places(timeout: float):
        index.forget([entry.key for entry in index.select(Selection())])
        location, options = s3_server.fresh_location(), s3_server.storage_options
        healthy = open_store(location, storage_options=options, timeout=30)
        through = {**options, "endpoint_url": proxy.endpoint_url}
        ill = open_store(location, storage_options=through, timeout=timeout)
        proxy.requests.clear()
        return (lambda: memory_over(healthy, index)), (lambda: memory_over(ill, index)), proxy

    return places


@pytest.mark.parametrize("ever_after", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("kind", FAULTS)
def test_a_request_goes_wrong(open_at, kind, warm, ever_after):
    fault, timeout = FAULTS[kind]
    # A stall costs its time: one scenario is enough. So it is in short.
    names = ["a_large_call"] if fault == "stall" or STEP > 1 else ["a_large_call", "a_clear"]
    for name in names:
        run = SCENARIOS[name]
        first = random.Random(f"{SEED} {kind} {warm} {name} {ever_after}").randrange(STEP)
        for number in itertools.count(first, STEP):
            healthy, ill, proxy = open_at(timeout)
            if warm:
                run(healthy())

            def wrong(request: int, method: str, path: str, number: int = number) -> int | str | None:
                chosen = request == number or (ever_after and request > number)
                return fault if chosen else None

            proxy.fault = wrong
            memory = ill()
            started = time.monotonic()
            with told() as said:
                run(memory)
            took = time.monotonic() - started
            proxy.fault = lambda request, method, path: None
            where = f"seed {SEED}, {name}, request {number} of {proxy.requests}: {said}"
            # An operation takes its timeout and what its size adds; after the third that fails there are no more.
            assert took < (3 if ever_after else 1) * (timeout + 2.0) + SLACK, where
            kinds = {"The store is ill" in text for text in said}
            assert len(said) == len(kinds), where
            with told() as again:
                run(healthy())
                run(healthy())
            assert all("it is computed again" in text for text in again), f"{where}, then {again}"
            # What a probe of the store could not remove is small, and gone with the next `gc` once it is old.
            left = [info.path for info in healthy().store_backend.store.list("")]
            assert not [path for path in left if is_temporary(path) and not path.startswith(PROBES)], where
            if number >= len(proxy.requests) or (ever_after and number + STEP > 8):
                break
