"""The commands on a store that a team shares: S3, with a private index or the team's own."""

import json

import pytest

from cachestore.errors import SettingsError
from tests.cli.conftest import fill


@pytest.fixture
def credentials(s3_server, monkeypatch):
    """Give the commands what a user has in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def shared(s3_server, credentials, monkeypatch):
    """A location on S3 where ana computed four results."""
    location = s3_server.fresh_location()
    fill(location, "ana", monkeypatch)
    return location


def entries(run, *arguments):
    return json.loads(run("stats", "--json", *arguments).stdout)["entries"]


def test_a_private_index_lists_and_shows_but_does_not_collect(shared, run, refused, tmp_path):
    stats = json.loads(run("stats", "--location", shared, "--json").stdout)
    assert (stats["entries"], stats["private"], stats["location"]) == (4, True, shared)
    assert str(tmp_path / "user-cache") in stats["index"]
    assert "(private: it knows only your own uses)" in run("stats", "--location", shared).stdout
    key = json.loads(run("ls", "--location", shared, "--json").stdout)["entries"][0]["key"]
    assert run("show", "--location", shared, key[:10]).exit_code == 0
    assert run("verify", "--location", shared).stdout == "4 blobs are whole.\n"

    said = refused("gc", "--location", shared, "--max-entries", 0, "--yes")
    for part in (
        "a private one",
        "--index postgresql://",
        "CACHESTORE_INDEX",
        "cachestore.toml",
        "--private-index",
    ):
        assert part in said
    assert run("verify", "--location", shared).stdout == "4 blobs are whole.\n"
    result = run("gc", "--location", shared, "--max-entries", 1, "--yes", "--private-index")
    assert result.exit_code == 0
    assert run("verify", "--location", shared).stdout == "1 blob is whole.\n"


def test_colleagues_entries_are_listed_after_a_rebuild_and_never_swept(shared, run, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "ben"))
    assert "`cachestore rebuild` lists them again" in run("stats", "--location", shared).stdout
    plan = json.loads(run("gc", "--location", shared, "--private-index", "--yes", "--json").stdout)
    assert (plan["sweeps"], plan["vanished"], plan["adoptions"]) == ([], [], [])
    assert run("rebuild", "--location", shared).stdout == "4 entries listed in the index.\n"
    assert entries(run, "--location", shared) == 4


@pytest.mark.postgres
def test_the_teams_index(s3_server, credentials, postgres_url, run, monkeypatch):
    location = s3_server.fresh_location()
    result = run("migrate", "--location", location, "--index", postgres_url)
    assert "was empty and has its tables now" in result.stdout
    for user in ("ana", "ben"):
        fill(location, user, monkeypatch, index=postgres_url)
    monkeypatch.setenv("CACHESTORE_LOCATION", location)
    monkeypatch.setenv("CACHESTORE_INDEX", postgres_url)
    stats = json.loads(run("stats", "--json").stdout)
    assert (stats["entries"], stats["hits"], stats["private"]) == (4, 4, False)
    assert [user["user"] for user in stats["by_user"]] == ["ana", "ben"]
    assert run("gc", "--max-entries", 1, "--yes").exit_code == 0
    assert entries(run) == 1


def test_where_no_store_is_nothing_is_made(s3_server, credentials, refused, tmp_path):
    location = s3_server.fresh_location()
    assert f"There is no store at {location}: nothing was ever stored there." in refused(
        "stats", "--location", location
    )
    assert not (tmp_path / "user-cache").exists()


def test_a_bucket_that_is_not_there(credentials, refused):
    said = refused("stats", "--location", "s3://bucket-that-is-not-there/cache")
    assert "there is no such bucket. Create it, or correct the location." in said


def test_a_server_that_is_not_there(refused, monkeypatch):
    for name, value in (
        ("ACCESS_KEY_ID", "x"),
        ("SECRET_ACCESS_KEY", "x"),
        ("ENDPOINT_URL", "http://127.0.0.1:1"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    said = refused("stats", "--location", "s3://bucket/cache")
    assert "AWS_ENDPOINT_URL" in said


def test_reducing_the_size_is_refused_alike(shared):
    from cachestore.memory import Memory

    with pytest.raises(SettingsError, match="a private one"):
        Memory(shared, verbose=0).reduce_size(items_limit=0)
