import json

import pytest

from cachestore.cache import open_cache
from cachestore.settings import Settings


@pytest.fixture
def versions(store, monkeypatch):
    """Miss `features` in another version; return the old version and the new one."""
    cache = open_cache(Settings(location=str(store), user="ben"))
    old = next(e.code_version for e in cache.index.find("") if e.function.endswith("features"))
    from cachestore.memory import Memory
    from tests.cli import conftest

    call = Memory(store, verbose=0).cache(conftest.features).call_key(1)
    call = call._replace(key=call.in_version("abcd" * 16), code_version="abcd" * 16)
    cache.look_up(call)
    cache.index.flush()
    yield old, call.code_version
    cache.close()


def test_it_prints_its_plan_and_acts_when_told(store, versions, run):
    old, new = versions
    shown = run("accept", old[:8], new[:8], "--location", store)
    assert shown.exit_code == 0
    assert (
        f"Entries of tests.cli.conftest.features in version {old[:12]} will answer calls of version"
        in shown.stdout
    )
    assert "Nothing was changed. Say --yes to act." in shown.stdout
    assert "Nothing was accepted." in run("accept", "--list", "--location", store).stdout

    assert "Done." in run("accept", old[:8], new[:8], "--yes", "--location", store).stdout
    assert "there is nothing to do" in run("accept", old[:8], new[:8], "--yes", "--location", store).stdout
    listed = run("accept", "--list", "--location", store).stdout
    assert old[:12] in listed
    assert new[:12] in listed
    (mark,) = json.loads(run("accept", "--list", "--json", "--location", store).stdout)["accepted"]
    assert set(mark) == {"new", "old", "function", "user", "at"}

    shown = run("accept", old[:8], new[:8], "--revoke", "--yes", "--location", store).stdout
    assert "will no longer answer" in shown
    assert json.loads(run("accept", "--list", "--json", "--location", store).stdout) == {"accepted": []}


def test_json(store, versions, run):
    old, new = versions
    answer = json.loads(run("accept", old, new, "--json", "--location", store).stdout)
    assert answer == {
        "executed": False, "changes": True, "revoke": False, "function": "tests.cli.conftest.features",
        "old": old, "new": new,
    }  # fmt: skip
    assert json.loads(run("accept", old, new, "--json", "--yes", "--location", store).stdout)["executed"]
    assert json.loads(run("accept", old, new, "--json", "--location", store).stdout)["changes"] is False


def test_what_is_refused(store, versions, refused):
    old, _ = versions
    assert "No code version begins with 0000" in refused("accept", "0000", old, "--location", store)
    assert "No accepted versions begin with" in refused("accept", old, old, "--revoke", "--location", store)


@pytest.mark.parametrize(
    "words", [(), ("abcd",), ("abcd", "abce", "--list"), ("--list", "--yes"), ("--list", "--revoke")]
)
def test_wrong_usage(store, run, words):
    result = run("accept", *words, "--location", store)
    assert result.exit_code == 2
    assert "Name OLD and NEW, or give --list alone." in result.stderr
