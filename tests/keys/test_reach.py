"""What code reaches: each of these changes another result, so each is another version."""

import re

import pytest

from cachestore.errors import CachestoreWarning
from cachestore.keys import KeyedFunction, digest, identify

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
    "what a partial method is given": (
        "from functools import partialmethod\nK = 1\nclass A:\n    def h(self, k): return k\n"
        "    g = partialmethod(h, K)\n" + F + "A().g()\n",
        "K = 1",
        "K = 2",
    ),
    "one of several methods that dispatch": (
        "from functools import singledispatchmethod\n" + H + "class A:\n    @singledispatchmethod\n"
        "    def g(self, x): return 0\n    @g.register\n    def _(self, x: int): return h(x)\n"
        "    @g.register\n    def _(self, x: str): return 0\n" + F + "A().g(x)\n",
        "x + 1",
        "x + 2",
    ),
    "what a decorator that is an object was given": (
        "import functools\nclass Scaled:\n    def __init__(self, f, by):\n"
        "        self.f = f; self.by = by; functools.update_wrapper(self, f)\n"
        "    def __call__(self, x): return self.by * self.f(x)\n"
        "def raw(x): return x\ng = Scaled(raw, 2)\n" + F + "g(x)\n",
        "raw, 2",
        "raw, 3",
    ),
    "a function attribute": ("def g(): return 0\ng.k = 1\n" + F + "g.k\n", "g.k = 1", "g.k = 2"),
    "the first of two functions of one name": (
        "def step(x): return x + 1\nfirst = step\ndef step(x): return x * 10\n" + F + "first(x)\n",
        "x + 1",
        "x + 2",
    ),
    "an annotation of a class": (
        "class Inner:\n    def v(self): return 1\nclass Outer:\n    inner: Inner\n" + F + "Outer\n",
        "return 1",
        "return 2",
    ),
    "an annotation that is a text": (
        "class Inner:\n    def v(self): return 1\nclass Outer:\n    inner: 'list[Inner]'\n" + F + "Outer\n",
        "return 1",
        "return 2",
    ),
    "a constant that the body of a class computes with": (
        "T = 1\nclass Model:\n    def __init__(self, t): self.t = t\nclass A:\n    model = Model(T)\n"
        + F
        + "A.model.t\n",
        "T = 1",
        "T = 2",
    ),
    "an argument of a foreign decorator": (
        "import functools\nN = 1\n@functools.lru_cache(N)\ndef g(): return 0\n" + F + "g()\n",
        "N = 1",
        "N = 2",
    ),
    "a subclass that its base class knows": (
        "class Base:\n    known = {}\n    def __init_subclass__(cls): Base.known[cls.__name__] = cls\n"
        "class A(Base):\n    def g(self, x): return x + 1\n" + F + "Base.known['A']().g(x)\n",
        "x + 1",
        "x + 2",
    ),
    "a subclass in a list": (
        "class Base:\n    known = []\n    def __init_subclass__(cls): cls.known.append(cls)\n"
        "class A(Base):\n    def g(self, x): return x + 1\n" + F + "Base.known[0]().g(x)\n",
        "x + 1",
        "x + 2",
    ),
    "a class that its metaclass knows": (
        "class Meta(type):\n    known = {}\n    def __init__(cls, name, bases, names): cls.known[name] = (cls, 1)\n"
        "class A(metaclass=Meta):\n    def g(self, x): return x + 1\n" + F + "Meta.known['A'][0]().g(x)\n",
        "x + 1",
        "x + 2",
    ),
    "a function that a class registers": (
        "class Steps:\n    known = {}\n    @classmethod\n    def register(cls, f):\n        cls.known['f'] = f\n"
        "        return f\n@Steps.register\ndef g(x): return x + 1\n" + F + "Steps.known['f'](x)\n",
        "x + 1",
        "x + 2",
    ),
    "what a class was told": (
        "class Options:\n    rate = 1\n    @classmethod\n    def set(cls, rate): cls.rate = rate\nOptions.set(5)\n"
        + F
        + "Options.rate\n",
        "set(5)",
        "set(6)",
    ),
    "what a class was told in a dict": (
        "class Options:\n    known = {}\n    @staticmethod\n    def set(**given): Options.known.update(given)\n"
        "Options.set(rate=5)\n" + F + "Options.known['rate']\n",
        "rate=5",
        "rate=6",
    ),
    "what a class gives its subclasses": (
        "def settings(): return {'k': 1}\nclass Base:\n"
        "    def __init_subclass__(cls): cls.k = settings()['k']\nclass A(Base): pass\nA.k += 1 - 1\n"
        + F
        + "A.k\n",
        "A.k += 1",
        "A.k += 2",
    ),
}
MODULES = {
    "getattr of a module": "import lib\n" + F + "getattr(lib, 'run')(x)\n",
    "a module that the function imports": "def f(x):\n    import lib\n    return getattr(lib, 'run')(x)\n",
    "a module that is handed on": (
        "def run(module, x): return module.run(x)\ndef f(x):\n    import lib\n    return run(lib, x)\n"
    ),
    "a dict of modules": "import lib\nbackends = {'a': lib}\n" + F + "backends['a'].run(x)\n",
    "one of two modules": "import lib, other\n" + F + "(lib if x else other).run(x)\n",
    "the first of two imports": (
        "def f(x):\n    try:\n        import lib as u\n    except ImportError:\n        import other as u\n"
        "    return u.run(x)\n"
    ),
    "one of two imported functions": (
        "def f(x):\n    if x:\n        from lib import run\n    else:\n        from other import run\n"
        "    return run(x)\n"
    ),
    "an import under another name": "def f(x):\n    import pkg.lib as s\n    return s.run(x)\n",
    "a module that makes its names": "import lazy\n" + F + "lazy.run(x)\n",
    "a module with two others in one instruction": (
        "def f(x):\n    import lib, other\n    a, b = lib, other\n    return a.run(x), b.run(x)\n"
    ),
    "a module that is imported by its name": (
        "import importlib\ndef f(x): return importlib.import_module('lib').run(x)\n"
    ),
    "a module that is imported by its name into a variable": (
        "from importlib import import_module\ndef f(x):\n    lib = import_module('pkg.lib')\n    return lib.run(x)\n"
    ),
    "a module that is imported as import does": "def f(x): return __import__('lib').run(x)\n",
    "all names of a module": "from lib import *\n" + F + "run(x)\n",
}
LEFT_OUT = {
    "instances in a dict": (
        "class A:\n    def p(self, x): return x + 1\nMODELS = {'a': A()}\n" + F + "MODELS['a'].p(x)\n",
        "at MODELS['a'] is a <A>, and it has a state of its own",
    ),
    "a function behind an instance in a list": (
        "class A: pass\n" + H + "S = [A(), h]\n" + F + "S[1](x)\n",
        "at S[0] is a <A>",
    ),
    "a bound method": (
        "class A:\n    def p(self, x): return self.q(x)\n    def q(self, x): return x + 1\np = A().p\n"
        + F
        + "p(x)\n",
        "at p.__self__ is a <A>",
    ),
    "what an object registers": (
        "class Registry:\n    def __init__(self): self.known = {}\n    def register(self, f):\n"
        "        self.known['f'] = f\n        return f\nREGISTRY = Registry()\n@REGISTRY.register\n"
        "def g(x): return x + 1\n" + F + "REGISTRY.known['f'](x)\n",
        "team.REGISTRY",
    ),
    "a function in a slot": (
        H + "class Step:\n    __slots__ = ('run',)\n    def __init__(self, run): self.run = run\n"
        "STEP = Step(h)\n" + F + "STEP.run(x)\n",
        "team.STEP",
    ),
    "a function in an instance in a list": (
        H
        + "class Step:\n    def __init__(self, run): self.run = run\nSTEPS = [Step(h)]\n"
        + F
        + "STEPS[0].run(x)\n",
        "at STEPS[0] is a <Step>",
    ),
    "an estimator of the team in a pipeline": (
        "from sklearn.base import BaseEstimator\nfrom sklearn.pipeline import make_pipeline\n"
        "class Step(BaseEstimator):\n    def transform(self, x): return x + 1\n"
        "PIPELINE = make_pipeline(Step())\n" + F + "PIPELINE.transform(x)\n",
        "at PIPELINE.steps[0][1] is a <Step>",
    ),
}


