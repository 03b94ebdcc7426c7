"""What changes the version of a function, and what does not."""

import functools
import json
import math

import pytest
from sklearn.model_selection._validation import _fit_and_score

from cachestore.errors import CachestoreWarning, KeyingError
from cachestore.keys import FunctionIdentity, identify

TEAM = """
    import functools
    import logging
    import math
    import helpers
    from helpers import clean, Base
    from functools import partial, lru_cache, cached_property
    from contextlib import contextmanager
    from dataclasses import dataclass

    logger = logging.getLogger(__name__)
    SCALE = 3
    TABLE = {"a": [1, 2]}
    half = partial(helpers.power, exponent=0.5)

    @dataclass(frozen=True)
    class Options:
        depth: int = 3

    OPTIONS = Options()

    def logged(function):
        @functools.wraps(function)
        def wrapper(*args):
            logger.info("called")
            return function(*args)
        return wrapper

    @logged
    def decorated(x):
        return x + 1

    @lru_cache
    def remembered(x):
        return x * 7

    @contextmanager
    def opened(x):
        yield x

    class Model(Base):
        rate = SCALE * 2
        def predict(self, x):
            return self.inner(x) + deep(x)
        @property
        def size(self):
            return 1
        @staticmethod
        def inner(x):
            return x

    def deep(x):
        return math.sqrt(x)

    def unrelated(x):
        return x

    def main(x, verbose=True):
        '''Do it.'''
        # at once
        def nested(y):
            return helpers.power(y, SCALE) + half(y)
        with opened(x):
            logger.info("go")
            numbers = TABLE["a"][0] + OPTIONS.depth + remembered(x)
            return nested(clean(x)) + decorated(x) + Model().predict(x) + numbers
"""
HELPERS = """
    LEVEL = 5
    def clean(x):
        return x.strip(LEVEL)
    def power(x, exponent):
        return x ** exponent
    class Root:
        def fit(self):
            return 1
    class Base(Root):
        def base(self):
            return 2
    def unused():
        return 0
"""


@pytest.fixture
def version(load):
    def version(team=TEAM, helpers=HELPERS):
        return identify(load(team=team, helpers=helpers).main)

    return version


def edited(source, old, new):
    assert source.count(old) == 1, old
    return source.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("return x + 1", "return x + 2", "function:team:decorated"),
        ('logger.info("called")', 'logger.info("Called")', "function:team:logged.<locals>.wrapper"),
        ("SCALE = 3", "SCALE = 4", "constant:team:SCALE"),
        ('{"a": [1, 2]}', '{"a": [1, 3]}', "constant:team:TABLE"),
        ("depth: int = 3", "depth: int = 4", "class:team:Options"),
        ("OPTIONS = Options()", "OPTIONS = Options(4)", "constant:team:OPTIONS"),
        ("exponent=0.5", "exponent=0.25", "constant:team:half"),
        ("return x * 7", "return x * 8", "function:team:remembered"),
        ("yield x", "yield -x", "function:team:opened"),
        ("return self.inner(x) + deep(x)", "return self.inner(x) - deep(x)", "class:team:Model"),
        ("return 1", "return 2", "class:team:Model"),
        ("return math.sqrt(x)", "return math.log(x)", "function:team:deep"),
        ("helpers.power(y, SCALE)", "helpers.power(SCALE, y)", "function:team:main"),
        ("def main(x, verbose=True)", "def main(x, verbose=False)", "function:team:main"),
        ("depth: int", "depth: float", "class:team:Options"),
    ],
)
def test_a_change_of_what_is_reached_counts(version, old, new, part):
    before, after = version(), version(edited(TEAM, old, new))
    assert before.version != after.version
    assert part in {name for name in after.parts if before.parts.get(name) != after.parts[name]}


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("LEVEL = 5", "LEVEL = 6", "constant:helpers:LEVEL"),
        ("x.strip(LEVEL)", "x.lstrip(LEVEL)", "function:helpers:clean"),
        ("x ** exponent", "exponent ** x", "function:helpers:power"),
        ("return 1", "return 10", "class:helpers:Root"),
        ("return 2", "return 20", "class:helpers:Base"),
    ],
)
def test_a_change_in_an_imported_module_counts(version, old, new, part):
    before, after = version(), version(helpers=edited(HELPERS, old, new))
    assert before.version != after.version
    assert part in {name for name in after.parts if before.parts.get(name) != after.parts[name]}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("'''Do it.'''", "'''Do it well.'''\n"),
        ("'''Do it.'''", ""),
        ("# at once", ""),
        ("return x + 1", "return (\n            x   +   1  # one\n        )"),
        ("def deep(x):", "\n\n\n    def deep(x: float) -> float:\n        'Deep.'"),
        ("def main(x, verbose=True)", "def main(x: 'int', verbose: bool = True) -> float"),
        ("def nested(y):", "def nested(y: int):"),
        ("return x * 7", "    \n        return x * 7"),
        ("def unrelated(x):\n        return x", "def unrelated(x):\n        return 5"),
        ("SCALE = 3", "SCALE = 2 + 1"),
        ("def opened(x):", "def opened(x: int):"),
    ],
)
def test_a_change_that_does_nothing_does_not_count(version, old, new):
    assert version() == version(edited(TEAM, old, new))


