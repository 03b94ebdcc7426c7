"""Azurite, Microsoft's own stand-in for Azure's blob storage, installed by npm where that is at hand."""

from __future__ import annotations

import base64
import itertools
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cachestore.demo.seaweedfs import free_port
from tests.servers.s3 import wait_for

ACCOUNT, KEY = "team", base64.b64encode(b"nobody's secret").decode()


@dataclass
class AzureServer:
    """A running server of Azure's blob storage."""

    url: str
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def connection_string(self) -> str:
        """What a client must be told to reach it."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={self.url}/{ACCOUNT};"
        )

    @property
    def storage_options(self) -> dict[str, Any]:
        """What fsspec must be told to reach it."""
        return {"connection_string": self.connection_string, "account_name": ACCOUNT}

    def create_container(self) -> str:
        """Create a container and return its name."""
        from azure.storage.blob import BlobServiceClient

        name = f"container-{secrets.token_hex(4)}"
        with BlobServiceClient.from_connection_string(self.connection_string, retry_total=0) as client:
            client.create_container(name)
        return name


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    """The Azurite of the session; skips, saying why, where it is not installed and cannot be."""
    pytest.importorskip("adlfs", reason="adlfs is not installed: pip install adlfs")
    program = _program()
    folder = tmp_path_factory.mktemp("azurite")
    port = free_port()
    command = [
        str(program), "--silent", "--skipApiVersionCheck", "--disableTelemetry", "--location", str(folder / "data"),
        "--blobHost", "127.0.0.1", "--blobPort", str(port),
    ]  # fmt: skip
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
        )
    server = AzureServer(f"http://127.0.0.1:{port}")
    try:
        wait_for(server.create_container, process, folder / "output", seconds=60)
        yield server
    finally:
        process.kill()
        process.wait()


def _program() -> Path:
    """Find Azurite; it is installed once for all later runs, only where CACHESTORE_TEST_AZURITE asks for that."""
    found = shutil.which("azurite-blob")
    if found is not None:
        return Path(found)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cachestore-tests/azurite"
    program = cache / "node_modules/.bin/azurite-blob"
    if program.exists():
        return program
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("Azurite is not installed, and npm is not at hand: npm install --global azurite")
    if not os.environ.get("CACHESTORE_TEST_AZURITE"):
        pytest.skip(
            f"Azurite is not installed. CACHESTORE_TEST_AZURITE=1 has npm install it in {cache}, once"
        )
    cache.mkdir(parents=True, exist_ok=True)
    installing = [
        npm,
        "install",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--prefix",
        str(cache),
        "azurite",
    ]
    ran = subprocess.run(installing, capture_output=True, text=True, timeout=300, check=False)
    if ran.returncode or not program.exists():
        pytest.skip(f"npm cannot install Azurite: {ran.stderr[-500:]}")
    return program