CONNECTED = {
    "a helper with a connection in its closure": (
        "import functools, sqlite3\ndef connected(f):\n    con = sqlite3.connect(':memory:')\n"
        "    @functools.wraps(f)\n    def w(*a): return f(con, *a)\n    return w\n"
        "@connected\ndef g(con, x): return x + 1\n" + F + "g(x)\n"
    ),
    "the helper of a function with a connection": (
        "import sqlite3\n" + H + "def make():\n    con = sqlite3.connect(':memory:')\n"
        "    def w(x): return h(x) if con else 0\n    return w\ng = make()\n" + F + "g(x)\n"
    ),
    "a function that leads back to itself": (
        "import sqlite3\ndef make():\n    con = sqlite3.connect(':memory:')\n"
        "    def w(x): return w(x - 1) if x and con else x + 1\n    return w\ng = make()\n" + F + "g(x)\n"
    ),
    "what an instance beside a connection was given": (
        "import sqlite3\nclass Client:\n    def __init__(self, k): self.con, self.k = sqlite3.connect(''), k\n"
        "def make(client):\n    def w(x): return client.k\n    return w\nx = 1\ng = make(Client(x + 1))\n"
        + F
        + "g(x)\n"
    ),
}


def versions(load, old, new, **sources):
    """Return the versions of a function before and after a change."""
    changed = {name: source.replace(old, new, 1) for name, source in sources.items()}
    assert changed != sources
    before = identify(load(**sources).f).version
    after = identify(load(**changed).f).version
    assert identify(load(**sources).f).version == before
    return before, after


