"""What an author says of the version of a function, and of single arguments."""

import functools

import pytest

from cachestore.errors import CachestoreWarning, KeyingError
from cachestore.keys import Declared, KeyedFunction, Rules, differing_parts

HELPED = "def helper(x): return x\ndef main(x): return helper(x) + 1\n"
OURS = Rules(project="ours")


def version_of(function, *, rules=OURS, **declared):
    return KeyedFunction(function, rules=rules, declared=Declared.of(**declared)).identity().version


def test_a_version_stands_for_all_the_code(load):
    one = load(team=HELPED).main
    two = load(team=HELPED.replace("return x\n", "return -x\n").replace("+ 1", "+ 2")).main
    assert version_of(one) != version_of(two)
    assert version_of(one, version="1") == version_of(two, version="1")
    assert version_of(one, version="1") != version_of(one, version="2")
    assert version_of(one, version="1") != version_of(load(other=HELPED).main, version="1")


def test_a_version_is_one_of_a_project(load, tmp_path):
    main = load(team=HELPED).main
    versions = {version_of(main, version="1", rules=Rules(project=name)) for name in ("Our_Utils", "theirs")}
    for name in ("our.utils", "ours"):
        (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
        versions.add(version_of(load(team=HELPED).main, version="1", rules=Rules()))
    assert len(versions) == 3  # names are alike as package indexes see them


def test_a_version_without_a_project_is_refused(load, monkeypatch):
    monkeypatch.setattr("cachestore.keys.declared._named_above", lambda file: None)
    with pytest.raises(KeyingError, match=r'team.main has an explicit version.*Write project = "..." into'):
        version_of(load(team=HELPED).main, version="1", rules=Rules())


def test_a_version_in_a_script_counts_beside_the_source(run, tmp_path):
    script = tmp_path / "script.py"
    versions = {}
    for by in (1, 2):
        for version in ("1", "2"):
            script.write_text(
                "from cachestore.keys import Declared, KeyedFunction\n"
                f"def main(x): return x + {by}\n"
                f"print(KeyedFunction(main, declared=Declared.of(version={version!r})).identity().version)\n"
            )
            versions[run([script])] = by, version
    assert len(versions) == 4


def test_what_a_function_carries_counts_beside_its_version(load):
    make = load(team="def make(by):\n    def inner(x):\n        return x + by\n    return inner\n").make
    assert len({version_of(make(by), version="1") for by in (1, 100)}) == 2
    assert len({version_of(functools.partial(make, by), version="1") for by in (1, 100)}) == 2


def test_dependencies_count(load, tmp_path):
    def version(helper="return x", sql="select 1", table=3):
        module = load(team="TABLE = {'a': 0}\ndef helper(x): " + helper + "\ndef main(x): return x\n")
        module.TABLE["a"] = table
        (tmp_path / module.__file__.rpartition("/")[0] / "schema.sql").write_text(sql)
        return version_of(module.main, depends_on=[module.helper, "./schema.sql", module.TABLE])

    assert version() == version()
    changed = [version(helper="return -x"), version(sql="select 2"), version(table=4)]
    assert len({version(), *changed}) == 4


def test_a_dependency_that_changes_in_a_living_process_is_seen(load, tmp_path):
    module = load(team="TABLE = [1]\ndef helper(x): return x\ndef main(x): return x\n")
    file = tmp_path / "schema.sql"
    file.write_text("select 1")
    keyed = KeyedFunction(
        module.main, declared=Declared.of(depends_on=[module.helper, str(file), module.TABLE])
    )
    first = keyed.identity()
    assert keyed.identity() is first
    assert {"depends_on:0", "depends_on:2", "file:schema.sql", "function:team:helper"} < first.parts.keys()
    file.write_text("select 22")
    second = keyed.identity()
    module.TABLE.append(2)
    assert len({first.version, second.version, keyed.identity().version}) == 3


def test_a_missing_file_is_named(load):
    with pytest.raises(KeyingError, match=r"depends_on names the file .*nowhere.sql.*: No such file"):
        version_of(load(team=HELPED).main, depends_on=["nowhere.sql"])


@pytest.mark.parametrize("name", ["CLIENT", "team.CLIENT"])
def test_ignored_globals_do_not_count_and_are_not_mentioned(load, name):
    def version(client):
        module = load(team=f"CLIENT = {client}\ndef inner(x): return CLIENT\ndef main(x): return inner(x)\n")
        return version_of(module.main, ignore_globals=[name])

    assert version(1) == version(2) == version("object()")


def test_what_is_left_out_is_mentioned_once(load):
    module = load(team="class Client: pass\nCLIENT = Client()\ndef main(x): return CLIENT\n")
    with pytest.warns(
        CachestoreWarning, match=r"team.CLIENT, a team.Client, is read.*depends_on=\[CLIENT\].*'CLIENT'"
    ):
        version_of(module.main)
    version_of(module.main)  # a second warning would be an error


def test_a_declared_dependency_is_not_mentioned(load):
    module = load(team="class Client: pass\nCLIENT = Client()\ndef main(x): return CLIENT\n")
    one = version_of(module.main, depends_on=[module.CLIENT])
    module.CLIENT.place = "elsewhere"
    assert version_of(module.main, depends_on=[module.CLIENT]) != one


@pytest.mark.parametrize(
    "value",
    [
        "logging.getLogger('x')",
        "threading.Lock()",
        "contextvars.ContextVar('x')",
        "threading.local()",
        "sys.stderr",
    ],
)
def test_tools_of_the_process_are_left_out_in_silence(load, value):
    module = load(
        team=f"import contextvars, logging, sys, threading\nTOOL = {value}\ndef main(x): return TOOL\n"
    )
    assert version_of(module.main)


def test_a_key_replaces_the_digest_of_an_argument():
    def main(frame, n):
        return n

    def key(frame, by="snapshot"):
        declared = Declared.of(key={"frame": lambda frame: frame[by]})
        return KeyedFunction(main, declared=declared).key((frame, 1), {}).key

    one = {"snapshot": 1, "data": object()}
    assert key(one) == key({"snapshot": 1, "data": object(), "date": 1})
    assert key(one) != key({"snapshot": 2})
    assert key(one) != key({"date": 1}, by="date")


def test_a_key_that_fails_says_so():
    declared = Declared.of(key={"x": lambda x: x.attrs})
    with pytest.raises(
        KeyingError, match=r"key\['x'\] of .*test_a_key_that_fails.* failed on its argument: AttributeError"
    ):
        KeyedFunction(lambda x: x, declared=declared).key((1,), {})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"version": 2}, "version is 2. Give a text: version='2'"),
        (
            {"depends_on": "schema.sql"},
            r"depends_on is 'schema.sql'. Give a list: depends_on=\['schema.sql'\]",
        ),
        ({"ignore_globals": "CLIENT"}, "ignore_globals is 'CLIENT'. Give a list"),
        ({"ignore_globals": [3]}, "ignore_globals holds 3"),
        ({"key": {"x": 3}}, r"key\['x'\] is 3. Give a function"),
    ],
)
def test_what_has_no_meaning_is_refused_at_once(wrong, said):
    with pytest.raises(TypeError, match=said):
        Declared.of(**wrong)


