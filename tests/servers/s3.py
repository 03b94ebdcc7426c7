"""S3 servers: moto, and SeaweedFS, a real one; and fresh locations in them."""

from __future__ import annotations

import itertools
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cachestore import MissingExtra
from cachestore.demo.seaweedfs import KEY, SECRET, free_port, running_seaweedfs


@dataclass
class S3Server:
    """A running S3 server."""

    name: str
    endpoint_url: str
    key: str = KEY
    secret: str = SECRET
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _bucket: str | None = None

    @property
    def storage_options(self) -> dict[str, Any]:
        """What fsspec must be told to reach it."""
        return {
            "key": self.key,
            "secret": self.secret,
            "endpoint_url": self.endpoint_url,
            "client_kwargs": {"region_name": "us-east-1"},
        }

    def client(self, service: str = "s3", **options: Any) -> Any:
        """A boto3 client with the server's own credentials, or others."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=options.get("key", self.key),
            aws_secret_access_key=options.get("secret", self.secret),
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20),
        )

    def create_bucket(self) -> str:
        """Create a bucket and return its name. On SeaweedFS each takes disk volumes: use few."""
        bucket = f"bucket-{next(self._numbers)}-{secrets.token_hex(3)}"
        self.client().create_bucket(Bucket=bucket)
        return bucket

    def fresh_location(self) -> str:
        """A URL where nothing lies yet, in a bucket that is there."""
        if self._bucket is None:
            self._bucket = self.create_bucket()
        return f"s3://{self._bucket}/store-{next(self._numbers)}"


@contextmanager
def running_moto(log: Path, *, environ: dict[str, str] | None = None) -> Iterator[S3Server]:
    """Run a moto server in a process of its own."""
    port = free_port()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ, **(environ or {})},
        )  # fmt: skip
    server = S3Server("moto", f"http://127.0.0.1:{port}")
    try:
        wait_for(lambda: server.client().list_buckets(), process, log, seconds=60)
        yield server
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The moto server of the session: it takes any credentials. Policies need one of their own."""
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[s3,server]'")
    with running_moto(tmp_path_factory.mktemp("moto") / "output") as server:
        yield server


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[S3Server]:
    """The SeaweedFS server of the session; skips, saying why, where `weed` is not installed."""
    with tempfile.TemporaryDirectory(prefix="cachestore-seaweedfs-", ignore_cleanup_errors=True) as directory:
        try:
            with running_seaweedfs(Path(directory)) as url:
                yield S3Server("seaweedfs", url)
        except MissingExtra as error:
            pytest.skip(str(error))


@pytest.fixture(
    params=["moto_server", pytest.param("seaweedfs", marks=pytest.mark.s3)], ids=["moto", "seaweedfs"]
)
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    """Each S3 server in turn."""
    server: S3Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="module")
def described_once() -> Iterator[None]:
    """AWS's description of its services is read once, not for each of a hundred clients."""
    import botocore.session

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        yield


@pytest.fixture
def s3_store_url() -> Callable[[S3Server], tuple[str, dict[str, Any]]]:
    """A function from a server to a fresh location in it and the storage options that reach it."""
    return lambda server: (server.fresh_location(), server.storage_options)


def wait_for(
    ready: Callable[[], object], process: subprocess.Popen[bytes], log: Path, *, seconds: float
) -> None:
    """Wait until a server answers; where it ends instead, its log is in the error."""
    until = time.monotonic() + seconds
    while True:
        try:
            ready()
            return
        except Exception as error:
            if process.poll() is not None or time.monotonic() > until:
                said = log.read_text(errors="replace")[-3000:]
                raise RuntimeError(f"{process.args!r} did not start: {error}\n{said}") from error
            time.sleep(0.1)
