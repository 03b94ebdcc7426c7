import json
import re
import sys


def test_totals_functions_and_users(store, run):
    shown = run("stats", "--location", store).stdout
    assert "4 entries: 150." in shown
    assert "4 hits saved" in shown
    assert "features" in shown
    ana, ben = (
        next(line.split() for line in shown.splitlines() if line.startswith(user)) for user in ("ana", "ben")
    )
    assert ana[1] == "4"
    assert ben[1] == "0"
    assert "4" in ben[3:]


def test_json_has_stable_fields_and_raw_numbers(store, run):
    answer = json.loads(run("stats", "--location", store, "--json").stdout)
    assert set(answer) == {
        "location", "index", "private", "entries", "raw_size", "stored_size", "hits", "seconds_computing",
        "seconds_saved", "by_function", "by_user", "misses", "by_reason", "unlisted",
        "seconds_spent", "seconds_net",
    }  # fmt: skip
    assert answer["location"] == str(store)
    assert (answer["entries"], answer["hits"], answer["private"], answer["unlisted"]) == (4, 4, False, False)
    assert set(answer["by_function"][0]) == {
        "function", "entries", "raw_size", "stored_size", "hits", "seconds", "seconds_saved",
        "seconds_spent",
    }  # fmt: skip
    assert set(answer["by_user"][0]) == {"user", "computed", "seconds", "reused", "seconds_saved"}
    assert [(user["user"], user["computed"], user["reused"]) for user in answer["by_user"]] == [
        ("ana", 4, 0),
        ("ben", 0, 4),
    ]


def test_it_says_what_caching_saved_net(store, run):
    shown = run("stats", "--location", store).stdout
    assert re.search(r"^keys, look-ups and storing took .*: net, caching (saved|cost) .", shown, re.MULTILINE)


def test_an_empty_store_says_what_to_do(store, run):
    assert run("gc", "--location", store, "--max-entries", 0, "--yes").exit_code == 0
    result = run("stats", "--location", store)
    assert result.exit_code == 0
    assert "Nothing is stored yet. Call a function with @cache.cache" in result.stdout


def test_a_lost_index_is_not_taken_for_an_empty_store(store, lose_index, run):
    lose_index()
    assert "`cachestore rebuild` lists them again" in run("stats", "--location", store).stdout
    assert not (store / "index.sqlite").exists(), "looking makes no index"
    assert json.loads(run("stats", "--location", store, "--json").stdout)["unlisted"] is True


def test_only_the_functions_that_saved_most_are_shown(store, run, monkeypatch):
    monkeypatch.setattr(sys.modules["cachestore.cli.stats"], "_TOP", 1)
    shown = run("stats", "--location", store).stdout
    assert "... and 1 more function: --json names all." in shown
