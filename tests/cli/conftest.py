import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cachestore.cli import main
from cachestore.memory import Memory

REPOSITORY = Path(__file__).parents[2]


def features(number):
    """Make something that can be compressed, out of a number."""
    return bytes([number]) * 50_000


def total(numbers):
    return sum(numbers)


@pytest.fixture(autouse=True)
def _elsewhere(alone, tmp_path, monkeypatch):
    """Run commands in an empty directory."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)


@pytest.fixture
def run():
    """Run a command in this process; whatever is no answer of the command line fails the test."""

    def invoke(*arguments, input=None):
        result = CliRunner().invoke(main, [str(each) for each in arguments], input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.stderr
        return result

    return invoke


@pytest.fixture
def refused(run):
    """Run a command that cannot be done; return the one paragraph that says why."""

    def invoke(*arguments):
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert not result.stdout
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: ")
        return line

    return invoke


@pytest.fixture
def start():
    """Start a command in a process of its own."""

    def popen(*arguments, **options):
        return subprocess.Popen(
            [sys.executable, "-m", "cachestore", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **options.pop("env", {})},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options},
        )

    return popen


def fill(location, user, monkeypatch, **options):
    """Call `features` three times and `total` once, as a user."""
    monkeypatch.setenv("CACHESTORE_USER", user)
    memory = Memory(location, verbose=0, **options)
    for number in range(3):
        memory.cache(features)(number)
    memory.cache(total)([1, 2])
    memory.store_backend.close()
    monkeypatch.delenv("CACHESTORE_USER")
    return memory.store_backend


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A directory in which ana computed four results, and ben reused them."""
    location = tmp_path / "store"
    fill(location, "ana", monkeypatch)
    fill(location, "ben", monkeypatch)
    return location


@pytest.fixture
def keys(store):
    """The keys in the store."""
    return sorted(path.name for path in store.glob("blobs/??/*"))


@pytest.fixture
def damage(store):
    """Change one byte in the body of a blob."""

    def change(key):
        path = store / "blobs" / key[:2] / key
        content = bytearray(path.read_bytes())
        content[70] ^= 0xFF
        path.write_bytes(content)

    return change


@pytest.fixture
def lose_index(store):
    """Remove the index, with the uses that it has not taken in yet."""

    def remove():
        for path in store.glob("index.sqlite*"):
            path.unlink()

    return remove
