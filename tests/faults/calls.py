"""The calls that are made of a cache whose store is ill, and whether their values are right."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cachestore import CachestoreError, CachestoreWarning, Memory
from cachestore.cache.cache import Cache
from cachestore.index import Index, open_index
from cachestore.settings import Settings
from cachestore.storage import ObjectStore

computed: list[str] = []


def noise(seed: int) -> np.ndarray:
    """Return what is read in more than one piece."""
    computed.append("noise")
    return np.random.default_rng(seed).integers(0, 2**62, size=180_000)


def words(count: int) -> dict[str, object]:
    computed.append("words")
    return {"words": [f"word {n}" for n in range(count)], "nested": {"a": (1, 2.5, None)}}


def one_call(memory: Memory) -> None:
    assert memory.cache(words)(20) == EXPECTED_WORDS


def a_large_call(memory: Memory) -> None:
    np.testing.assert_array_equal(memory.cache(noise)(7), EXPECTED_NOISE)


def a_call_of_a_call(memory: Memory) -> None:
    inner = memory.cache(words)

    def whole(count: int) -> int:
        computed.append("whole")
        return len(str(inner(count)))

    assert memory.cache(whole)(20) == len(str(EXPECTED_WORDS))


def a_clear(memory: Memory) -> None:
    one_call(memory)
    try:
        memory.cache(words).clear(warn=False)
    except CachestoreError:
        pass  # whoever asks for a clear is told
    one_call(memory)


SCENARIOS: dict[str, Callable[[Memory], None]] = {
    scenario.__name__: scenario for scenario in (one_call, a_large_call, a_call_of_a_call, a_clear)
}

EXPECTED_WORDS, EXPECTED_NOISE = words(20), noise(7)


def memory_over(store: ObjectStore, index: Index) -> Memory:
    """Open a Memory as a process of its own would, on a store and an index that are there."""
    settings = Settings(location=store.url, user="ana")
    return Memory.over(Cache(store, index, settings, name_index=lambda: None))


def index_in(directory: Path | None) -> Index:
    """Open an index in a directory, or in memory."""
    return open_index(None, directory=directory, store_id=lambda: None, remote=False, timeout=5.0)


@contextmanager
def told() -> Iterator[list[str]]:
    """Collect what people are warned of during a block."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    texts += [str(each.message) for each in caught if issubclass(each.category, CachestoreWarning)]
