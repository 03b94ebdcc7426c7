"""What all tests share: the servers, and how laws are tried."""

import os
import sys

import pytest
from hypothesis import settings

pytest_plugins = [
    "tests.servers.s3",
    "tests.servers.azure",
    "tests.servers.faults",
    "tests.servers.postgres",
    "tests.servers.rclone",
]

# Modules are edited here more than once a second, and by then Python takes old bytecode for that of the new source.
sys.dont_write_bytecode = True
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"

# How long an example takes says something of the machine only.
settings.register_profile("calm", deadline=None)
settings.load_profile("calm")


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """Keep the settings and the private indexes of whoever runs the tests out of them."""
    for name in list(os.environ):
        if name.startswith("CACHESTORE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