@pytest.mark.parametrize("name", REACHED)
def test_a_change_of_what_is_reached_is_another_version(load, name):
    source, old, new = REACHED[name]
    before, after = versions(load, old, new, team=source)
    assert before != after


@pytest.mark.parametrize("name", MODULES)
def test_what_is_reached_through_a_module_counts(load, name):
    lib = "from below import g\ndef run(x): return g(x)\n"
    lazy = "import importlib\ndef __getattr__(name): return getattr(importlib.import_module('lib'), name)\n"
    sources = {
        "lib": lib,
        "pkg/__init__": "",
        "pkg/lib": lib,
        "lazy": lazy,
        "other": "def run(x): return 0\n",
    }
    before, after = versions(
        load, "x + 1", "x + 2", team=MODULES[name], **sources, below="def g(x): return x + 1\n"
    )
    assert before != after


@pytest.mark.parametrize("name", LEFT_OUT)
def test_code_counts_where_what_is_beside_it_does_not(load, name):
    source, said = LEFT_OUT[name]
    with pytest.warns(CachestoreWarning, match=re.escape(said)):
        before, after = versions(load, "x + 1", "x + 2", team=source)
    assert before != after


def test_the_order_of_functions_in_an_object_counts(load):
    source = (
        "class Steps:\n    def __init__(self, *steps): self.steps = steps\ndef a(x): return 1\ndef b(x): return 2\n"
        "STEPS = Steps(a, b)\n" + F + "STEPS.steps[0](x)\n"
    )
    with pytest.warns(CachestoreWarning, match="STEPS"):
        before, after = versions(load, "Steps(a, b)", "Steps(b, a)", team=source)
    assert before != after


