"""joblib's tests of `Memory` with coroutine functions."""

from tests.joblib_compat.borrowed import borrow, damage_single_entry, recorded_log

OURS = "from cachestore import AsyncMemorizedFunc, AsyncNotMemorizedFunc, MemorizedResult, Memory, NotMemorizedResult"

borrow(
    "test_memory_async",
    OURS,
    {},
    globals(),
    corrupt_single_cache_item=damage_single_entry,
    monkeypatch_cached_func_warn=recorded_log,
)
