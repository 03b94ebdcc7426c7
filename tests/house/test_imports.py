"""What `import cachestore` costs, and what it never brings along."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

HEAVY = [
    "sqlalchemy", "alembic", "s3fs", "fsspec", "pandas", "numpy",
    "blosc2", "distributed", "sklearn", "joblib", "rich", "click",
]  # fmt: skip

# Each takes a millisecond or some, of the hundred that a process takes which hits once.
NOT_FOR_A_HIT = [
    "cachestore.cache.acceptance", "cachestore.cache.entries", "cachestore.cache.persistence",
    "cachestore.cache.versions", "cachestore.index.entry", "cachestore.index.evicted", "cachestore.index.missed",
    "cachestore.index.selection", "cachestore.index.statistics", "cachestore.keys.arrays",
    "cachestore.keys.frames", "cachestore.keys.objects", "hashlib", "platform", "secrets", "tomllib",
]  # fmt: skip


def modules_after(code):
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    return set(json.loads(ran.stdout.splitlines()[-1]))


def test_importing_it_imports_nothing_heavy():
    assert modules_after("import cachestore").isdisjoint(HEAVY)


def test_importing_it_imports_far_less_than_joblib():
    # Counted in modules: seconds are noise on a shared machine (benchmarks/imports.py has them).
    bare = modules_after("")
    ours = modules_after("import cachestore") - bare
    theirs = modules_after("import joblib") - bare
    assert len(ours) * 10 < len(theirs)


def test_a_hit_in_a_local_store_imports_nothing_heavy(tmp_path):
    (tmp_path / "work.py").write_text(
        "import cachestore\n"
        "cache = cachestore.Memory('store', verbose=0)\n"
        "@cache.cache\n"
        "def double(x):\n"
        "    # computing\n"
        "    return {'x': [2 * x]}\n"
    )
    call = f"import os, sys; os.chdir({str(tmp_path)!r}); sys.path.insert(0, ''); import work; work.double(3)"
    modules_after(call)
    assert len(list((tmp_path / "store").rglob("blobs/*/" + "?" * 64))) == 1
    loaded = modules_after(call)
    assert loaded.isdisjoint([*HEAVY, "importlib.metadata", "platformdirs"])
    assert loaded.isdisjoint(NOT_FOR_A_HIT)


@pytest.mark.parametrize(
    "room", ["settings", "keys", "blob", "storage", "index", "cache", "memory", "parallel"]
)
def test_no_room_brings_a_heavy_library_along(room):
    heavy = set(HEAVY) - ({"joblib"} if room == "parallel" else set())
    assert modules_after(f"import cachestore.{room}").isdisjoint(heavy)
