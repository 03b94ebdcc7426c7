import json
import sys

import joblib
import pytest


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A directory in which joblib cached three calls: two can be keyed anew, and one not."""
    (tmp_path / "theirs.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import theirs

    double = joblib.Memory(tmp_path / "old", verbose=0).cache(theirs.double)
    for value in (1, "a"):
        double(value)
    joblib.Memory(tmp_path / "old", verbose=0).cache(lambda x: x)(1)
    yield tmp_path / "old"
    sys.modules.pop("theirs")


def test_the_plan_is_printed_and_nothing_is_done(run, old, tmp_path):
    planned = run("import-joblib", old, "--location", tmp_path / "new")
    assert planned.exit_code == 0
    assert "1 entry cannot be imported:\n" in planned.stdout
    assert "a lambda, cannot be imported\n" in planned.stdout
    assert "2 entries of " in planned.stdout
    assert (
        "Loading a pickle runs the code that is in it.\nNothing was imported. Say --yes to act.\n"
        in planned.stdout
    )
    assert not (tmp_path / "new").exists()


def test_yes_imports_what_can_be(run, old, tmp_path):
    acted = run("import-joblib", old, "--location", tmp_path / "new", "--yes")
    assert acted.exit_code == 0
    assert f"2 entries imported to {tmp_path / 'new'}.\n" in acted.stdout
    listed = json.loads(run("ls", "--location", tmp_path / "new", "--json").stdout)["entries"]
    assert {entry["function"] for entry in listed} == {"theirs.double"}
    assert run("verify", "--location", tmp_path / "new").exit_code == 0
    again = run("import-joblib", old, "--location", tmp_path / "new", "--yes")
    assert "2 entries are there already.\n0 entries of 0 B to import" in again.stdout
    assert "pickle" not in again.stdout


def test_scripts_get_all_of_it(run, old, tmp_path):
    answers = [
        json.loads(run("import-joblib", old, "--location", tmp_path / "new", "--json", *yes).stdout)
        for yes in ((), ("--yes",))
    ]
    for answer, executed in zip(answers, (False, True), strict=True):
        assert answer["executed"] is executed
        assert len(answer["imports"]) == 2
        assert answer["imported"] == ([each["key"] for each in answer["imports"]] if executed else [])
        (skipped,) = answer["skipped"]
        assert skipped["entry"].startswith(str(old))
        assert answer["failed"] == []


def test_what_cannot_be_loaded_is_an_exit_code(run, old, tmp_path):
    for path in old.rglob("output.pkl"):
        path.write_bytes(b"no pickle")
    acted = run("import-joblib", old, "--location", tmp_path / "new", "--yes")
    assert acted.exit_code == 1
    assert "2 entries could not be imported:\n" in acted.stdout


def test_a_directory_that_is_not_joblibs_is_refused(refused, tmp_path):
    assert "holds no results of joblib" in refused("import-joblib", tmp_path, "--location", tmp_path / "new")
