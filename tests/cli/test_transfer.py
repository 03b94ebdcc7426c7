import json
import os
import signal
import time

import pytest


@pytest.fixture
def team(tmp_path):
    return tmp_path / "team"


def listed(run, location):
    return {
        entry["key"]: entry
        for entry in json.loads(run("ls", "--location", location, "--json").stdout)["entries"]
    }


def test_push_moves_everything_once(run, store, keys, team):
    pushed = run("push", team, "--location", store)
    assert pushed.exit_code == 0
    assert pushed.stdout.startswith("4 entries of ")
    assert f"moved from {store} to {team}." in pushed.stdout
    entries = listed(run, team)
    assert sorted(entries) == keys
    assert {entry["creator"] for entry in entries.values()} == {"ana"}
    again = run("push", team, "--location", store)
    assert again.exit_code == 0
    assert again.stdout.startswith("0 entries of 0 B moved")
    assert "4 entries are there already.\n" in again.stdout
    assert run("verify", "--location", team).exit_code == 0


def test_what_was_pushed_can_be_explained_there(run, store, keys, team):
    run("push", team, "--location", store)
    for location in (store, team):
        shown = json.loads(run("show", keys[0], "--location", location, "--json").stdout)
        assert shown["blob"]["creator"] == "ana"
    here, there = (run("why", keys[0], "--location", location) for location in (store, team))
    assert (there.exit_code, there.stdout) == (here.exit_code, here.stdout)


def test_a_dry_run_moves_nothing(run, store, keys, team):
    planned = run("push", team, "--location", store, "--dry-run")
    assert planned.exit_code == 0
    assert "4 entries of" in planned.stdout
    assert "to move from" in planned.stdout
    assert all(key[:12] in planned.stdout for key in keys)
    assert not team.exists()
    answer = json.loads(run("push", team, "--location", store, "--dry-run", "--json").stdout)
    assert answer["executed"] is False
    assert sorted(entry["key"] for entry in answer["moves"]) == keys
    assert answer["moved"] == answer["failed"] == []


@pytest.mark.parametrize("command", ["push", "pull", "sync"])
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_filter_that_matches_nothing_is_said(run, store, team, command, dry):
    run("push", team, "--location", store, "--function", "total")
    done = run(command, team, "--location", store, "--function", "totl", *dry)
    assert done.exit_code == 0
    for source in {"push": (store,), "pull": (team,), "sync": (store, team)}[command]:
        said = f"No entry at {source} is like that. See `cachestore ls --location {source}`."
        assert said in done.stdout.splitlines()
    assert "0 entries" not in done.stdout
    there = run(command, team, "--location", store, "--function", "total", *dry)
    assert "1 entry is there already." in there.stdout
    assert "like that" not in there.stdout


def test_filters(run, store, keys, team):
    def planned(*options):
        words = ("push", team, *options, "--location", store, "--dry-run", "--json")
        return len(json.loads(run(*words).stdout)["moves"])

    assert planned("--function", "total") == 1
    assert planned("--function", "feat*") == 3
    assert planned("--user", "ben") == 0
    assert planned("--newer-than", "1h") == 4
    assert planned("--newer-than", "0s") == 0
    assert planned("--smaller-than", "1B") == 0
    assert planned("--smaller-than", "1GB") == 4
    assert planned(keys[0][:16], keys[1].upper()) == 2


def test_pull_is_the_other_way(run, store, keys, team):
    pulled = run("pull", store, "--location", team, "--json")
    assert pulled.exit_code == 0
    answer = json.loads(pulled.stdout)
    assert (answer["source"], answer["destination"], answer["executed"]) == (str(store), str(team), True)
    assert sorted(answer["moved"]) == keys == sorted(listed(run, team))


def test_sync_goes_both_ways(run, store, keys, team):
    first, second, *others = keys
    run("push", team, first, second, "--location", store)
    for path in (store, team):
        # Each has one that the other has not, and they share one.
        gone = second if path == store else first
        (path / "blobs" / gone[:2] / gone).unlink()
        run("rebuild", "--location", path)
    planned = run("sync", team, "--location", store, "--dry-run")
    assert planned.exit_code == 0
    assert planned.stdout.count("to move from") == 2
    answer = json.loads(run("sync", team, "--location", store, "--json").stdout)
    assert sorted(answer["push"]["moved"]) == sorted([first, *others])
    assert answer["pull"]["moved"] == [second]
    assert sorted(listed(run, store)) == sorted(listed(run, team)) == keys


def test_a_damaged_blob_stays_and_is_named(run, store, keys, team, damage):
    damage(keys[1])
    pushed = run("push", team, "--location", store)
    assert pushed.exit_code == 1
    assert "3 entries of" in pushed.stdout
    assert "1 entry could not be moved:" in pushed.stdout
    assert keys[1][:12] in pushed.stdout
    answer = json.loads(run("push", team, "--location", store, "--json").stdout)
    assert [finding["key"] for finding in answer["failed"]] == [keys[1]]
    assert keys[1] not in listed(run, team)


def test_the_index_is_not_needed(run, store, keys, team, lose_index):
    lose_index()
    assert run("pull", store, "--location", team).exit_code == 0
    assert sorted(listed(run, team)) == keys


def test_the_other_index_can_be_named(run, store, keys, team, tmp_path):
    index = tmp_path / "elsewhere.sqlite"
    assert run("push", team, "--location", store, "--other-index", index).exit_code == 0
    assert index.exists()
    assert sorted(listed(run, team)) == []
    words = ("ls", "--location", team, "--index", index, "--json")
    assert sorted(entry["key"] for entry in json.loads(run(*words).stdout)["entries"]) == keys


def test_what_makes_no_sense_is_refused(refused, store, team):
    assert "There is no store" in refused("push", team, "--location", team)
    assert "There is no store" in refused("pull", team, "--location", store)
    assert "one store" in refused("push", store, "--location", store)
    assert "is no key" in refused("push", team, "nothing", "--location", store)
    assert "No key begins with 0123456789" in refused("push", team, "0123456789", "--location", store)
    nothing = team.with_name("nothing")
    assert f"no store at {team} and none at {nothing}" in refused("sync", nothing, "--location", team)
    assert "--newer-than" in refused("push", team, "--newer-than", "soon", "--location", store)
    assert "--smaller-than" in refused("push", team, "--smaller-than", "big", "--location", store)
    assert not team.exists()


def test_the_settings_of_a_place_that_is_named_are_kept(run, store, keys, team, tmp_path):
    index = tmp_path / "team.sqlite"
    (tmp_path / "empty" / "cachestore.toml").write_text(f'location = "{team}"\nindex = "{index}"\n')
    assert run("push", team, "--location", store).exit_code == 0
    assert index.exists()
    assert len(json.loads(run("ls", "--json").stdout)["entries"]) == len(keys)


def test_whoever_is_killed_moves_the_rest_the_next_time(start, run, store, keys, tmp_path):
    # The third blob cannot be read before somebody writes.
    third = store / "blobs" / keys[2][:2] / keys[2]
    content = third.read_bytes()
    third.unlink()
    os.mkfifo(third)
    pushing = start("push", tmp_path / "team", "--location", store)
    try:
        while len(list((tmp_path / "team").glob("blobs/??/" + 64 * "?"))) < 3 and pushing.poll() is None:
            time.sleep(0.05)
        pushing.send_signal(signal.SIGKILL)
    finally:
        pushing.communicate(timeout=60)
    third.unlink()
    third.write_bytes(content)
    assert run("push", tmp_path / "team", "--location", store).stdout.startswith("1 entry of")
    assert sorted(listed(run, tmp_path / "team")) == keys
