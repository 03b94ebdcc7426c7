from pathlib import Path

import pytest

import cachestore
from cachestore import SettingsError
from cachestore.settings import find_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work in a directory above which nobody keeps settings."""
    directory = tmp_path / "elsewhere"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def test_without_any_settings_the_cache_is_in_the_working_directory(elsewhere):
    settings, origins = find_settings(environ={})
    assert settings.location == str(elsewhere / ".cachestore")
    assert set(origins.values()) == {"default"}


def test_a_file_above_the_calling_module_comes_before_the_working_directory(tmp_path, elsewhere):
    package = tmp_path / "project" / "package"
    package.mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").write_text('[tool.cachestore]\nlocation = "shared"\n')
    (elsewhere / "cachestore.toml").write_text('location = "mine"\n')
    settings, origins = find_settings(package, environ={})
    assert settings.location == str(tmp_path / "project" / "shared")
    assert origins["location"] == str(tmp_path / "project" / "pyproject.toml")
    assert find_settings(environ={})[0].location == str(elsewhere / "mine")


def test_a_pyproject_of_others_is_passed_over(tmp_path, elsewhere):
    (elsewhere / "pyproject.toml").write_text('[project]\nname = "other"\ndependencies = ["cachestore"]\n')
    (tmp_path / "cachestore.toml").write_text('user = "ana"\n')
    assert find_settings(environ={})[0].user == "ana"


def test_the_environment_comes_first_and_is_named(elsewhere):
    (elsewhere / "cachestore.toml").write_text('user = "ana"\ntimeout = 3.0\n')
    settings, origins = find_settings(environ={"CACHESTORE_USER": "ben", "CACHESTORE_LOCATION": "s3://b/p"})
    assert (settings.user, settings.timeout, settings.location) == ("ben", 3.0, "s3://b/p")
    assert (origins["user"], origins["timeout"]) == ("CACHESTORE_USER", str(elsewhere / "cachestore.toml"))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("storage_options", '{"anon": true}', {"anon": True}),
        ("compress", "zstd", "zstd"),
        ("compress", "5", 5),
        ("compress", "true", True),
        ("compress", '["zstd", 5]', ("zstd", 5)),
        ("verbose", "2", 2),
        ("timeout", "2.5", 2.5),
        ("near", "/fast/near", "/fast/near"),
        ("near", "false", False),
        ("near_limit", "400GiB", 400 * 2**30),
        ("write_behind", "true", True),
        ("durable", "false", False),
        ("reuse_unseeded", "false", False),
        ("first_party", "acme, acme_*", ("acme", "acme_*")),
        ("package_versions", "exact", "exact"),
        (
            "package_versions",
            '{"default": "ignore", "numpy": "exact"}',
            {"default": "ignore", "numpy": "exact"},
        ),
        ("project", "ours", "ours"),
        ("check_arguments", "true", True),
        ("load_policy", "data", "data"),
        ("index", "postgresql://db/cache", "postgresql://db/cache"),
    ],
)
def test_every_setting_can_come_from_the_environment(name, text, expected):
    settings, _ = find_settings(environ={f"CACHESTORE_{name.upper()}": text})
    assert getattr(settings, name) == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('locatoin = "x"', "locatoin"),
        ("location = ", "TOML"),
        ("timeout = -1", "timeout"),
        ("[tool.cachestore]\nlocation = 'x'", "at the top of the file"),
        ("location = 3", "location"),
        ("storage_options = 3", "storage_options"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(elsewhere, content, said):
    file = elsewhere / "cachestore.toml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=said) as caught:
        find_settings(environ={})
    assert str(file) in str(caught.value)


def test_a_file_that_may_not_be_read_is_named(elsewhere, monkeypatch):
    (elsewhere / "pyproject.toml").write_text("[tool.cachestore]")

    def refuse(file):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(SettingsError, match=f"{elsewhere}/pyproject.toml cannot be read: Permission denied"):
        find_settings(environ={})


def test_a_folder_that_cannot_be_looked_into_has_no_settings(tmp_path):
    assert find_settings(tmp_path / (300 * "x"), environ={})[0].user is None


@pytest.mark.parametrize(
    "name",
    ["storage_options", "verbose", "timeout", "reuse_unseeded", "check_arguments", "write_behind", "durable"],
)
def test_a_wrong_variable_is_named_with_what_to_write(name):
    # What storage_options are set to is not shown: it may hold a secret.
    shown = "set to something" if name == "storage_options" else "'nonsense'"
    with pytest.raises(SettingsError, match=f"CACHESTORE_{name.upper()} is {shown}.*Write") as caught:
        find_settings(environ={f"CACHESTORE_{name.upper()}": "nonsense"})
    assert caught.value.__cause__ is None or name != "storage_options"


def test_relative_paths_of_the_environment_are_of_the_working_directory(elsewhere):
    names = {"index": "here.sqlite", "location": "store", "near": "copies"}
    settings, _ = find_settings(environ={f"CACHESTORE_{name.upper()}": text for name, text in names.items()})
    assert {name: getattr(settings, name) for name in names} == {
        name: str(elsewhere / text) for name, text in names.items()
    }


@pytest.mark.parametrize("location", ["s3://bucket/prefix", "s3:/bucket/prefix", "simplecache::s3://bucket"])
def test_what_begins_like_a_url_is_no_directory(elsewhere, location):
    (elsewhere / "cachestore.toml").write_text(f'location = "{location}"\n')
    assert find_settings(environ={})[0].location == location
    assert find_settings(environ={"CACHESTORE_LOCATION": location})[0].location == location


@pytest.mark.parametrize("location", ["s3:/bucket/prefix", "simplecache::s3://bucket"])
def test_a_location_that_is_nearly_a_url_is_refused(elsewhere, location):
    (elsewhere / "cachestore.toml").write_text(f'location = "{location}"\n')
    for given in ({}, {"location": location}):
        with pytest.raises(SettingsError, match=r"two slashes|chains filesystems"):
            cachestore.open(**given)
    with pytest.raises(SettingsError, match=r"two slashes|chains filesystems"):
        cachestore.Memory(location)
    assert [file.name for file in elsewhere.iterdir()] == ["cachestore.toml"]


def test_a_working_directory_that_was_removed_is_missed_only_where_it_is_needed(tmp_path, elsewhere):
    (tmp_path / "cachestore.toml").write_text('user = "ana"\n')
    elsewhere.rmdir()
    assert find_settings(environ={})[0].user is None
    assert find_settings(tmp_path, environ={})[0].user == "ana"
    environ = {"CACHESTORE_LOCATION": "/team/cache", "CACHESTORE_NEAR": "/near"}
    settings, _ = find_settings(environ=environ)
    assert (settings.location, settings.near) == ("/team/cache", "/near")
    with pytest.raises(SettingsError, match="near is 'copies', and the working directory was removed"):
        find_settings(environ={"CACHESTORE_NEAR": "copies"})
