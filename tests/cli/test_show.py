import json

import pytest


def test_all_that_is_known_of_an_entry(store, keys, run):
    shown = run("show", "--location", store, keys[0][:6]).stdout
    for part in (
        keys[0],
        "function",
        "ana, Python 3.",
        " UTC, just now",
        "drew random   no",
        "hits          1, saved",
    ):
        assert part in shown
    assert "\narguments\n  number" in shown or "\narguments\n  numbers" in shown
    assert "code parts\n  function:" in shown


def test_json_has_the_row_and_the_blob(store, keys, run):
    answer = json.loads(run("show", "--location", store, keys[1], "--json").stdout)
    assert set(answer) == {"key", "row", "blob", "stored_size", "problem"}
    assert answer["key"] == answer["row"]["key"] == answer["blob"]["key"] == keys[1]
    assert answer["problem"] is None
    assert answer["row"]["creator"] == answer["blob"]["creator"] == "ana"
    assert answer["row"]["hits"] == 1
    assert answer["blob"]["drew_random"] is False
    assert all(len(digest) == 64 for digest in answer["blob"]["arguments"].values())


def test_a_key_may_be_written_in_capitals(store, keys, run):
    assert keys[0] in run("show", "--location", store, keys[0][:10].upper()).stdout


@pytest.mark.parametrize("key", ["xyz", "", "g" * 64, "0" * 65, "*"])
def test_what_is_no_key(store, refused, key):
    assert f"{key!r} is no key" in refused("show", "--location", store, key)


def test_an_unknown_prefix(store, keys, refused):
    unknown = next(f"{n:06x}" for n in range(100) if not any(key.startswith(f"{n:06x}") for key in keys))
    assert f"No key begins with {unknown}. `cachestore ls` lists" in refused(
        "show", "--location", store, unknown
    )


def test_an_ambiguous_prefix_names_the_candidates(store, refused, run, monkeypatch):
    from cachestore.memory import Memory

    memory = Memory(store, verbose=0)
    for number in range(20):
        memory.cache(len)(range(number))
    memory.store_backend.close()
    entries = json.loads(run("ls", "--location", store, "--json").stdout)["entries"]
    first = [entry["key"][0] for entry in entries]
    common = next(digit for digit in first if first.count(digit) > 1)  # 24 keys, 16 digits
    said = refused("show", "--location", store, common)
    assert f"{first.count(common)} keys begin with {common}: " in said
    assert said.endswith("Give more of the key.")
    for entry in entries:
        if entry["key"].startswith(common):
            assert f"{entry['key'][:9]} ({entry['function']})" in said


def test_a_damaged_blob(store, keys, damage, run):
    damage(keys[0])
    result = run("show", "--location", store, keys[0])
    assert result.exit_code == 1
    assert "PROBLEM: The blob is damaged in the" in result.stdout
    assert "computed by   ana" in result.stdout, "the row is shown all the same"
    result = run("show", "--location", store, keys[0], "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert answer["blob"] is None
    assert "damaged" in answer["problem"]


def test_a_row_whose_blob_is_gone(store, keys, run):
    (store / "blobs" / keys[0][:2] / keys[0]).unlink()
    result = run("show", "--location", store, keys[0][:8])
    assert result.exit_code == 1
    assert "PROBLEM: The blob is gone" in result.stdout


@pytest.mark.parametrize("length", [1, 2, 8, 64])
def test_a_blob_without_a_row_is_found(store, keys, lose_index, run, length):
    lose_index()
    for key in keys[1:]:
        (store / "blobs" / key[:2] / key).unlink()
    result = run("show", "--location", store, keys[0][:length])
    assert result.exit_code == 0
    assert keys[0] in result.stdout
    assert "The index has no row for it" in result.stdout


def test_an_empty_blob_is_a_damaged_one(store, keys, run):
    (store / "blobs" / keys[0][:2] / keys[0]).write_bytes(b"")
    assert run("show", "--location", store, keys[0]).exit_code == 1


def test_a_key_is_needed(store, run):
    result = run("show", "--location", store)
    assert result.exit_code == 2
    assert "Missing argument 'KEY'" in result.stderr
