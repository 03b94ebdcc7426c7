import json

import pytest

COMMANDS = [
    ["stats"],
    ["ls"],
    ["show", "ab"],
    ["gc", "--max-entries", "0", "--yes"],
    ["verify"],
    ["rebuild"],
    ["migrate"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_where_no_store_is_nothing_is_made(command, refused, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    for place in (tmp_path / "nowhere", tmp_path / "empty"):
        assert f"There is no store at {place}: nothing was ever stored there." in refused(
            *command, "--location", place
        )
    assert f"There is no store at {tmp_path / 'empty' / '.cachestore'}" in refused(*command)
    assert sorted(tmp_path.rglob("*")) == before


def test_looking_at_no_store_makes_no_index_that_was_named_either(refused, tmp_path):
    index = tmp_path / "index.sqlite"
    refused("stats", "--location", tmp_path / "nowhere", "--index", index)
    assert not index.exists()


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("foo://x", "Nobody knows the protocol foo://"),
        ("", "The location is empty."),
        ("s3:/bucket/x", "Write s3://, with two slashes."),
        ("memory://nothing", "There is no store at memory://nothing"),
        ("a-file", "a-file is a file, and a store is a directory."),
        ("a-file/below", "A file is where a directory should be"),
    ],
)
def test_locations_without_a_meaning(location, said, refused, tmp_path):
    (tmp_path / "empty" / "a-file").write_text("")
    assert said in refused("stats", "--location", location)


def test_the_folder_that_a_memory_made_is_meant(tmp_path, monkeypatch, run):
    from tests.cli.conftest import fill

    fill(str(tmp_path / "project"), "ana", monkeypatch)
    answer = json.loads(run("stats", "--location", tmp_path / "project", "--json").stdout)
    assert answer["location"] == str(tmp_path / "project" / "cachestore")
    monkeypatch.setenv("CACHESTORE_LOCATION", str(tmp_path / "project"))
    assert json.loads(run("stats", "--json").stdout)["entries"] == 4


def test_a_relative_location_is_seen_from_here(store, run, monkeypatch):
    monkeypatch.chdir(store.parent)
    assert json.loads(run("stats", "--location", "store", "--json").stdout)["location"] == str(store)


def test_an_index_that_was_named(store, tmp_path, run):
    index = tmp_path / "other.sqlite"
    assert json.loads(run("stats", "--location", store, "--index", index, "--json").stdout)["entries"] == 0
    assert not index.exists()
    run("rebuild", "--location", store, "--index", index)
    assert json.loads(run("stats", "--location", store, "--index", index, "--json").stdout)["entries"] == 4


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_an_index_that_is_no_database(command, store, tmp_path, refused):
    index = tmp_path / "index.sqlite"
    index.write_text("this is no database, and it is long enough to be taken for one" * 20)
    before = index.read_bytes()
    assert "is not a database" in refused(*command, "--location", store, "--index", index)
    assert index.read_bytes() == before
    assert len(list(store.glob("blobs/??/*"))) == 4


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("mysql://u:pa55@host/x", "has a scheme that is not known"),
        ("postgresql://u:pa55@127.0.0.1:1/x", "does not answer as it should"),
    ],
)
def test_indexes_without_a_meaning(index, said, store, refused):
    line = refused("stats", "--location", store, "--index", index)
    assert said in line
    assert "pa55" not in line
