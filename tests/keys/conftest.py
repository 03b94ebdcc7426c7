"""Small modules of a team, written to disk and imported anew for each version of them."""

import importlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Import modules of the given sources from a new folder; return the first of them."""
    monkeypatch.setattr("cachestore.keys.mentions._told", set())
    before = set(sys.modules)
    checkouts = iter(range(1000))

    def forget():
        for name in set(sys.modules) - before:
            if not name.partition(".")[0].startswith(("numpy", "pandas", "sklearn", "scipy", "cachestore")):
                del sys.modules[name]

    def load(**sources):
        forget()
        folder = tmp_path / f"checkout{next(checkouts)}"
        folder.mkdir()
        for name, source in sources.items():
            file = folder / f"{name}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(source))
        monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()
        return importlib.import_module(next(iter(sources)).removesuffix("/__init__").replace("/", "."))

    yield load
    forget()


@pytest.fixture
def unhashable():
    """Give a class whose metaclass says what is equal, and so has no hash for it."""

    class Equal(type):
        def __eq__(cls, other):
            return cls is other

    class Odd(metaclass=Equal):
        pass

    return Odd


@pytest.fixture
def run(tmp_path):
    """Run a program in a process of its own, and return what it prints."""

    def run(program, *, python=sys.executable, cwd=None, path=(), repository=REPOSITORY, **environment):
        paths = [str(repository), *map(str, path)]
        result = subprocess.run(
            [python, *(["-c", textwrap.dedent(program)] if isinstance(program, str) else map(str, program))],
            cwd=cwd or tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    return run


def other_pythons():
    found = sorted(Path("~/.pyenv/versions").expanduser().glob("3.1[1-9]*/bin/python"))
    return [python for python in found if not sys.version.startswith(python.parts[-3])]


@pytest.fixture(scope="session", params=other_pythons(), ids=lambda python: python.parts[-3])
def python(request, tmp_path_factory):
    """Give another Python, and where it finds the packages that digests need."""
    packages = tmp_path_factory.mktemp("packages")
    command = [request.param, "-m", "pip", "install", "--quiet", "--no-compile"]
    command += ["--target", packages, "blake3", "numpy"]
    installed = subprocess.run(command, check=False, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"blake3 and numpy cannot be installed for {request.param}: {installed.stderr[-200:]}")
    return request.param, packages
