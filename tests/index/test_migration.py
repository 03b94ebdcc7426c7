from __future__ import annotations

import gc
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from cachestore.errors import IndexUnavailable, SchemaMismatch
from cachestore.index import Index, Selection, migration
from cachestore.index.tables import metadata
from tests.contracts.index import entry, key, touch
from tests.index.test_index import address, open_at

__all__ = ["address"]


def engine(address: str) -> sa.Engine:
    if "://" in address:
        return sa.create_engine(address.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)
    return sa.create_engine(f"sqlite:///{address}", poolclass=sa.NullPool)


def set_revision(address: str, revision: str) -> None:
    with engine(address).begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :new"), {"new": revision})


def test_the_known_revisions_are_those_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(migration.folder()))
    script = ScriptDirectory.from_config(config)
    revisions = [step.revision for step in script.walk_revisions()]
    assert tuple(reversed(revisions)) == migration.REVISIONS
    assert script.get_heads() == [migration.HEAD]


def test_the_migrations_make_the_tables(address: str) -> None:
    open_at(address).record([entry(1)])
    with engine(address).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        collations = _collations(connection)
    assert collations == {"C"}


def _collations(connection: sa.Connection) -> set[str]:
    # Alembic does not compare these.
    if connection.dialect.name == "sqlite":
        return {"C"}
    return set(
        connection.scalars(
            sa.text(
                "SELECT collation_name FROM information_schema.columns WHERE table_schema = 'public' "
                "AND table_name <> 'alembic_version' AND data_type = 'character varying'"
            )
        )
    )


@pytest.mark.parametrize("act", ["record", "get", "select", "statistics", "merge", "migrate", "forget"])
def test_a_newer_index_is_refused_and_left_alone(address: str, act: str) -> None:
    open_at(address).record([entry(1)])
    set_revision(address, "9abc")
    index = open_at(address)
    arguments = {
        "record": ([entry(2)],), "get": (key(1),), "select": (Selection(),), "forget": ([key(1)],),
    }.get(act, ())  # fmt: skip
    with pytest.raises(SchemaMismatch, match=r"revision 9abc.*Upgrade cachestore; nothing was changed"):
        getattr(index, act)(*arguments)
    assert index.version() == "9abc"
    set_revision(address, migration.HEAD)
    assert open_at(address).find("") == [entry(1)]


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This cachestore as it would be with one more migration."""
    folder = tmp_path / "next" / "migrations"
    shutil.copytree(migration.folder(), folder)
    (folder / "versions" / "0009_notes.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\nrevision = '0009'\n"
        f"down_revision = '{migration.HEAD}'\n"
        "def upgrade():\n    op.add_column('orphans', sa.Column('note', sa.String()))\n"
    )
    monkeypatch.setattr(migration, "folder", lambda: folder)
    monkeypatch.setattr(migration, "REVISIONS", (*migration.REVISIONS, "0009"))
    monkeypatch.setattr(migration, "HEAD", "0009")


def test_an_older_index_is_migrated_when_asked(address: str, request: pytest.FixtureRequest) -> None:
    index = open_at(address)
    before = migration.HEAD
    index.record([entry(1)])
    index.close()
    request.getfixturevalue("next_version")
    index = open_at(address)
    for act in (lambda: index.get(key(1)), lambda: index.record([entry(2)])):
        with pytest.raises(SchemaMismatch, match=rf"revision {before}.*Run `cachestore migrate`"):
            act()
    assert index.version() == before
    assert index.migrate() == index.version() == "0009"
    assert index.get(key(1)) == entry(1)
    with engine(address).connect() as connection:
        assert connection.scalar(sa.text("SELECT count(note) FROM orphans")) == 0


def test_a_failed_migration_changes_nothing(address: str, request: pytest.FixtureRequest) -> None:
    before = migration.HEAD
    open_at(address).record([entry(1)])
    request.getfixturevalue("next_version")
    step = migration.folder() / "versions" / "0009_notes.py"
    step.write_text(step.read_text() + "    op.execute('SELECT * FROM nowhere')\n")
    with pytest.raises(IndexUnavailable, match="nowhere"):
        open_at(address).migrate()
    assert open_at(address).version() == before
    with engine(address).connect() as connection:
        assert "note" not in {column["name"] for column in sa.inspect(connection).get_columns("orphans")}


def test_a_database_of_something_else_is_not_taken_over(tmp_path: Path) -> None:
    file = tmp_path / "theirs.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE entries (mine TEXT)")
    with pytest.raises(IndexUnavailable, match="entries"):
        open_at(str(file)).record([entry(1)])
    tables = sqlite3.connect(file).execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert tables == [("entries",)]


def test_migrations_are_found_inside_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "cachestore"
    (package / "index").mkdir(parents=True)
    monkeypatch.setattr(migration, "__file__", str(package / "index" / "migration.py"))
    with pytest.raises(IndexUnavailable, match="Install it again"):
        migration.folder()
    shutil.copytree(Path(__file__).parents[2] / "migrations", package / "migrations")
    assert migration.folder() == package / "migrations"


def test_threads_make_their_databases_at_once(tmp_path: Path) -> None:
    import threading

    indexes: list[Index] = [open_at(str(tmp_path / f"{number}.sqlite")) for number in range(6)]
    threads = [threading.Thread(target=index.record, args=([entry(1)],)) for index in indexes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [index.get(key(1)) for index in indexes] == [entry(1)] * 6


def test_rows_of_the_first_revision_are_kept(address: str) -> None:
    from alembic import command

    index = open_at(address)
    index.record([entry(1), entry(2, function="other")])
    index.close()
    with engine(address).begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(migration.folder()))
        command.downgrade(config, "0001")
    index = open_at(address)
    with pytest.raises(SchemaMismatch, match="cachestore migrate"):
        index.get(key(1))
    assert index.migrate() == migration.HEAD
    assert index.find("") == [entry(1), entry(2, function="other")]
    index.record([entry(1, call_digest="c1")])
    assert index.get(key(1)) == entry(1, call_digest="c1")


def test_an_index_that_is_made_while_this_thread_makes_another_does_not_wait_for_it(tmp_path, monkeypatch):
    """Garbage may be collected at any moment, and what is collected hands on what it noted."""
    from alembic import command

    outer, inner = open_at(None, tmp_path / "outer"), open_at(None, tmp_path / "inner")
    upgrade, refused = command.upgrade, []

    def collect_and_upgrade(*given):
        try:
            inner.record([entry(1)])
        except IndexUnavailable as error:
            refused.append(str(error))
        upgrade(*given)

    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", collect_and_upgrade)
        thread = threading.Thread(target=outer.record, args=([entry(1)],), daemon=True)
        thread.start()
        thread.join(20)
    assert not thread.is_alive()
    assert len(refused) == 1
    inner.record([entry(2)])
    assert [outer.get(key(1)), inner.get(key(2))] == [entry(1), entry(2)]
    outer.close()
    inner.close()


def test_what_an_index_in_memory_noted_goes_with_it(monkeypatch):
    index = open_at("sqlite://", None)
    index.touch(touch(1))
    delivered = []
    monkeypatch.setattr("cachestore.index.index._deliver", lambda place, notes: delivered.append(notes))
    del index
    gc.collect()
    assert delivered == []
