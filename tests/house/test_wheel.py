"""What `pip install cachestore` gives: the migrations are inside, and the command finds them."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A directory that holds what is in the wheel, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, REPOSITORY], check=True)
    [wheel] = folder.glob("cachestore-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_it_holds_what_it_needs(installed):
    assert (installed / "cachestore" / "py.typed").exists()
    assert (installed / "cachestore" / "blob" / "FORMAT.md").exists()
    assert (installed / "cachestore" / "migrations" / "env.py").exists()
    assert (installed / "cachestore" / "demo" / "project" / "cachestore.toml").exists()


def test_migrate_works_from_it(installed, tmp_path):
    environ = {**os.environ, "PYTHONPATH": str(installed)}
    work = "import cachestore; cachestore.Memory('here', verbose=0).eval(abs, -1); print(cachestore.__file__)"
    ran = subprocess.run(
        [sys.executable, "-c", work], check=True, capture_output=True, text=True, cwd=tmp_path, env=environ
    )
    assert ran.stdout.startswith(str(installed))
    for file in (tmp_path / "here" / "cachestore").glob("index.sqlite*"):
        file.unlink()
    command = [sys.executable, "-m", "cachestore", "migrate", "--location", "here"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environ)
    assert (tmp_path / "here" / "cachestore" / "index.sqlite").exists()