@pytest.mark.parametrize("name", CONNECTED)
def test_all_but_a_connection_counts_of_what_a_helper_carries(load, name):
    before, after = versions(load, "x + 1", "x + 2", team=CONNECTED[name])
    assert before != after


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    made = 0\n    def __init__(self): A.made += 1\n" + F + "A() and x\n",
        "class A:\n    made = []\n    def __init__(self): type(self).made.append(1)\n" + F + "A() and x\n",
        "class A:\n    known = {}\n    def get(self, k): self.known[k] = k; return k\n" + F + "A().get(x)\n",
        "def f(x):\n    f.calls = x\n    return x\nf.calls = 0\n",
        "class A:\n    made = 0\n    def __init__(self): type(self).made += 1\nclass B(A): pass\n"
        + F
        + "B() and x\n",
        "class A:\n    one = None\n    @classmethod\n    def get(cls):\n        if cls.one is None: cls.one = cls()\n"
        "        return cls.one\ndef f(x): return A.get() and x\n",
        "class A:\n    made = 0\n    @classmethod\n    def get(cls): cls.made += 1\ndef f(x): return A.get() or x\n",
        "class A: pass\nclass B:\n    def get(self, x):\n        self.a = [A()]\n        return x\n"
        "OBJECT = B()\ndef f(x): return OBJECT.get(x)\n",
    ],
)
@pytest.mark.filterwarnings("ignore:team.OBJECT")
def test_what_code_changes_itself_is_its_state(load, source):
    module = load(team=source)
    before = identify(module.f).version
    module.f(1)
    assert identify(module.f).version == before
    assert identify(load(team=source).f).version == before


@pytest.mark.parametrize("name", ["__file__", "__name__", "__package__", "__spec__"])
def test_where_a_module_lies_does_not_count(load, name):
    source = f"def f(x): return {name}\n"
    assert identify(load(team=source).f).version == identify(load(team=source).f).version


