from __future__ import annotations

import psycopg
import pytest

pytestmark = pytest.mark.postgres


def test_each_test_gets_an_empty_database(postgres, postgres_url):
    with psycopg.connect(postgres_url) as connection:
        connection.execute("create table t (x int)")
    with psycopg.connect(postgres.create_database()) as connection:
        assert connection.execute("select to_regclass('t')").fetchone() == (None,)


def test_survives_a_crash(postgres, postgres_url):
    postgres.stop()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres_url)
    postgres.start()
    psycopg.connect(postgres_url).close()
