from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from cachestore.index.tables import AwareUTC

NAIVE = datetime(2024, 5, 1, 12)


def test_times_are_stored_as_utc_and_naive_ones_refused() -> None:
    table = sa.Table("t", sa.MetaData(), sa.Column("at", AwareUTC))
    engine = sa.create_engine("sqlite://")
    there = datetime(2024, 5, 1, 23, 30, tzinfo=timezone(timedelta(hours=-7)))
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(table.insert(), [{"at": there}, {"at": None}])
        assert connection.scalars(sa.select(table)).all() == [there, None]
        assert (
            connection.exec_driver_sql("SELECT at FROM t").scalars().first() == "2024-05-02 06:30:00.000000"
        )
        assert (
            connection.scalar(sa.select(table.c.at).where(table.c.at < there + timedelta(seconds=1))) == there
        )
        with pytest.raises(sa.exc.StatementError, match="without a time zone"):
            connection.execute(table.insert(), [{"at": NAIVE}])
        # PostgreSQL answers in the zone of the session.
        back = AwareUTC().process_result_value(there, engine.dialect)
        assert (back, back and back.tzinfo) == (there, UTC)
