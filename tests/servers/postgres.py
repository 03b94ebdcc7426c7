"""A throwaway PostgreSQL server, and a fresh database in it for a test."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cachestore.demo.seaweedfs import free_port

_SETTINGS = (
    "-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories= "
    "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
)


@dataclass(frozen=True)
class PostgresServer:
    """A running server. `url` is that of the database `postgres`; `stop` and `start` are for faults."""

    port: int
    binaries: Path
    directory: Path
    user: tuple[str, ...]
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"test_{next(self._numbers)}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", name)
        return self.url_of(name)

    def start(self) -> None:
        options = _SETTINGS.format(port=self.port)
        self._run("pg_ctl", "-D", self._data, "-w", "-l", str(self.directory / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop")

    def initialise(self) -> None:
        account = ("-A", "trust", "-U", "postgres")
        self._run("initdb", "-D", self._data, *account, "--no-sync", "-E", "UTF8", "--locale=C")

    @property
    def _data(self) -> str:
        return str(self.directory / "data")

    def _run(self, program: str, *arguments: str) -> None:
        # The log is a file: pg_ctl's server inherits a pipe and would keep it open.
        with (self.directory / "commands").open("ab") as log:
            subprocess.run(
                [*self.user, str(self.binaries / program), *arguments],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True, timeout=60,
            )  # fmt: skip


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of the session; skips, saying why, where none is installed."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    # Not below pytest's directories, which are the test user's alone: the server runs as another user.
    directory = Path(tempfile.mkdtemp(prefix="cachestore-postgres-"))
    server = PostgresServer(free_port(), binaries, directory, _as_postgres(directory))
    try:
        server.initialise()
        server.start()
        yield server
        server.stop()
    except subprocess.CalledProcessError as error:
        said = "\n".join(file.read_text() for file in directory.glob("[cl]o*") if file.is_file())
        raise RuntimeError(f"{error}\n{said}") from error
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """The URL of an empty database of the test's own."""
    return postgres.create_database()


def _binaries() -> Path | None:
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda initdb: float(initdb.parts[-3])
    )
    if versions:
        return versions[-1].parent
    found = shutil.which("initdb")
    return Path(found).parent if found else None


def _as_postgres(directory: Path) -> tuple[str, ...]:
    """Return what to put before a command: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return ()
    try:
        account = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres for it")
    os.chown(directory, account.pw_uid, account.pw_gid)
    return ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
