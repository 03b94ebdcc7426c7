import json


def test_all_is_well(store, keys, run):
    before = [(store / "blobs" / key[:2] / key).stat() for key in keys]
    result = run("verify", "--location", store)
    assert result.exit_code == 0
    assert result.stdout == "4 blobs are whole.\n"
    after = [(store / "blobs" / key[:2] / key).stat() for key in keys]
    assert [status.st_mtime_ns for status in after] == [status.st_mtime_ns for status in before]


def test_damage_is_found(store, keys, damage, run):
    damage(keys[2])
    (store / "blobs" / keys[3][:2] / keys[3]).write_bytes(b"no blob")
    result = run("verify", "--location", store)
    assert result.exit_code == 1
    assert "2 blobs are whole.\n2 blobs damaged" in result.stdout
    assert f"{keys[2][:12]}  The blob" in result.stdout
    assert keys[3][:12] in result.stdout


def test_json(store, keys, damage, run):
    damage(keys[2])
    (store / "blobs" / keys[0][:2] / keys[0]).unlink()
    result = run("verify", "--location", store, "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert set(answer) == {"checked", "damaged", "vanished", "orphans"}
    assert answer["checked"] == 2
    assert [finding["key"] for finding in answer["damaged"]] == [keys[2]]
    assert set(answer["damaged"][0]) == {"key", "problem"}
    assert answer["vanished"] == [keys[0]]


def test_what_index_and_blobs_disagree_on_is_told_and_no_damage(store, keys, lose_index, run):
    (store / "blobs" / keys[0][:2] / keys[0]).unlink()
    result = run("verify", "--location", store)
    assert result.exit_code == 0
    assert "1 row without a blob" in result.stdout
    lose_index()
    result = run("verify", "--location", store)
    assert result.exit_code == 0
    assert "3 blobs without a row in the index" in result.stdout
