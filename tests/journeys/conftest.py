import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def python(tmp_path):
    """Run a script in a process of its own, in a directory of its own, as a newcomer would."""

    def run(code, *, environ=None, cwd=None, check=True):
        folder = cwd or tmp_path
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / "script.py"
        script.write_text(code)
        ran = subprocess.run(
            [sys.executable, str(script)],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(environ or {})},
        )
        if check and ran.returncode:
            raise AssertionError(ran.stderr)
        return ran

    return run


@pytest.fixture
def command(tmp_path):
    """Run the command line in a process of its own."""

    def run(*words, environ=None):
        return subprocess.run(
            [sys.executable, "-m", "cachestore", *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(environ or {})},
        )

    return run


@pytest.fixture
def at(s3_server):
    """Name a fresh place on an S3 server in the environment."""
    return {
        "CACHESTORE_LOCATION": s3_server.fresh_location(),
        "CACHESTORE_STORAGE_OPTIONS": json.dumps(s3_server.storage_options),
    }
