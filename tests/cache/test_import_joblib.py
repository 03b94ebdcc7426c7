import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cachestore.cache import open_cache
from cachestore.cache.import_joblib import carry_out, plan
from cachestore.cache.joblib_folder import CannotBeKeyed, JoblibEntry, entries_in
from cachestore.errors import SettingsError, StorageError
from cachestore.index import Selection
from cachestore.settings import Settings

REPOSITORY = Path(__file__).parents[2]

MODULE = """
    from {library} import Memory

    memory = Memory("{place}", verbose=0)

    @memory.cache
    def add(a, b=2, *args, c=3.5, **named):
        print("computing")
        return [a, b, args, c, named]

    @memory.cache(ignore=["verbose"])
    def loud(x, verbose=0):
        print("computing")
        return (x,)

    def bare(x, *, verbose=0):
        print("computing")
        return {{x: 1}}

    class Table:
        @staticmethod
        def rows(n):
            print("computing")
            return n * 2

    bare = memory.cache(bare, ignore=["verbose"])
    Table.rows = staticmethod(memory.cache(Table.rows))
"""

CALLS = """
    import work
    nan = float("nan")
    print([
        work.add(1),
        work.add("x", 3, 4, "y", c=-float("inf"), z=[1, {2: (3, None)}, b"b"]),
        work.add(a=nan, b={1, 2})[1],
        work.loud(3, verbose=9),
        work.bare("k", verbose=9),
        work.Table.rows(7),
    ])
"""


def run(folder, code):
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{folder}", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return ran.stdout.splitlines()


def write(folder, library="joblib", place="old", name="work.py"):
    (folder / name).write_text(textwrap.dedent(MODULE.format(library=library, place=place)))


@pytest.fixture
def team(alone, tmp_path, monkeypatch):
    """A directory with a module, and what joblib cached of it."""
    folder = tmp_path / "team"
    folder.mkdir()
    write(folder)
    assert run(folder, CALLS)[:-1] == ["computing"] * 6
    monkeypatch.chdir(folder)
    yield folder
    for name in ("work", "moved"):
        sys.modules.pop(name, None)


@pytest.fixture
def cache(team):
    return open_cache(Settings(location=str(team / "new" / "cachestore"), user="ana"))


def content(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_calls_that_were_imported_are_hits_once_the_import_line_is_changed(team, cache):
    before = content(team / "old")
    write(team, "cachestore", "new")
    decided = plan(cache, team / "old")
    assert (len(decided.imports), decided.present, decided.skipped) == (6, 0, ())
    imported = carry_out(cache, decided)
    assert (len(imported.keys), imported.failed) == (6, ())
    (values,) = run(team, CALLS)  # nothing is computed
    write(team)
    assert values == run(team, CALLS)[-1]
    assert content(team / "old") == before
    again = plan(cache, team / "old")
    assert (again.imports, again.present) == ((), 6)


def test_entries_say_when_they_were_computed_and_how_long_that_took(team, cache):
    for seconds, entry in enumerate(entries_in(team / "old"), 30):
        describe(entry, duration=seconds)
    carry_out(cache, plan(cache, team / "old"))
    for entry in entries_in(team / "old"):
        described = json.loads((entry.folder / "metadata.json").read_text())
        assert any(
            abs(made.created_at.timestamp() - described["time"]) < 0.001
            and made.seconds == described["duration"]
            for made in cache.index.select(Selection())
        )


def test_a_plan_unpickles_nothing_and_makes_nothing(team, cache):
    for entry in entries_in(team / "old"):
        entry.value.write_bytes(b"cos\nsystem\n(S'touch evil'\ntR.")
    assert len(plan(cache, team / "old").imports) == 6
    assert not (team / "evil").exists()
    assert not (team / "new").exists()


def test_what_cannot_be_loaded_is_reported_and_the_rest_is_imported(team, cache):
    entries = entries_in(team / "old")
    entries[0].value.write_bytes(b"no pickle")
    imported = carry_out(cache, plan(cache, team / "old"))
    assert len(imported.keys) == 5
    (failed,) = imported.failed
    assert failed.folder == entries[0].folder
    assert failed.reason.startswith("it cannot be loaded: ")


def reasons(cache, team, modules=()):
    return {skipped.reason for skipped in plan(cache, team / "old", modules).skipped}


def test_a_function_whose_code_has_changed_is_skipped(team, cache):
    source = (team / "work.py").read_text()
    (team / "work.py").write_text(source.replace("return (x,)", "return (x, x)"))
    (skipped,) = plan(cache, team / "old").skipped
    assert (skipped.function, skipped.reason) == ("work.loud", "the code of the function has changed since")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda source: source.replace("def loud", "def louder"), "work has no such function any more"),
        (
            lambda source: source.replace('ignore=["verbose"]', "", 1),
            "the code of the function has changed since",
        ),
        (
            lambda source: "import nothing_like_this\n" + source,
            "its module cannot be imported: No module named",
        ),
        (lambda source: "1 / 0\n" + source, "its module cannot be imported: ZeroDivisionError"),
        (lambda source: source[:-2] + "(", "its module cannot be imported: SyntaxError"),
    ],
)
def test_a_function_that_is_not_there_is_skipped(team, cache, change, reason):
    (team / "work.py").write_text(change((team / "work.py").read_text()))
    found = reasons(cache, team)
    assert found
    assert all(each.startswith(reason) for each in found)


