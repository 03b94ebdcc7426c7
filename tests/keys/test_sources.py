"""The sources of the parts of a code version."""

import pytest

from cachestore.keys import KeyedFunction, identify, sources_of

TEAM = """
    from functools import lru_cache, wraps

    SECRET = "31415926"

    class Model:
        # how it predicts
        def predict(self, x):
            return clean(x)

    def noisy(function):
        @wraps(function)
        def wrapper(*args):
            return function(*args)
        return wrapper

    @noisy
    def clean(x):
        # keeps   the layout
        return (x,
                SECRET)

    def features(x):
        return clean(x)

    def predicted(model, x):
        return model.predict(x)

    def closure(factor):
        def scale(x):
            return factor * x
        return scale

    by_two = closure(2)
    twice = lambda x: 2 * x
    """


def test_each_function_that_is_reached_as_it_is_written(load):
    team = load(team=TEAM)
    sources = sources_of(identify(team.features).parts)
    assert set(sources) == {
        "function:team:clean", "function:team:features", "function:team:noisy.<locals>.wrapper", "function:team:noisy",
    } - (set() if "function:team:noisy" in sources else {"function:team:noisy"})  # fmt: skip
    assert sources["function:team:clean"] == (
        "@noisy\ndef clean(x):\n    # keeps   the layout\n    return (x,\n            SECRET)\n"
    )
    assert sources["function:team:features"] == "def features(x):\n    return clean(x)\n"


def test_classes_of_arguments(load):
    team = load(team=TEAM)
    call = KeyedFunction(team.predicted).key((team.Model(), 1), {})
    source = sources_of(call.code_parts)["class:team:Model"]
    assert source.startswith("class Model:\n    # how it predicts\n    def predict(self, x):")


def test_what_no_name_leads_to_is_found_from_the_function(load):
    team = load(team=TEAM)
    parts = identify(team.by_two).parts
    (name,) = [part for part in parts if "scale" in part]
    assert name not in sources_of(parts)
    assert sources_of(parts, team.by_two)[name] == "def scale(x):\n    return factor * x\n"


def test_lambdas_are_shown_by_their_trees(load):
    team = load(team=TEAM)
    assert list(sources_of(identify(team.twice).parts, team.twice).values()) == ["lambda x: 2 * x\n"]


def test_constants_have_none(load):
    team = load(team=TEAM)
    parts = identify(team.features).parts
    assert "constant:team:SECRET" in parts
    assert "31415926" not in str(sources_of(parts, team.features))


def test_another_version_than_the_one_that_is_here_has_none(load):
    team = load(team=TEAM)
    parts = KeyedFunction(team.predicted).key((team.Model(), 1), {}).code_parts
    load(team=TEAM.replace("return clean(x)\n\n    def noisy", "return clean(x + 1)\n\n    def noisy"))
    sources = sources_of(parts)
    assert "class:team:Model" not in sources
    assert {"function:team:predicted", "function:team:clean"} <= set(sources)


@pytest.mark.filterwarnings("ignore::cachestore.CachestoreWarning")
def test_a_file_that_was_edited_since_is_not_believed(load):
    from pathlib import Path

    team = load(team=TEAM)
    parts = identify(team.features).parts
    file = Path(team.__file__)
    file.write_text("# a new line on top\n" + file.read_text())
    assert sources_of(parts)["function:team:features"] == "def features(x):\n    return clean(x)\n"
    file.write_text("def features(x): return 'something else'\n")
    assert "something else" not in str(sources_of(parts))


def test_memorised_and_unknown_functions(load, tmp_path):
    from cachestore import Memory

    team = load(team=TEAM)
    parts = dict(identify(team.features).parts)
    team.features = Memory(tmp_path, verbose=0).cache(team.features)
    assert sources_of({**parts, "function:nowhere:f": "1"})["function:team:features"].startswith(
        "def features"
    )
    assert sources_of({}) == {}


def test_another_file_of_the_same_name_is_not_shown(load, tmp_path, monkeypatch):
    team = load(team=TEAM)
    # As of a script that was started by a relative path, in a process that moved since.
    team.features.__code__ = team.features.__code__.replace(co_filename="team.py")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "team.py").write_text("# of somebody else\n" * 100)
    monkeypatch.chdir(elsewhere)
    source = sources_of(identify(team.features).parts, team.features)["function:team:features"]
    assert source == "def features(x):\n    return clean(x)\n"