def test_what_is_not_reached_does_not_count(version):
    assert version() == version(helpers=edited(HELPERS, "return 0", "return 1"))
    assert not {"function:team:unrelated", "function:helpers:unused"} & set(version().parts)


def test_two_helpers_that_change_places_are_a_change(load):
    source = """
        def make(n):
            def inner(x):
                return x + n
            return inner
        first, second = make(1), make(2)
        def main(x):
            return first(x) - second(x)
    """
    one = identify(load(team=source).main)
    assert one == identify(load(team=source).main)
    assert one != identify(load(team=edited(source, "make(1), make(2)", "make(2), make(1)")).main)


def test_closures_count_by_value():
    def make(n):
        return lambda x: x + n

    assert identify(make(1)).version != identify(make(100)).version
    assert identify(make(1)) == identify(make(1))
    with pytest.raises(KeyingError, match=r"function .*<lambda> -> <lambda> -> n -> <generator>"):
        identify(make(i for i in range(3)))


def test_partials_count_with_what_they_bind():
    assert identify(functools.partial(json.dumps, indent=1)) != identify(
        functools.partial(json.dumps, indent=2)
    )


def test_recursion_and_mutual_recursion_end(load):
    source = """
        def main(n):
            def again(m):
                return again(m - 1) if m else even(n)
            return again(n)
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
        class Node:
            def next(self): return Node()
    """
    module = load(team=source)
    assert identify(module.main).parts.keys() == {
        "function:team:main",
        "function:team:even",
        "function:team:odd",
    }
    assert identify(module.Node).parts.keys() == {"class:team:Node"}


def test_code_of_packages_counts_by_name_and_minor_version():
    assert identify(_fit_and_score) == FunctionIdentity(
        "sklearn.model_selection._validation._fit_and_score",
        identify(_fit_and_score).version,
        {"package:sklearn": ".".join(__import__("sklearn").__version__.split(".")[:2])},
    )
    assert identify(math.sqrt).parts == identify(json.dumps).parts == identify(len).parts == {}
    assert (identify(math.sqrt).name, identify(len).name) == ("math.sqrt", "builtins.len")


def test_packages_that_first_party_code_names_count(load):
    source = """
        import numpy as np
        def main(x):
            import scipy.sparse
            from sklearn.svm import SVC
            return np.sum(x), scipy.sparse, SVC
    """
    assert set(identify(load(team=source).main).parts) == {
        "function:team:main",
        "package:numpy",
        "package:scipy",
        "package:sklearn",
    }


def test_imports_inside_a_function_are_followed(load):
    source = """
        def main(x):
            from helpers import clean
            import helpers as h
            return clean(h.power(x, 1))
    """
    parts = identify(load(team=source, helpers=HELPERS).main).parts
    assert set(parts) == {
        "function:team:main",
        "function:helpers:clean",
        "function:helpers:power",
        "constant:helpers:LEVEL",
    }


def test_a_module_that_is_handed_on_counts_as_a_whole(load):
    source = """
        import helpers
        def main(name):
            return getattr(helpers, name)()
    """
    one = identify(load(team=source, helpers=HELPERS).main)
    two = identify(load(team=source, helpers=edited(HELPERS, "return 0", "return 1")).main)
    assert "module:helpers" in one.parts
    assert one != two


def test_relative_imports(load):
    source = """
        from . import tools
        def main(x):
            from .tools import trim
            return trim(x) + tools.LEVEL
    """
    tools = "LEVEL = 1\ndef trim(x): return x"
    load(**{"pack/__init__": "", "pack/tools": tools, "pack/team": source})
    import importlib

    assert set(identify(importlib.import_module("pack.team").main).parts) == {
        "function:pack.team:main",
        "function:pack.tools:trim",
        "constant:pack.tools:LEVEL",
    }


def test_code_without_a_source(load):
    def built(source):
        namespace = {"__name__": "team"}
        exec(source, namespace)
        return identify(namespace["main"])

    assert built("def main(x): return x + 1") == built("\n\ndef main(x):\n  return x + 1")
    assert built("def main(x): return x + 1") != built("def main(x): return x + 2")


def test_code_that_was_edited_after_import_counts_as_it_runs(load):
    from pathlib import Path

    module = load(team="def main(x):\n    return x + 1\n")
    file = Path(module.__file__)
    before = file.read_text()
    file.write_text("def main(x):\n    return x + 22\n")
    with pytest.warns(CachestoreWarning, match="team.main runs as it was imported, and .* was changed since"):
        stale = identify(module.main)
    file.write_text("# moved down\n\n" + before)
    moved = load(team="# moved down\n\ndef main(x):\n    return x + 1\n").main
    new = identify(load(team="def main(x):\n    return x + 22\n").main)
    assert stale.version != new.version
    assert identify(moved).version != stale.version  # by its instructions, as its source is gone