CHANGES = {
    "a module under a name": ("import a as backend\n" + F + "backend.run(x)\n", "import b; m.backend = b"),
    "a method that is added": (
        "class B:\n    def p(self): return 1\nclass S(B): pass\n" + F + "S().p()\n",
        "m.S.p = lambda self: 2",
    ),
    "a builtin that is shadowed": (F + "len(x)\n", "m.len = lambda x: 99"),
    "a dispatch that is added": (
        "from functools import singledispatch\n@singledispatch\ndef area(x): return 0\n" + F + "area(x)\n",
        "m.area.register(int, lambda x: 5)",
    ),
    "a dispatch that is replaced": (
        "from functools import singledispatch\n@singledispatch\ndef area(x): return 0\n"
        "@area.register\ndef _(x: int): return 1\n" + F + "area(x)\n",
        "m.area.register(int, lambda x: 5)",
    ),
    "a name in a module that is handed on": (
        "import a\n" + F + "getattr(a, 'run')(x)\n",
        "m.a.run = lambda x: 5",
    ),
    "a name that a module gains": ("import a\n" + F + "getattr(a, 'more')(x)\n", "m.a.more = lambda x: 5"),
    "a function attribute": ("def g(): return 0\ng.k = 1\n" + F + "g.k\n", "m.g.k = 2"),
    "a member of a dict of functions": (
        "def h(x): return 1\ndef g(x): return 2\nH = {'a': h}\n" + F + "H['a'](x)\n",
        "m.H['a'] = m.g",
    ),
    "a function that a class registers at last": (
        "class Steps:\n    known = {}\n    @classmethod\n    def register(cls, f):\n"
        "        if f not in cls.known: cls.known[f] = f\n" + F + "len(Steps.known)\n",
        "m.Steps.register(m.f)",
    ),
    "a default by name": ("def g(*, k=1): return k\n" + F + "g()\n", "m.g.__kwdefaults__['k'] = 2"),
    "a field of a frozen instance": (
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass A:\n    k: int\nS = [A(1)]\n"
        + F
        + "S[0].k\n",
        "object.__setattr__(m.S[0], 'k', 2)",
    ),
    "a list in a named tuple": (
        "from typing import NamedTuple\nclass A(NamedTuple):\n    k: list\nS = [A([1])]\n" + F + "S[0].k\n",
        "m.S[0].k.append(2)",
    ),
    "a list in a frozen instance": (
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass A:\n    k: list\nS = [A([1])]\n"
        + F
        + "S[0].k\n",
        "m.S[0].k.append(2)",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_replaced_in_a_living_process_is_seen(load, name):
    source, change = CHANGES[name]
    module = load(team=source, a="def run(x): return 1\n", b="def run(x): return 2\n")
    keyed = KeyedFunction(module.f)
    first = keyed.key(([1],), {}).key
    assert keyed.key(([1],), {}).key == first
    exec(change, {"m": module})
    assert keyed.key(([1],), {}).key != first


def test_a_member_of_a_list_with_a_state_that_is_replaced_is_seen(load):
    module = load(team="class A: pass\n" + H + "def g(x): return 5\nS = [A(), h]\n" + F + "S[1](x)\n")
    keyed = KeyedFunction(module.f)
    with pytest.warns(CachestoreWarning, match="S"):
        first = keyed.key((1,), {}).key
    module.S[1] = module.g
    assert keyed.key((1,), {}).key != first


def test_a_name_that_nobody_reads_is_no_reason_to_look_again(load, monkeypatch):
    module = load(team=F + "len(x)\n")
    keyed = KeyedFunction(module.f)
    identity = keyed.identity()
    module.another = 1
    assert keyed.identity() is identity


def test_two_classes_of_one_name_are_told_apart(load):
    module = load(
        team="class A:\n    def p(self): return 1\nold = A()\nclass A:\n    def p(self): return 2\nnew = A()\n"
    )
    assert digest([module.old, module.new]) != digest([module.new, module.old])


def test_a_class_that_was_defined_once_more_is_the_same(load):
    text = "class A:\n    def p(self): return 1\n"
    module = load(team=text + "old = A()\n" + text + "new = A()\n")
    assert digest(module.old) == digest(module.new)


def test_a_helper_ignores_its_globals_and_not_those_of_who_calls_it(load):
    source = (
        "import cachestore\nmemory = cachestore.Memory('memory://team', verbose=0)\nC = 1\n"
        "@memory.cache(ignore_globals=['C'])\ndef h(x):\n    print(C)\n    return x\n"
    )
    before, after = versions(load, "C = 1", "C = 2", team=source + F + "h(x) + C\n")
    assert before != after
    before, after = versions(load, "C = 1", "C = 2", team=source + F + "h(x)\n")
    assert before == after


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


def test_the_code_of_arguments_is_remembered_and_seen_to_change(load, monkeypatch):
    source = "class A:\n    k = 1\n    def p(self): return self.k\ndef f(a): return a.p()\n"
    module = load(team=source)
    keyed = KeyedFunction(module.f)
    first = keyed.key((module.A(),), {}).key
    with monkeypatch.context() as patched:
        patched.setattr("cachestore.keys.reach.own_version", None)  # nothing looks at the code again
        assert keyed.key((module.A(),), {}).key == first
    module.A.k = 2
    assert keyed.key((module.A(),), {}).key != first


def test_the_code_of_several_arguments_counts_in_any_order(load):
    source = (
        "def make(k):\n    def g(): return k\n    return g\none, two, three = map(make, (1, 2, 3))\n"
        "def f(*functions): return [g() for g in functions]\n"
    )
    module = load(team=source)
    keyed = KeyedFunction(module.f)
    calls = [(module.one, module.two, module.three), (module.three, module.one, module.two)]
    one, two = (keyed.key(call, {}) for call in calls)
    assert one.code_parts == two.code_parts
    assert one.key != two.key


def test_a_change_of_a_helper_in_a_table_is_a_change_of_the_helper_alone(load):
    source = H + "STEPS = {'h': h}\n" + F + "STEPS['h'](x)\n"
    before, after = (identify(load(team=text).f) for text in (source, source.replace("x + 1", "x + 2")))
    assert {name for name in before.parts if before.parts[name] != after.parts[name]} == {"function:team:h"}
    assert before.version != after.version
