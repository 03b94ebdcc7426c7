"""joblib's tests of `Memory`."""

from cachestore.index import Selection
from tests.joblib_compat.borrowed import borrow, damage_single_entry, recorded_log

OURS = """
from cachestore import (
    JobLibCollisionWarning, MemorizedFunc, MemorizedResult, Memory, NotMemorizedFunc, NotMemorizedResult,
    expires_after, hash, register_store_backend,
)
"""

ONE_SLOT = (
    "joblib keeps one version of a function, and warns where two may share its place: here each has its own"
)
FILES = "it looks at joblib's files"

# Each has an equal test of ours in test_equal.py.
INSIDE = {
    "test_parallel_call_cached_function_defined_in_jupyter": f"{FILES}: it counts those of a function's folder",
    "test_memory_name_collision": ONE_SLOT,
    "test_memory_warning_lambda_collisions": ONE_SLOT,
    "test_memory_warning_collision_detection": ONE_SLOT,
    "test_memory_in_memory_function_code_change": ONE_SLOT,
    "test_memorized_result_forwards_mmap_mode": "the mode is the reference's: its store is shared with others",
    "test_func_dir": f"{FILES}: func_code.py and output.pkl in a function's folder",
    "test_persistence": f"{FILES}: it looks for the folder of an entry, and loads it by load_item",
    "test_call_and_shelve_lazily_load_stored_result": f"{FILES}: it asks when output.pkl was read last",
    "test__get_items": f"{FILES}: it adds up the sizes of those of an entry",
    "test__get_items_to_delete": "it calls a private method of joblib's store: the plan of a collection is ours",
    "test_memory_clear": f"{FILES}: it wants an empty folder, where a store keeps its name",
    "TestAutoGitignore.test_memory_creates_gitignore": "the comment in the file names joblib",
}


def toy_cache(tmpdir, num_inputs=10):
    """Make as many entries of some 1300 bytes in all, and have the store list them as joblib's does."""
    memory = Memory(location=tmpdir.strpath, verbose=0)  # noqa: F821 - joblib's module imports it

    @memory.cache()
    def get_1000_bytes(arg):
        return "a" * 300

    cache = memory.store_backend
    for arg in range(num_inputs):
        get_1000_bytes(arg)

    def get_items():
        cache.merge_uses()
        return [entry.key for entry in cache.index.select(Selection())]

    cache.get_items = get_items
    return memory, None, get_1000_bytes


borrow(
    "test_memory",
    OURS,
    INSIDE,
    globals(),
    corrupt_single_cache_item=damage_single_entry,
    monkeypatch_cached_func_warn=recorded_log,
    _setup_toy_cache=toy_cache,
)
