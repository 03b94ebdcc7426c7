import json

import pytest

from cachestore.cache import doctor as checks
from cachestore.cache.diagnosis import Diagnosis, Result
from cachestore.errors import StorageError
from cachestore.storage import LocalStore
from cachestore.storage.guarded_store import GuardedStore


def files(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_all_is_well(store, run):
    before = files(store)
    result = run("doctor", "--location", store)
    assert result.exit_code == 0, result.stdout
    assert result.stdout.startswith(f"store  {store}\n\ncheck ")
    for part in ("atomic put", "creates", "throughput of a get", "B/s", "Each hit waits so long."):
        assert part in result.stdout
    assert files(store) == before


def test_json(store, run):
    answer = json.loads(run("doctor", "--location", store, "--json").stdout)
    assert set(answer) == {"location", "checks"}
    assert answer["location"] == str(store)
    assert all(set(each) == {"check", "result", "meaning", "measured", "unit"} for each in answer["checks"])
    units = {each["check"]: each["unit"] for each in answer["checks"] if isinstance(each["measured"], float)}
    assert units["latency of a get"] == "seconds"
    assert units["throughput of a put"] == "bytes per second"


def test_a_store_that_lies(store, run, monkeypatch):
    def overwrite(self, path, data):
        self.put(path, [data])
        return True

    monkeypatch.setattr(LocalStore, "create", overwrite)
    result = run("doctor", "--location", store)
    assert result.exit_code == 1
    assert "conditional put failure lies The store accepts" in " ".join(result.stdout.split())
    assert "overwrites all the same" in result.stdout
    answer = json.loads(run("doctor", "--location", store, "--json").stdout)
    assert [each["check"] for each in answer["checks"] if each["result"] == "failure"] == ["conditional put"]


def test_where_nobody_may_write(store, run, monkeypatch):
    def refuse(self, path, parts):
        raise StorageError("Permission denied.")

    monkeypatch.setattr(LocalStore, "put", refuse)
    result = run("doctor", "--location", store)
    assert result.exit_code == 1
    assert "Nothing can be stored here" in result.stdout
    assert "range reads" in result.stdout


def test_a_warning_is_no_failure(store, run, monkeypatch):
    slow = Diagnosis("latency of a get", Result.WARNING, "Slow.", 2.0, "seconds")
    monkeypatch.setattr(checks, "examine", lambda store, progress: [slow])
    result = run("doctor", "--location", store)
    assert result.exit_code == 0
    assert "latency of a get  warning     2.0 s  Slow." in result.stdout


def test_the_store_itself_is_looked_at_and_no_copy(run, tmp_path, monkeypatch):
    monkeypatch.setenv("CACHESTORE_NEAR", str(tmp_path / "near"))
    seen = []
    monkeypatch.setattr(checks, "examine", lambda store, progress: seen.append(store) or [])
    assert run("doctor", "--location", "s3://a-bucket/prefix").exit_code == 0
    assert isinstance(seen[0], GuardedStore)


@pytest.mark.parametrize(
    ("measured", "unit", "said"),
    [
        (0.00005, "seconds", "0.05 ms"),
        (-90.0, "seconds", "-2 min"),
        (2.5e8, "bytes per second", "250.0 MB/s"),
    ],
)
def test_numbers_are_said_as_people_do(store, run, monkeypatch, measured, unit, said):
    found = Diagnosis("a check", Result.OK, "Good.", measured, unit)
    monkeypatch.setattr(checks, "examine", lambda store, progress: [found])
    assert f" {said}  Good." in run("doctor", "--location", store).stdout


def test_a_directory_that_is_not_there_is_not_made(refused, tmp_path):
    absent = tmp_path / "absent"
    assert f"There is no directory {absent}." in refused("doctor", "--location", absent)
    assert not absent.exists()


def test_a_place_that_holds_nothing_yet(run, tmp_path):
    empty = tmp_path / "new"
    empty.mkdir()
    assert run("doctor", "--location", empty).exit_code == 0
    assert set(files(empty)) <= {empty / ".gitignore"}


def test_wrong_usage(run):
    assert run("doctor", "--fast").exit_code == 2


def test_s3(s3_server, run, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    result = run("doctor", "--location", s3_server.fresh_location())
    assert result.exit_code == 0, result.stdout
    assert "testtest" not in result.output
