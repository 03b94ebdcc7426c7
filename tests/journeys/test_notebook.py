"""Functions of notebooks: named without any path or number of a cell, and shared with whoever runs the same cells."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("IPython", reason="pip install ipython")

REPOSITORY = Path(__file__).parents[2]
SESSION = """
import sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
for cell in {cells!r}:
    shell.run_cell(cell, store_history=True).raise_error()
"""
OPEN = "import cachestore; cache = cachestore.Memory({location!r}, verbose=0)"
HELPER = "def helper(x):\n    return x + 1"
DOUBLE = "@cache.cache\ndef double(x):\n    return 2 * helper(x)"
ASK = "print(double.check_call_in_cache(3), double(3), double.call_key(3).function)"


@pytest.fixture
def run(tmp_path):
    folders = iter("abcdef")

    def run(*cells):
        folder = tmp_path / next(folders)
        folder.mkdir()
        cells = [OPEN.format(location=str(tmp_path / "store")), *cells]
        ran = subprocess.run(
            [sys.executable, "-c", SESSION.format(cells=cells)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "IPYTHONDIR": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.splitlines()

    return run


def test_the_same_cells_share_results_wherever_they_stand(run):
    assert run(HELPER, DOUBLE, ASK) == ["False 8 __main__.double"]
    assert run("pass", DOUBLE, "pass", HELPER.replace("return", "# the same\n    return"), ASK) == [
        "True 8 __main__.double"
    ]


def test_a_cell_that_is_run_again_with_another_text_counts(run):
    assert run(HELPER, DOUBLE, ASK, HELPER.replace("+ 1", "+ 2"), ASK, HELPER, ASK) == [
        "False 8 __main__.double",
        "False 10 __main__.double",
        "True 8 __main__.double",
    ]


def test_two_cells_of_one_name_do_not_answer_for_each_other(run):
    assert run(HELPER, DOUBLE, ASK)[0].startswith("False 8")
    assert run(HELPER, DOUBLE.replace("2 *", "3 *"), ASK)[0].startswith("False 12")