def test_an_argument_that_was_ignored_and_is_no_more_has_no_value(team, cache):
    source = (team / "work.py").read_text()
    (team / "work.py").write_text(
        source.replace('memory.cache(bare, ignore=["verbose"])', "memory.cache(bare)")
    )
    assert reasons(cache, team) == {"the function has arguments that were ignored, or did not exist"}


@pytest.mark.parametrize("named", ["moved", "moved.py"])
def test_functions_that_have_moved_are_found_in_modules_that_are_named(team, cache, named):
    write(team, name="moved.py")
    (team / "work.py").unlink()
    assert reasons(cache, team) == {
        "there is no module work: name the one that it is in now with --module",
        "there is no module work.Table: name the one that it is in now with --module",
    }
    names = {each.call.function for each in plan(cache, team / "old", [named]).imports}
    assert names == {"moved.add", "moved.loud", "moved.bare"}
    with pytest.raises(SettingsError, match="The module nowhere cannot be imported"):
        plan(cache, team / "old", ["nowhere"])


def test_functions_of_a_script_are_found_in_a_module_that_is_named(team, cache):
    shutil.rmtree(team / "old")
    (team / "script.py").write_text((team / "work.py").read_text() + "\nloud(1)\n")
    run(team, "import runpy; runpy.run_path('script.py', run_name='__main__')")
    (reason,) = reasons(cache, team)
    assert reason.startswith("it was defined in a script or notebook")
    (found,) = plan(cache, team / "old", ["work"]).imports
    assert found.call.function == "work.loud"


def describe(entry, **changed):
    path = entry.folder / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("array([1, 2])", "its argument 'x' cannot be read back from its text: array([1, 2])"),
        ("<Table at 0x7f>", "its argument 'x' cannot be read back from its text: <Table at 0x7f>"),
        ("[" * 50, f"its argument 'x' cannot be read back from its text: {'[' * 37}..."),
        ("3.0", "the texts of its arguments read back to other values"),
        ("4", "the texts of its arguments read back to other values"),
    ],
)
def test_an_argument_that_does_not_read_back_is_never_guessed(team, cache, text, reason):
    (entry,) = (entry for entry in entries_in(team / "old") if entry.function[-1] == "loud")
    describe(entry, input_args={"x": text})
    assert reasons(cache, team) == {reason}


def test_a_text_that_looks_like_a_plain_number_and_was_none_is_refused(team, cache):
    # numpy before 2 shows its numbers so.
    run(team, "import work, numpy\nclass Odd(float): __repr__ = float.__repr__\nwork.loud(Odd(1.5))")
    assert reasons(cache, team) == {"the texts of its arguments read back to other values"}


def test_what_joblib_did_not_write_down_is_missing(team, cache):
    one, two, *_ = entries_in(team / "old")
    (one.folder / "metadata.json").unlink()
    (two.folder / "metadata.json").write_text("[]")
    assert reasons(cache, team) == {"what is known of the call was not written down"}
    for path in (team / "old").rglob("func_code.py"):
        path.unlink()
    assert reasons(cache, team) == {"the code of the function was not written down"}


def test_local_functions_are_not_guessed(team, cache):
    run(
        team, "import work\ndef outer():\n    def f(x): return x\n    return f\nwork.memory.cache(outer())(1)"
    )
    assert any("defined in another one" in reason for reason in reasons(cache, team))


def test_the_inner_directory_may_be_named_too(team):
    assert entries_in(team / "old") == entries_in(team / "old" / "joblib")
    assert {entry.function for entry in entries_in(team / "old")} >= {
        ("work", "add"),
        ("work", "Table", "rows"),
    }


def test_a_directory_without_results_is_refused(team, cache):
    for place in (team / "nowhere", team / "new"):
        with pytest.raises(StorageError, match=r"(nowhere|new)"):
            plan(cache, place)


def test_a_cache_that_takes_no_pickles_takes_none_of_joblibs(team):
    cache = open_cache(Settings(location=str(team / "new"), load_policy="data"))
    with pytest.raises(SettingsError, match="load_policy is 'data'"):
        plan(cache, team / "old")


def test_the_path_of_modules_is_left_as_it_was(team, cache):
    before = list(sys.path)
    plan(cache, team / "old", ["work.py"])
    assert sys.path == before


def test_a_reason_is_said_where_an_entry_is_gone(tmp_path):
    with pytest.raises(CannotBeKeyed, match="not written down"):
        JoblibEntry(tmp_path / "gone", ("work", "f")).described()
