from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from cachestore.demo.seaweedfs import free_port
from cachestore.errors import IndexUnavailable
from cachestore.index import Touch, server, tables, uses
from cachestore.index.server import ServerDatabase
from tests.contracts.index import entry, key, touch
from tests.index.test_index import open_at
from tests.servers.postgres import PostgresServer

pytestmark = pytest.mark.postgres


@pytest.fixture
def own_server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """The server of the session, running again afterwards."""
    yield postgres
    try:
        with socket.create_connection(("127.0.0.1", postgres.port), timeout=1):
            pass
    except OSError:
        postgres.start()


@pytest.fixture
def hung_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield listening.getsockname()[1]


def test_a_refusing_server_is_unavailable_at_once() -> None:
    index = open_at(f"postgresql://ana:pa55@127.0.0.1:{free_port()}/cache")
    start = time.monotonic()
    for _ in range(3):
        with pytest.raises(IndexUnavailable, match="Check that the server runs") as caught:
            index.record([entry(1)])
        assert "pa55" not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert time.monotonic() - start < 2.0


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1,127.0.0.2"])
def test_a_hung_server_is_unavailable_within_the_timeout(hung_port: int, host: str) -> None:
    ports = ",".join([str(hung_port)] * len(host.split(",")))
    index = open_at(f"postgresql+psycopg:///cache?host={host}&port={ports}", timeout=0.7)
    start = time.monotonic()
    with pytest.raises(IndexUnavailable, match=r"no answer within 0\.7 s"):
        index.get(key(1))
    assert 0.6 < time.monotonic() - start < 1.7
    # It is not asked again for a while: a thousand misses do not wait a thousand times.
    start = time.monotonic()
    for _ in range(100):
        with pytest.raises(IndexUnavailable, match="a moment ago"):
            index.record([entry(1)])
    assert time.monotonic() - start < 0.5


