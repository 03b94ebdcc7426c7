"""A team on two branches of one repository: what is changed is computed anew, what is the same is shared."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

PACKAGE = {
    "team/__init__.py": "",
    "team/model.py": """
        class Base:
            offset = 1

            def shift(self, x):
                return x + self.offset


        class Model(Base):
            def predict(self, x):
                return self.shift(x) * 2
    """,
    "team/cleaning.py": """
        import functools

        LIMIT = 100
        NAMES = ["a", "b"]


        def logged(function):
            @functools.wraps(function)
            def wrapper(*args):
                return function(*args)

            return wrapper


        @logged
        def clean(x):
            return min(x, LIMIT)
    """,
    "team/features.py": """
        from team import cleaning
        from team.model import Model


        def features(x, model):
            # The model is given, so that only its class leads to its code.
            return model.predict(cleaning.clean(x)) + len(cleaning.NAMES)


        def unrelated(x):
            return x
    """,
    "run.py": """
        import cachestore
        from team.features import features
        from team.model import Model

        cached = cachestore.Memory(location, verbose=0).cache(features)
        print(cached.check_call_in_cache(3, Model()), cached(3, Model()))
    """,
}

MISSES = {
    "a helper": ("team/cleaning.py", "min(x, LIMIT)", "max(x, LIMIT)"),
    "a constant": ("team/cleaning.py", "LIMIT = 100", "LIMIT = 2"),
    "inside a constant": ("team/cleaning.py", '["a", "b"]', '["a", "b", "c"]'),
    "a base class": ("team/model.py", "return x + self.offset", "return x - self.offset"),
    "an attribute of a base class": ("team/model.py", "offset = 1", "offset = 2"),
    "a method of an argument": ("team/model.py", "* 2", "* 3"),
    "a wrapper": ("team/cleaning.py", "return function(*args)", "return -function(*args)"),
    "what is wrapped": ("team/cleaning.py", "@logged\n", ""),
    "the function": ("team/features.py", "+ len(", "- len("),
}
HITS = {
    "a comment": ("team/features.py", "# The model is given", "# It is given"),
    "a docstring": ("team/cleaning.py", "def clean(x):\n", 'def clean(x):\n    """Clean."""\n\n'),
    "line breaks": ("team/cleaning.py", "min(x, LIMIT)", "min(\n        x,\n        LIMIT,\n    )"),
    "annotations": (
        "team/features.py",
        "def features(x, model):",
        "def features(x: int, model: Model) -> int:",
    ),
    "what is not reached": ("team/features.py", "    return x\n", "    return -x\n"),
    "another order": (
        "team/cleaning.py",
        'LIMIT = 100\nNAMES = ["a", "b"]',
        'NAMES = ["a", "b"]\nLIMIT = 100',
    ),
}


class Repository:
    """A git repository of the team, and the one cache that all branches use."""

    def __init__(self, folder):
        self.folder = folder / "repository"
        self.location = folder / "store"
        self.folder.mkdir()
        self._git("init", "--quiet", "--initial-branch=main")
        for name, source in PACKAGE.items():
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_text(textwrap.dedent(source))
        self._commit("start")

    def branch(self, name, change):
        file, old, new = change
        self._git("checkout", "--quiet", "-b", name.replace(" ", "-"), "main")
        source = (self.folder / file).read_text()
        assert old in source
        (self.folder / file).write_text(source.replace(old, new, 1))
        self._commit(name)

    def checkout(self, name):
        self._git("checkout", "--quiet", name.replace(" ", "-"))

    def run(self):
        """Run the program of the branch that is checked out; say whether its call was known, and what it gave."""
        program = f"location = {str(self.location)!r}; exec(open('run.py').read())"
        ran = subprocess.run(
            [sys.executable, "-c", program],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(self.folder)])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        known, value = ran.stdout.split()
        return known == "True", int(value)

    def _commit(self, message):
        self._git("add", ".")
        self._git(
            "-c", "user.name=ana", "-c", "user.email=ana@team.example", "commit", "--quiet", "-m", message
        )

    def _git(self, *arguments):
        subprocess.run(["git", *arguments], cwd=self.folder, check=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    repository = Repository(tmp_path_factory.mktemp("team"))
    assert repository.run() == (False, 10)
    return repository


@pytest.mark.parametrize("change", MISSES)
def test_what_changes_a_result_misses_and_both_branches_live_side_by_side(repository, change):
    repository.branch(change, MISSES[change])
    known, value = repository.run()
    assert not known
    repository.checkout("main")
    assert repository.run() == (True, 10)
    repository.checkout(change)
    assert repository.run() == (True, value)


@pytest.mark.parametrize("change", HITS)
def test_what_changes_no_result_hits(repository, change):
    repository.branch(change, HITS[change])
    assert repository.run() == (True, 10)
