import json
from pathlib import Path

import pytest


def test_each_setting_and_where_it_came_from(run, monkeypatch, tmp_path):
    (tmp_path / "empty" / "cachestore.toml").write_text(
        'location = "s3://team/cache"\nindex = "postgresql://ana:pa55@db.example/cache"\n'
        "[storage_options]\nkey = 'AKIA'\nsecret = 'hush'\nendpoint_url = 'http://s3.example'\n"
    )
    monkeypatch.setenv("CACHESTORE_USER", "ana")
    result = run("config")
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    file = str(Path.cwd() / "cachestore.toml")
    assert lines["location"].split() == ["location", "s3://team/cache", file]
    assert lines["index"].split()[1] == "postgresql://ana@db.example/cache"
    assert lines["user"].split() == ["user", "ana", "CACHESTORE_USER"]
    assert lines["timeout"].split() == ["timeout", "5.0", "default"]
    assert "and, not shown, key, secret" in lines["storage_options"]
    assert not {"pa55", "hush", "AKIA"} & set(result.stdout.replace("'", " ").replace('"', " ").split())
    answer = json.loads(run("config", "--json").stdout)
    assert answer["location"] == {"value": "s3://team/cache", "origin": file}
    assert answer["storage_options"] == {
        "value": {"endpoint_url": "http://s3.example"},
        "origin": file,
        "hidden": ["key", "secret"],
    }
    assert "hush" not in json.dumps(answer)


def test_what_belongs_to_another_location_is_not_kept(run, monkeypatch, tmp_path):
    monkeypatch.setenv("CACHESTORE_LOCATION", "s3://team/cache")
    monkeypatch.setenv("CACHESTORE_INDEX", "postgresql://db.example/cache")
    monkeypatch.setenv("CACHESTORE_STORAGE_OPTIONS", '{"anon": true}')
    here = json.loads(run("config", "--json", "--location", "s3://team/cache").stdout)
    assert here["index"] == {"value": "postgresql://db.example/cache", "origin": "CACHESTORE_INDEX"}
    assert here["storage_options"]["value"] == {"anon": True}
    other = json.loads(run("config", "--json", "--location", tmp_path).stdout)
    assert other["location"] == {"value": str(tmp_path), "origin": "--location"}
    assert other["index"] == {"value": None, "origin": "default"}
    assert other["storage_options"] == {"value": {}, "origin": "default", "hidden": []}
    named = json.loads(run("config", "--json", "--index", "other.sqlite").stdout)
    assert named["location"]["origin"] == "CACHESTORE_LOCATION"
    assert named["index"] == {"value": "other.sqlite", "origin": "--index"}


def test_a_variable_that_is_no_setting_is_named(run, monkeypatch):
    monkeypatch.setenv("CACHESTORE_LOCATON", "s3://team/cache")
    result = run("config")
    assert result.exit_code == 0
    assert result.stderr == "CACHESTORE_LOCATON is set, and is no setting: nothing reads it.\n"


def test_it_helps_where_the_location_is_wrong(run):
    assert (
        json.loads(run("config", "--json", "--location", "foo://x").stdout)["location"]["value"] == "foo://x"
    )


def test_a_wrong_setting_names_its_file(refused, tmp_path):
    (tmp_path / "empty" / "cachestore.toml").write_text("colour = 'red'\n")
    said = refused("config")
    assert "cachestore.toml sets 'colour', which is no setting" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("compress = 'lz5'", "compress is 'lz5'. Give"),
        ("compress = ['zstd', 50]", "compress is ('zstd', 50). Give"),
        ("compress = 17", "compress is 17. Give"),
        ("index = 'mysql://a:pa55/b'", "has a scheme that is not known"),
        ("location = 'foo://x'", "foo"),
    ],
)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_settings_that_open_no_cache_are_shown_and_refused(run, refused, tmp_path, line, said, form):
    file = tmp_path / "empty" / "cachestore.toml"
    file.write_text(f"{line}\n")
    shown = run("config", *form)
    assert shown.exit_code == 1
    assert said in shown.stderr
    assert "cachestore.toml" in shown.stdout
    assert refused("ls").removeprefix("Error: ") == " ".join(shown.stderr.removeprefix("Error: ").split())
    file.write_text("compress = ['zstd', 5]\n")
    sound = run("config", *form)
    assert (sound.exit_code, sound.stderr) == (0, "")
    assert list((tmp_path / "empty").iterdir()) == [file]
