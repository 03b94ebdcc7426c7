import json
import sqlite3

from cachestore.index.migration import HEAD


def test_an_index_that_is_up_to_date_is_left_alone(store, run):
    result = run("migrate", "--location", store)
    assert result.exit_code == 0
    assert result.stdout.endswith(f"index.sqlite has revision {HEAD} already: there is nothing to do.\n")


def test_json(store, run):
    answer = json.loads(run("migrate", "--location", store, "--json").stdout)
    assert answer == {"index": f"sqlite:///{store}/index.sqlite", "before": HEAD, "after": HEAD}


def test_an_index_that_was_named_may_come_before_its_store(tmp_path, run):
    index = tmp_path / "team.sqlite"
    result = run("migrate", "--location", tmp_path / "later", "--index", index)
    assert result.exit_code == 0
    assert f"was empty and has its tables now, of revision {HEAD}" in result.stdout
    assert index.exists()
    assert not (tmp_path / "later").exists()


def test_an_index_of_a_newer_version(store, run, refused):
    with sqlite3.connect(store / "index.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for command in (
        ["migrate"],
        ["stats"],
        ["ls"],
        ["verify"],
        ["rebuild"],
        ["gc", "--yes", "--max-entries", 0],
    ):
        said = refused(*command, "--location", store)
        assert "revision 9999" in said
        assert "Upgrade cachestore; nothing was changed." in said
    assert len(list(store.glob("blobs/??/*"))) == 4
