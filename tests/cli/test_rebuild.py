import json


def rows(run, store):
    return {
        entry["key"]: entry
        for entry in json.loads(run("ls", "--location", store, "--json").stdout)["entries"]
    }


def test_a_lost_index_comes_back(store, lose_index, run):
    before = rows(run, store)
    lose_index()
    result = run("rebuild", "--location", store)
    assert (result.exit_code, result.stdout) == (0, "4 entries listed in the index.\n")
    after = rows(run, store)
    assert after.keys() == before.keys()
    for key, row in after.items():
        for field in ("function", "code_version", "kind", "raw_size", "stored_size", "creator", "created_at"):
            assert row[field] == before[key][field]


def test_what_cannot_be_read_is_told(store, keys, run):
    (store / "blobs" / keys[0][:2] / keys[0]).write_bytes(b"no blob")
    (store / "blobs" / keys[1][:2] / keys[1]).unlink()
    result = run("rebuild", "--location", store)
    assert result.exit_code == 1
    assert (
        "2 entries listed in the index.\n1 row removed whose blobs are gone.\n1 blob cannot be read:"
        in result.stdout
    )
    assert keys[0][:12] in result.stdout


def test_json(store, keys, run):
    (store / "blobs" / keys[0][:2] / keys[0]).write_bytes(b"no blob")
    result = run("rebuild", "--location", store, "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert (answer["recorded"], answer["forgotten"]) == (3, 0)
    assert [(finding["key"]) for finding in answer["unreadable"]] == [keys[0]]
