import json
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from cachestore.cli.ls import SORTS
from cachestore.index.selection import Sort


def listed(run, *arguments):
    return json.loads(run("ls", "--json", *arguments).stdout)["entries"]


def test_one_line_for_each_entry_with_the_whole_name(store, keys, run):
    header, *lines = run("ls", "--location", store).stdout.splitlines()
    assert header.split()[:2] == ["key", "function"]
    assert sorted(line.split()[0] for line in lines) == [key[:12] for key in keys]
    assert all(line.endswith("just now") for line in lines)


def test_names_are_not_cut_where_no_terminal_is(store, run):
    functions = {entry["function"] for entry in listed(run, "--location", store)}
    shown = run("ls", "--location", store).stdout
    assert all(function in shown for function in functions)


def test_json_has_stable_fields_and_utc_times(store, keys, run):
    entries = listed(run, "--location", store)
    assert sorted(entry["key"] for entry in entries) == keys
    for entry in entries:
        assert set(entry) == {
            "key", "function", "code_version", "kind", "raw_size", "stored_size", "created_at",
            "last_used_at", "seconds", "creator", "hits", "seconds_saved", "value_digest", "call_digest", "expires_at",
            "parents",
        }  # fmt: skip
        created = datetime.fromisoformat(entry["created_at"])
        assert created.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - created) < timedelta(minutes=5)


def test_filters(store, run):
    assert len(listed(run, "--location", store, "--function", "feat*")) == 3
    assert len(listed(run, "--location", store, "--function", "total")) == 1
    assert len(listed(run, "--location", store, "--user", "ana")) == 4
    assert listed(run, "--location", store, "--user", "ben") == []
    assert run("ls", "--location", store, "--user", "ben").stdout == "No entry is like that.\n"


def test_order_and_number(store, run):
    sizes = [entry["stored_size"] for entry in listed(run, "--location", store, "--sort", "size")]
    assert sizes == sorted(sizes, reverse=True)
    assert len(listed(run, "--location", store, "--sort", "function", "--limit", 2)) == 2
    assert listed(run, "--location", store, "--limit", 0) == []


def test_the_orders_are_those_of_the_index():
    assert get_args(Sort) == SORTS


def test_wrong_numbers_and_orders(store, run, refused):
    assert "The limit is -1." in refused("ls", "--location", store, "--limit", "-1")
    result = run("ls", "--location", store, "--sort", "colour")
    assert result.exit_code == 2
    assert "'colour' is not one of 'last_used', 'size'" in result.stderr


@pytest.mark.parametrize("emptied", ["index", "store"])
def test_nothing_to_list_says_why(store, lose_index, run, emptied):
    if emptied == "index":
        lose_index()
        assert "`cachestore rebuild`" in run("ls", "--location", store).stdout
    else:
        run("gc", "--location", store, "--max-entries", 0, "--yes")
        assert "Nothing is stored yet" in run("ls", "--location", store).stdout
