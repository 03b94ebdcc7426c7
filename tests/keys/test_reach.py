"""What code reaches: each of these changes another result, so each is another version."""

import pytest

from cachestore.keys import KeyedFunction, identify

H = "def h(x): return x + 1\n"
F = "def f(x): return "
REACHED = {
    "a default of a method": (
        "T = 1\nclass A:\n    def p(self, t=T): return t\n" + F + "A().p()\n",
        "T = 1",
        "T = 2",
    ),
    "a closure of a method": (
        "def make(k):\n    class A:\n        def p(self): return k\n    return A\nA = make(1)\n"
        + F
        + "A().p()\n",
        "make(1)",
        "make(2)",
    ),
    "functions in a list of a class": (
        H + "class A:\n    steps = [h]\n" + F + "A.steps[0](x)\n",
        "x + 1",
        "x + 2",
    ),
    "a class that a class holds": (
        "class B:\n    def g(self, x): return x + 1\nclass A:\n    model = B\n" + F + "A.model().g(x)\n",
        "x + 1",
        "x + 2",
    ),
    "a default factory": (
        "from dataclasses import dataclass, field\ndef names(): return ['a']\n@dataclass\nclass A:\n"
        "    c: list = field(default_factory=names)\n" + F + "A().c\n",
        "['a']",
        "['b']",
    ),
    "a descriptor": (
        "class D:\n    def __get__(self, i, o): return 1\nclass A:\n    d = D()\n" + F + "A().d\n",
        "return 1",
        "return 2",
    ),
    "a table of a class": (
        "T = 1\nclass A:\n    table = {'a': T}\n" + F + "A.table['a']\n",
        "T = 1",
        "T = 2",
    ),
    "a metaclass": (
        "class M(type):\n    def __call__(cls): return 1\nclass A(metaclass=M): pass\n" + F + "A()\n",
        "return 1",
        "return 2",
    ),
    "behind two decorators of a method": (
        "from functools import lru_cache\n"
        + H
        + "class A:\n    @staticmethod\n    @lru_cache\n    def g(x): return h(x)\n"
        + F
        + "A.g(x)\n",
        "x + 1",
        "x + 2",
    ),
}


@pytest.mark.parametrize("name", REACHED)
def test_a_change_of_what_is_reached_is_another_version(load, name):
    source, old, new = REACHED[name]
    assert old in source
    before, after = (identify(load(team=text).f).version for text in (source, source.replace(old, new, 1)))
    assert before != after
    assert identify(load(team=source).f).version == before


def test_what_a_class_holds_and_is_changed_in_place_is_seen(load):
    module = load(team="class A:\n    table = {'a': 1}\n" + F + "A.table['a']\n")
    keyed = KeyedFunction(module.f)
    first = keyed.key((1,), {}).key
    module.A.table["a"] = 2
    assert keyed.key((1,), {}).key != first


def test_a_submodule_is_imported_as_the_function_will(load):
    def version(by):
        package = {"pkg/__init__": "", "pkg/heavy": f"def run(x): return x + {by}\n"}
        return identify(
            load(team="def f(x):\n    from pkg import heavy\n    return heavy.run(x)\n", **package).f
        ).version

    assert version(1) == version(1) != version(2)


def test_a_class_around_a_connection_is_reached_all_the_same(load):
    source = (
        "import sqlite3\ndef make(con):\n    class A:\n        def p(self, x): return con and x + 1\n    return A\n"
        "A = make(sqlite3.connect(':memory:'))\n" + F + "A().p(x)\n"
    )
    assert (
        identify(load(team=source).f).version
        != identify(load(team=source.replace("x + 1", "x + 2")).f).version
    )


def test_the_configuration_of_sklearn_counts_for_estimators_among_the_arguments():
    from sklearn import config_context
    from sklearn.preprocessing import StandardScaler

    def scale(scaler):
        return scaler

    keyed = KeyedFunction(scale)
    plain = keyed.key((StandardScaler(),), {}).key
    with config_context(transform_output="pandas"):
        assert keyed.key((StandardScaler(),), {}).key != plain
