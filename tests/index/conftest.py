"""One database for all tests of the index: a new one for each takes longer than most of them."""

from __future__ import annotations

import pytest

from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="session")
def index_database(postgres: PostgresServer) -> str:
    return postgres.create_database()


@pytest.fixture
def empty_postgres(index_database: str) -> str:
    """The URL of a database without any table, and without anyone connected."""
    import psycopg

    with psycopg.connect(index_database, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return index_database