def test_unrelated_edits_after_import_do_not_matter(load):
    from pathlib import Path

    module = load(team="def main(x):\n    return x + 1\n")
    Path(module.__file__).write_text("import os\n\n\ndef main(x):\n    return x + 1  # same\n")
    after = identify(module.main)
    assert after == identify(load(team="def main(x):\n    return x + 1\n").main)


def test_a_constant_that_was_replaced_in_this_process_is_seen(load):
    module = load(team=TEAM, helpers=HELPERS)
    before = identify(module.main)
    assert identify(module.main) is before
    module.SCALE = 4
    changed = identify(module.main)
    assert changed != before
    module.SCALE = 3
    assert identify(module.main) == before
    module.TABLE["a"].append(4)
    assert identify(module.main) != before
    module.TABLE["a"].pop()
    module.helpers.power = module.deep
    assert identify(module.main) != before


def test_defaults_count_by_value(load):
    source = """
        ONE, TWO = 1, 2
        def helper(x, y=ONE, *, z=TWO):
            return x
        def main(x):
            return helper(x)
    """
    made = [source, edited(source, "= 1, 2", "= 3, 2"), edited(source, "= 1, 2", "= 1, 4")]
    assert len({identify(load(team=text).main).version for text in made}) == 3


def test_values_in_a_class_count_as_they_are(load):
    source = """
        FACTOR = 2
        class Model:
            rate = FACTOR * 2
        def main(x):
            return Model.rate
    """
    module = load(team=source)
    before = identify(module.main)
    assert identify(load(team=edited(source, "FACTOR = 2", "FACTOR = 3")).main) != before
    module.Model.rate = 5
    assert identify(module.main) != before


def test_a_class_that_was_edited_after_import_counts_as_it_runs(load):
    from pathlib import Path

    source = "class Model:\n    def fit(self):\n        return {}\n"
    module = load(team=source.format(1))
    Path(module.__file__).write_text(source.format(22))
    with pytest.warns(CachestoreWarning, match="team.Model runs as it was imported"):
        stale = identify(module.Model)
    assert stale != identify(load(team=source.format(22)).Model)


def test_a_method_that_was_replaced_in_this_process_is_seen(load):
    module = load(team=TEAM, helpers=HELPERS)
    before = identify(module.main)
    module.Model.predict = module.deep
    assert identify(module.main) != before


def test_the_receiver_of_a_method_is_an_argument(load):
    module = load(team=TEAM, helpers=HELPERS)
    assert identify(module.Model().predict) == identify(module.Model.predict)
    assert identify(module.Model.predict).name == "team.Model.predict"


def test_lambdas_on_one_line_are_told_apart(load):
    module = load(team="pair = (lambda x: x + 1, lambda x: x + 2)\n")
    again = load(team="pair = (lambda x: x + 1, lambda x: x + 3)\n")
    assert identify(module.pair[0]) != identify(module.pair[1])
    assert identify(module.pair[0]).version == identify(again.pair[0]).version


def test_class_decorators_of_functions_are_looked_through(load):
    source = """
        class counted:
            def __init__(self, function):
                self.__wrapped__ = function
                self.calls = 0
            def __call__(self, *args):
                self.calls += 1
                return self.__wrapped__(*args)
        @counted
        def helper(x):
            return x + 1
        def main(x):
            return helper(x)
    """
    module = load(team=source)
    before = identify(module.main)
    module.main(1)
    assert identify(module.main) == before
    assert identify(load(team=edited(source, "x + 1", "x + 2")).main) != before
    assert identify(load(team=edited(source, "calls += 1", "calls += 2")).main) != before


def test_a_memory_is_a_constant_and_a_memorised_function_is_its_function(load):
    source = """
        import joblib
        memory = joblib.Memory(None)
        @memory.cache{options}
        def helper(x):
            return x
        def main(x):
            return helper(x)
    """
    plain = identify(load(team=edited(source, "{options}", "")).main)
    assert plain == identify(load(team=edited(source, "{options}", "(verbose=3)")).main)
    assert "function:team:helper" in plain.parts
    module = load(team=edited(source, "{options}", ""))
    assert identify(module.helper) == identify(module.helper.func)


def test_scripts_are_named_without_their_path(run, tmp_path):
    names = []
    for person in ("ana", "ben"):
        folder = tmp_path / person
        folder.mkdir()
        script = folder / f"{person}.py"
        script.write_text(
            "from cachestore.keys import identify\n"
            "class Model:\n    def fit(self): return 1\n"
            "def main(x): return Model().fit()\n"
            "print(identify(main))\n"
        )
        names.append(run([script.name], cwd=folder))
    assert names[0] == names[1]
    assert "'__main__.main'" in names[0]
    assert str(tmp_path) not in names[0]


def test_a_class_without_a_class_statement_is_not_taken_for_an_edited_one(load):
    source = (
        "import collections\nPair = collections.namedtuple('Pair', {!r})\ndef main(x): return Pair(x, x)\n"
    )
    one, two = (identify(load(team=source.format(fields)).main) for fields in ("x y", "x z"))
    assert one != two