def test_a_key_for_no_parameter_is_refused_at_once():
    with pytest.raises(ValueError, match=r"key names 'y', which is no parameter of .*lambda.*It has: x"):
        KeyedFunction(lambda x: x, declared=Declared.of(key={"y": id}))


def test_a_worker_does_not_look_for_what_was_declared(load, tmp_path):
    module = load(team=HELPED)
    (tmp_path / "schema.sql").write_text("select 1")
    declared = Declared.of(version="1", depends_on=[tmp_path / "schema.sql", 3], key={"x": len})
    parts = KeyedFunction(module.main, rules=OURS, declared=declared).identity().parts
    assert parts.keys() == {"version", "file:schema.sql", "depends_on:1", "key:x"}
    assert differing_parts(parts) == {}


def test_a_ufunc_is_told_by_its_name(load):
    def version(name):
        return version_of(load(team=f"from numpy import {name} as g\ndef main(x): return g(x)\n").main)

    assert version("sqrt") == version("sqrt") != version("cbrt")


@pytest.mark.parametrize(
    ("declared", "change", "counts"),
    [
        ("", "+ 2", True),
        ("version='1'", "+ 2", False),
        ("version='2'", "+ 1", True),
        ("depends_on=[TABLE]", "+ 1", True),
        ("ignore_globals=['CLIENT']", "+ CLIENT", True),
    ],
)
def test_what_is_declared_of_a_memorised_helper_counts_for_whoever_calls_it(load, declared, change, counts):
    source = (
        "import cachestore\nmemory = cachestore.Memory('memory://helpers', verbose=0)\nTABLE, CLIENT = [1], object()\n"
        "@memory.cache({})\ndef helper(x): return x {}\ndef main(x): return helper(x)\n"
    )
    base = "" if declared == "" else "version='1'"
    one = version_of(load(team=source.format(base, "+ 1")).main)
    assert (version_of(load(team=source.format(declared, change)).main) != one) == counts


def test_a_helper_ignores_its_own_globals_only(load):
    helper = "@memory.cache(ignore_globals=['LIMIT'])\ndef helper(x): return x + LIMIT\n"
    source = (
        "import cachestore, other\nmemory = cachestore.Memory('memory://helpers', verbose=0)\nLIMIT = {}\n"
    )

    def version(here, there):
        other = f"LIMIT = {there}\ndef cut(x): return x + LIMIT\n"
        team = source.format(here) + helper + "def main(x): return helper(other.cut(x))\n"
        return version_of(load(team=team, other=other).main)

    assert version(1, 1) == version(2, 1) != version(1, 2)


def test_memorising_a_helper_changes_no_version(load):
    source = "import cachestore\nmemory = cachestore.Memory('memory://helpers', verbose=0)\n{}def helper(x): return x\n"
    main = "def main(x): return helper(x)\n"
    plain, memorised = (load(team=source.format(by) + main).main for by in ("", "@memory.cache\n"))
    assert version_of(plain) == version_of(memorised)


def test_two_files_of_one_name_count_both(load, tmp_path):
    main = load(team=HELPED).main

    def version(one, other):
        for folder, text in (("one", one), ("other", other)):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / "schema.sql").write_text(text)
        return version_of(main, depends_on=[tmp_path / "one/schema.sql", tmp_path / "other/schema.sql"])

    assert len({version("1", "2"), version("1", "3"), version("3", "2")}) == 3


def test_a_version_is_none_of_a_function_without_a_name_of_its_own(load):
    module = load(team="f = lambda x: x + 1\ng = lambda x: x - 1\n")
    assert version_of(module.f, version="1") != version_of(module.g, version="1")