def test_a_server_that_falls_silent_and_speaks_again(
    empty_postgres: str, hung_backends: HungBackends, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_at(empty_postgres, timeout=0.7)
    index.record([entry(1)])
    hung_backends.stop(empty_postgres)
    start = time.monotonic()
    with pytest.raises(IndexUnavailable, match="no answer within"):
        index.get(key(1))
    assert time.monotonic() - start < 1.7
    hung_backends.go_on()
    monkeypatch.setattr(server, "_SILENCE", 0.0)
    index.close()
    assert open_at(empty_postgres).get(key(1)) == entry(1)


class HungBackends:
    """Stops the server's processes that serve a database."""

    def __init__(self) -> None:
        self._stopped: list[int] = []

    def stop(self, url: str) -> None:
        import psycopg

        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
        for (pid,) in rows:
            os.kill(pid, signal.SIGSTOP)
            self._stopped.append(pid)
        assert self._stopped

    def go_on(self) -> None:
        while self._stopped:
            os.kill(self._stopped.pop(), signal.SIGCONT)


@pytest.fixture
def hung_backends() -> Iterator[HungBackends]:
    backends = HungBackends()
    yield backends
    backends.go_on()


def test_a_server_that_was_restarted_is_connected_again(own_server: PostgresServer) -> None:
    address = own_server.create_database()
    index = open_at(address)
    index.record([entry(1)])
    own_server.stop()
    index.touch(touch(1))
    start = time.monotonic()
    for act in (index.flush, index.statistics, index.merge):
        with pytest.raises(IndexUnavailable):
            act()
    assert time.monotonic() - start < 3.0
    own_server.start()
    # The server stopped at once and does not wait for its disk: it may have lost all, tables too.
    index.merge()
    index.record([entry(1)])
    assert index.get(key(1)) == entry(1, hits=1, seconds_saved=2.5, last_used_at=touch(1).last_used_at)
    index.close()


def test_connections_killed_behind_its_back_are_replaced(empty_postgres: str) -> None:
    import psycopg

    index = open_at(empty_postgres)
    index.record([entry(1)])
    with psycopg.connect(empty_postgres, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    index.record([entry(2)])
    assert index.find("") == [entry(1), entry(2)]
    index.close()


def test_a_lock_held_by_another_ends_within_the_timeout(empty_postgres: str) -> None:
    import psycopg

    index = open_at(empty_postgres, timeout=0.5)
    index.record([entry(1)])
    with psycopg.connect(empty_postgres) as connection:
        connection.execute("LOCK TABLE entries")
        start = time.monotonic()
        with pytest.raises(IndexUnavailable):
            index.record([entry(2)])
        assert time.monotonic() - start < 1.5


def test_touching_does_not_wait_for_a_hung_server(hung_port: int) -> None:
    index = open_at(f"postgresql://127.0.0.1:{hung_port}/cache", timeout=0.5)
    start = time.monotonic()
    for _ in range(600):
        index.touch(touch(1))
    assert time.monotonic() - start < 0.3


def test_uses_of_many_threads_do_not_deadlock(empty_postgres: str) -> None:
    index = open_at(empty_postgres, timeout=20.0)
    index.record([entry(0)])
    failures: list[BaseException] = []

    def work(user: str, direction: int) -> None:
        own = open_at(empty_postgres, timeout=20.0)
        try:
            for _ in range(10):
                numbers = range(60)[::direction]
                for number in numbers:
                    own.touch(touch(number, user, saved=1.0))
                own.record([entry(number) for number in numbers])
                own.flush()
                own.merge()
        except BaseException as error:
            failures.append(error)
        own.close()

    threads = [threading.Thread(target=work, args=(f"u{n % 2}", 1 - 2 * (n % 2))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert index.merge() == []
    assert [found.hits for found in index.find("")] == [40] * 60
    index.close()


def test_transactions_lock_rows_in_one_order(empty_postgres: str) -> None:
    database = opened(empty_postgres)
    database.migrate()
    with database.writing() as ours:
        uses.apply(ours, [touch(1)])
        other = threading.Thread(target=apply_to, args=(database, [touch(2), touch(1)]))
        other.start()
        wait_for_a_waiter(empty_postgres)
        # Had the other taken 2 before it waits for 1, both would now wait for each other.
        uses.apply(ours, [touch(2)])
    other.join()
    with database.reading() as connection:
        assert connection is not None
        assert connection.scalars(sa.select(tables.uses.c.hits)).all() == [2, 2]
    database.close()


def test_a_use_noted_while_its_row_is_recorded_counts(empty_postgres: str) -> None:
    database = opened(empty_postgres)
    apply_to(database, [touch(1, "ben")])
    index = open_at(empty_postgres)
    with database.writing() as ours:
        uses.apply(ours, [touch(1, "cleo")])
        recording = threading.Thread(target=index.record, args=([entry(1)],))
        recording.start()
        wait_for_a_waiter(empty_postgres)
    recording.join()
    found = index.get(key(1))
    assert found is not None
    assert found.hits == 2
    index.close()
    database.close()


def opened(address: str) -> ServerDatabase:
    return ServerDatabase(address.replace("postgresql:", "postgresql+psycopg:"), address, timeout=20.0)


def apply_to(database: ServerDatabase, touches: list[Touch]) -> None:
    with database.writing() as connection:
        uses.apply(connection, touches)


def wait_for_a_waiter(address: str) -> None:
    import psycopg

    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(address, autocommit=True) as connection:
        while connection.execute(query).fetchone() is None:
            time.sleep(0.01)


def test_tables_dropped_under_an_index_are_made_again(empty_postgres: str) -> None:
    import psycopg

    index = open_at(empty_postgres)
    index.record([entry(1)])
    with psycopg.connect(empty_postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with pytest.raises(IndexUnavailable, match="does not exist"):
        index.record([entry(1)])
    index.record([entry(2)])
    assert index.find("") == [entry(2)]
    index.close()


def test_a_server_that_hangs_after_its_greeting() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        accepted: list[socket.socket] = []

        def greet() -> None:
            connection, _ = listening.accept()
            accepted.append(connection)
            connection.recv(4096)
            # "Authentication is done", "ready for a query".
            connection.sendall(b"R\0\0\0\x08\0\0\0\0" + b"Z\0\0\0\x05I")

        threading.Thread(target=greet, daemon=True).start()
        port = listening.getsockname()[1]
        index = open_at(
            f"postgresql://ana@127.0.0.1:{port}/cache?sslmode=disable&gssencmode=disable", timeout=0.7
        )
        start = time.monotonic()
        with pytest.raises(IndexUnavailable, match="no answer within"):
            index.get(key(1))
        assert time.monotonic() - start < 1.7
        for connection in accepted:
            connection.close()


def test_an_operation_when_no_thread_can_be_started_any_more(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    database = opened(empty_postgres)
    with database.writing() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    database.close()
