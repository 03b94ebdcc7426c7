"""SQLAlchemy's queries are values: what is asked for counts, not where it lies in memory."""

import pytest
import sqlalchemy as sa

from cachestore.errors import KeyingError
from cachestore.keys import digest

SALES = sa.table("sales", sa.column("day"), sa.column("sum"))


def query(bound=1):
    return sa.select(SALES.c.day).where(SALES.c.sum > bound).order_by(SALES.c.day)


def twice(which):
    """Join a table with itself, and ask for one of the two."""
    one, other = SALES.alias(), SALES.alias()
    return sa.select(one.c.day).join(other, one.c.day == other.c.day).where((one, other)[which].c.sum > 1)


QUERIES = {
    "plain": query,
    "bound": lambda: query(2),
    "bound of another type": lambda: query("1"),
    "two": lambda: query().where(SALES.c.day == 3),
    "two others": lambda: query().where(SALES.c.day == 4),
    "many": lambda: query().where(SALES.c.day.in_([1, 2])),
    "named": lambda: query().where(SALES.c.day == sa.bindparam("day")),
    "named otherwise": lambda: query().where(SALES.c.day == sa.bindparam("date")),
    "named value": lambda: query().where(SALES.c.day == sa.bindparam("day", 1)),
    "text": lambda: sa.text("select 1"),
    "other text": lambda: sa.text("select 2"),
    "text with values": lambda: sa.text("select :a").bindparams(a=1),
    "alias": lambda: sa.select(SALES.alias("s").c.day),
    "other alias": lambda: sa.select(SALES.alias("t").c.day),
    "one of two aliases": lambda: twice(0),
    "the other one": lambda: twice(1),
}


@pytest.mark.parametrize("name", QUERIES)
def test_equal_queries(name):
    make = QUERIES[name]
    used = make()
    assert str(used)
    others = [make() for _ in range(2)]
    assert digest(used) == digest(others[0]) == digest(others[1])


def test_all_differ():
    assert len({digest(make()) for make in QUERIES.values()}) == len(QUERIES)


def test_the_same_in_another_process(run):
    program = """
        import sqlalchemy as sa
        from cachestore.keys import digest
        sales = sa.Table("sales", sa.MetaData(), sa.Column("day", sa.Date), sa.Column("text", sa.String(3)))
        print(digest(sa.select(sales.alias().c.day).where(sales.c.text == "a").limit(3)), digest(sales))
    """
    assert len({run(program, PYTHONHASHSEED=seed) for seed in "012"}) == 1


def test_tables_count_by_their_columns():
    def table(*columns, name="sales", **settings):
        return sa.Table(name, sa.MetaData(), *(sa.Column(*column) for column in columns), **settings)

    tables = [
        table(("a", sa.Integer)), table(("b", sa.Integer)), table(("a", sa.String(3))), table(("a", sa.String(4))),
        table(("a", sa.Integer), name="costs"), table(("a", sa.Integer), schema="x"),
    ]  # fmt: skip
    selects = [sa.select(table) for table in tables]
    assert len(set(map(digest, tables + selects))) == len(tables + selects)
    assert digest(table(("a", sa.Integer))) == digest(tables[0])


def test_what_sqlalchemy_cannot_tell_apart_is_refused():
    class Own(sa.sql.expression.ColumnElement):
        inherit_cache = False

    with pytest.raises(KeyingError, match="SQLAlchemy cannot tell such queries apart"):
        digest(sa.select(Own()))
