"""A second process, the same call: not computed. On a directory, on S3 servers, in memory."""

import json

import pytest

WORK = """
import cachestore

cache = cachestore.open()

@cache.cache
def work(n, factor=2):
    print("computing")
    return {"value": n * factor}

print(work(21))
"""


def test_on_a_directory(python):
    assert python(WORK).stdout == "computing\n{'value': 42}\n"
    # Another spelling, a comment, a docstring: the same call of the same code.
    again = WORK.replace("work(21)", "work(factor=2, n=21)")
    again = again.replace('print("comp', '"Double."\n    # !\n    print("comp')
    assert python(again).stdout == "{'value': 42}\n"
    assert python(WORK.replace("n * factor", "n + factor")).stdout == "computing\n{'value': 23}\n"
    assert python(WORK).stdout == "{'value': 42}\n"


def test_on_an_s3_server(python, at, tmp_path):
    environ = at | {"XDG_CACHE_HOME": str(tmp_path / "ana")}
    assert python(WORK, environ=environ).stdout == "computing\n{'value': 42}\n"
    # A colleague on another machine: no index in common, another directory.
    colleague = at | {"XDG_CACHE_HOME": str(tmp_path / "ben")}
    assert python(WORK, environ=colleague, cwd=tmp_path / "elsewhere").stdout == "{'value': 42}\n"


@pytest.mark.s3
def test_on_an_s3_server_that_lies_about_conditional_puts(python, command, rclone, tmp_path):
    environ = {
        "CACHESTORE_LOCATION": rclone.fresh_location(),
        "CACHESTORE_STORAGE_OPTIONS": json.dumps(rclone.storage_options),
    }
    work = WORK.replace('"value": n * factor', '"value": n * factor, "large": bytes(2_000_000)')
    work = work.replace("print(work(21))", 'print(work(21)["value"])')
    first = python(work, environ=environ | {"XDG_CACHE_HOME": str(tmp_path / "ana")})
    assert (first.stdout, first.stderr) == ("computing\n42\n", "")
    second = python(work, environ=environ | {"XDG_CACHE_HOME": str(tmp_path / "ben")})
    assert (second.stdout, second.stderr) == ("42\n", "")
    assert json.loads(command("verify", "--json", environ=environ).stdout)["damaged"] == []
    found = json.loads(command("doctor", "--json", environ=environ).stdout)
    assert any(each["measured"] == "lies" for each in found["checks"])


def test_uses_of_a_process_that_only_hits_are_counted_in_the_private_index(python, command, at, tmp_path):
    environ = at | {"XDG_CACHE_HOME": str(tmp_path / "ana")}
    python(WORK, environ=environ)
    ran = python(WORK, environ=environ)
    assert ran.stderr == ""
    [entry] = json.loads(command("ls", "--json", environ=environ).stdout)["entries"]
    assert entry["hits"] == 1


def test_in_memory_within_one_process():
    from cachestore import Memory

    calls = []

    def work(n):
        calls.append(n)
        return n + 1

    assert Memory("memory://journey", verbose=0).cache(work)(1) == 2
    assert Memory("memory://journey", verbose=0).cache(work)(1) == 2
    assert Memory("memory://elsewhere", verbose=0).cache(work)(1) == 2
    assert len(calls) == 2


def test_secrets_are_in_no_file_that_a_team_shares(python, s3_server, tmp_path):
    """Options given in code: they are neither in blobs, nor in an index, nor in what is pickled."""
    location = s3_server.fresh_location()
    code = f"""
from cachestore import Memory
memory = Memory({location!r}, verbose=0, index="index.sqlite",
                backend_options={{"storage_options": {s3_server.storage_options!r}}})

@memory.cache
def model(n):
    return {{"holds": memory, "n": n}}

assert model(1)["n"] == 1
import pickle, pathlib
pathlib.Path("pickled").write_bytes(pickle.dumps((memory, model.func.__name__, model.call_and_shelve(1))))
"""
    python(code)
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    client = s3_server.client()
    objects = client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    stored = [client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in objects]
    assert len(stored) == 3  # the store's name, a blob, a code version
    written = [
        file.read_bytes() for file in tmp_path.glob("*") if file.is_file() and file.name != "script.py"
    ]
    assert len(written) >= 2
    for content in stored + written:
        assert s3_server.secret.encode() not in content


def test_losing_the_index_loses_nothing(python, command, tmp_path):
    python(WORK)
    before = json.loads(command("ls", "--json").stdout)["entries"]
    for file in (tmp_path / ".cachestore").glob("index.sqlite*"):
        file.unlink()
    assert python(WORK).stdout == "{'value': 42}\n"
    for file in (tmp_path / ".cachestore").glob("index.sqlite*"):
        file.unlink()
    assert command("rebuild").returncode == 0
    after = json.loads(command("ls", "--json").stdout)["entries"]
    uses = {"hits", "seconds_saved", "last_used_at"}
    assert [{k: v for k, v in entry.items() if k not in uses} for entry in after] == [
        {k: v for k, v in entry.items() if k not in uses} for entry in before
    ]


@pytest.mark.postgres
def test_a_teams_index_counts_the_uses_of_all(python, command, postgres_url, at):
    environ = at | {"CACHESTORE_INDEX": postgres_url}
    python(WORK, environ=environ | {"CACHESTORE_USER": "ana"})
    for _ in range(2):
        python(WORK, environ=environ | {"CACHESTORE_USER": "ben"})
    told = json.loads(command("stats", "--json", environ=environ).stdout)
    users = {user["user"]: (user["computed"], user["reused"]) for user in told["by_user"]}
    assert users == {"ana": (1, 0), "ben": (0, 2)}
