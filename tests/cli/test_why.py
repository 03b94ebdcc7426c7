import importlib
import json
import sys

import pytest

from cachestore.memory import Memory


def test_the_latest_miss_of_a_function(store, run):
    result = run("why", "features", "--location", store)
    assert result.exit_code == 0
    said, _, *fields = result.stdout.splitlines()
    assert said.startswith("tests.cli.conftest.features: a miss because argument 'number' differs: ")
    assert " (ana, today) -> " in said
    assert [field.split("  ")[0] for field in fields] == [
        "key", "asked for", "code version", "nearest", "its version",
    ]  # fmt: skip


def test_an_entry(store, keys, run):
    for key in keys:
        said = run("why", key[:12], "--location", store).stdout
        assert ": computed because " in said
        assert key in said


def test_json(store, run):
    answer = json.loads(run("why", "features", "--location", store, "--json").stdout)
    assert set(answer) == {
        "known", "state", "reason", "text", "key", "function", "code_version", "asked_at", "nearest", "changes",
        "evicted", "accepted", "problem",
    }  # fmt: skip
    assert (answer["known"], answer["state"], answer["reason"]) == (True, "miss", "new arguments")
    assert answer["nearest"]["creator"] == "ana"
    (change,) = answer["changes"]
    assert set(change) == {"kind", "name", "old", "new", "old_text", "new_text", "diff"}
    assert (change["kind"], change["name"], len(change["old"])) == ("argument", "number", 64)


def test_what_gc_evicted(store, keys, run):
    run("gc", "--location", store, "--max-entries", 0, "--yes")
    answer = json.loads(run("why", keys[0], "--location", store, "--json").stdout)
    assert (answer["reason"], answer["evicted"]["command"]) == ("evicted", "gc")
    assert "was evicted by gc on" in run("why", keys[0][:8], "--location", store).stdout


@pytest.mark.parametrize("what", ["nothing.like.it", "feed", "0123456789abcdef"])
def test_what_nobody_knows(store, run, what):
    result = run("why", what, "--location", store)
    assert result.exit_code == 1
    assert f"No miss of {what} is known" in result.stdout
    result = run("why", what, "--location", store, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (1, {"known": False})


def test_wrong_usage_and_a_place_without_a_store(run, refused, tmp_path):
    assert run("why").exit_code == 2
    assert "There is no store at" in refused("why", "features", "--location", tmp_path / "nowhere")


def test_a_diff_of_what_changed(store, run, tmp_path, monkeypatch):
    assert "No source that changed is known." in run("why", "total", "--location", store, "--diff").stdout
    folder = tmp_path / "checkout"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for digits in (1, 2):
        (folder / "whycli.py").write_text(f"def rounded(x):\n    return round(x, {digits})\n")
        sys.modules.pop("whycli", None)
        importlib.invalidate_caches()
        memory = Memory(store, verbose=0)
        memory.cache(importlib.import_module("whycli").rounded)(0.125)
        memory.store_backend.close()
    shown = run("why", "rounded", "--location", store, "--diff").stdout
    assert shown.startswith("whycli.rounded: a miss because rounded() itself changed: ")
    assert "\n-    return round(x, 1)\n+    return round(x, 2)\n" in shown
    assert "round(x, 1)" not in run("why", "rounded", "--location", store).stdout
    (change,) = json.loads(run("why", "rounded", "--location", store, "--json").stdout)["changes"]
    assert change["new_text"] == "def rounded(x):\n    return round(x, 2)\n"


def test_misses_are_summed_up_by_reason(store, run):
    assert "4 misses: 2 never computed, 2 new arguments" in run("stats", "--location", store).stdout
    answer = json.loads(run("stats", "--location", store, "--json").stdout)
    assert answer["misses"] == 4
    assert {each["reason"]: each["misses"] for each in answer["by_reason"] if "features" in each["function"]} == {
        "never computed": 1, "new arguments": 2,
    }  # fmt: skip
