"""Golden keys: computed anywhere, in any order, they are those of the file."""

import json
import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN = json.loads((FOLDER / "keys.json").read_text())

HEAVY = "import numpy, pandas, pyarrow, scipy.sparse, sklearn.ensemble, dask.array"
ORDERS = {
    "cachestore first": "import cachestore, tests.golden.__main__ as golden; " + HEAVY,
    "cachestore last": HEAVY + "; import tests.golden.__main__ as golden",
    "the team's code first": "import tests.golden.calls; import tests.golden.__main__ as golden",
}


def check(printed):
    found = json.loads(printed)
    # A package that is missing leaves all of its kind out.
    kinds = {name.partition(" ")[0] for name in found}
    assert kinds >= {"call:", "plain", "numpy"}
    expected = {name: key for name, key in GOLDEN.items() if name.partition(" ")[0] in kinds}
    changed = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    if not changed:
        return
    pytest.fail(
        f"{len(changed)} of {len(found)} golden keys are not those of tests/golden/keys.json: "
        f"{', '.join(changed[:12])}{' ...' if len(changed) > 12 else ''}.\n"
        f"If only some of these tests fail, keys depend on the process, the place, the order or the Python: that "
        f"is a mistake in cachestore.keys, and the file is right.\n"
        f"If all of them fail, what these values or calls are called has changed: each result that a team has "
        f"stored for such a call would be lost, as no call finds it any more. Take the change back. Is it meant, "
        f"it is a new format of keys (FORMAT in cachestore/keys/call_key.py, an entry in CHANGELOG.md): write the "
        f"file anew with `make golden`.",
        pytrace=False,
    )


@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_in_another_process(run, seed):
    check(run(["-m", "tests.golden"], PYTHONHASHSEED=seed))


def test_backwards(run):
    check(run(["-m", "tests.golden", "backwards"]))


@pytest.mark.parametrize("order", ORDERS)
def test_in_other_orders_of_imports(run, order):
    check(run(f"{ORDERS[order]}; golden.main()"))


def test_in_another_checkout_and_directory(run, tmp_path):
    checkout = tmp_path / "another" / "checkout"
    shutil.copytree(FOLDER, checkout / "tests" / "golden", ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / "tests" / "__init__.py").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    printed = run(["-m", "tests.golden"], cwd=elsewhere, repository=checkout, path=[FOLDER.parents[1]])
    check(printed)


def test_on_every_python(run, python):
    executable, packages = python
    printed = run(["-m", "tests.golden"], python=str(executable), path=[packages])
    check(printed)


def test_all_differ():
    names = {}
    for name, key in GOLDEN.items():
        names.setdefault(key, []).append(name)
    # Paths count by their posix text.
    assert [alike for alike in names.values() if len(alike) > 1] == [
        ["plain value: path", "plain value: windows path"]
    ]
