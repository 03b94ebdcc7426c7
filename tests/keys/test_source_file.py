"""Finding the source of what runs: lambdas wherever they stand, and the right one of several definitions."""

import ast
import json
import textwrap
import types
import warnings
from pathlib import Path

import pytest

from cachestore.errors import CachestoreWarning
from cachestore.keys import identify
from cachestore.keys.own_version import class_definition_of, definition_of
from cachestore.keys.source_file import find_source, functions_of

LAMBDAS = """
    import functools
    import types

    def default(x, k=lambda v: v + 1, *, m=lambda v: v + 2):
        return k(x) + m(x)

    class Marked:
        def __init__(self, function):
            self.function = function
        def __call__(self, other):
            other.mark = self.function
            return other

    @Marked(lambda v: v + 3)
    def decorated(x):
        return x

    listed = [lambda: i + 4 for i in range(1)]
    sets = {lambda: i + 5 for i in range(1)}
    dicts = {i: lambda: i + 6 for i in range(1)}
    generated = list(lambda: i + 7 for i in range(1))
    nested = [[lambda: i + j + 8 for i in range(1)] for j in range(1)]

    class Holder:
        key = lambda self: 9
        keys = [lambda: 10 for i in range(1)]
        def method(self, inner=lambda v: v + 11):
            return [lambda: self for i in range(1)]

    argument = functools.partial(lambda v: v + 12)
    sorter = dict(key=lambda v: v + 13)
    maker = lambda: lambda: lambda v: v + 14
    pair, both = (lambda v: v + 15, lambda v: v + 16), [lambda: 17, lambda: lambda: 18, lambda: 19]
    tall = (
        lambda
        v: v
        + 20
    )
    texted = f"{(kept := (lambda v: v + 21), (lambda v: v + 22))}"
    constant = lambda: (1 if True else (lambda: 2))

    def local():
        listed = [lambda v: v + i for i in range(1)]
        generated = list(lambda v: v - i for i in range(1))
        return listed[0], generated[0], (lambda v: v * 2), (lambda v: v * 3)

    def walrus(values):
        return [(last := value, lambda: last) for value in values]

    @types.coroutine
    def marked_again():
        yield

    def out():
        global Out
        class Out:
            def method(self): return 23
    out()
"""

DESCRIBE = """
    import types
    from cachestore.keys import identify
    from cachestore.keys.own_version import definition_of, own_version, part_name

    def functions(values):
        for value in values:
            if isinstance(value, types.FunctionType):
                yield value
                yield from functions([*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()])
                yield from functions(vars(value).values())
                if value.__code__.co_argcount == 0 and value.__name__ in {"<lambda>", "local"}:
                    made = value()
                    yield from functions(made if isinstance(made, tuple) else [made])
            elif isinstance(value, type) and value.__module__ == "team":
                yield from functions(vars(value).values())
            elif isinstance(value, (list, tuple, set)):
                yield from functions(value)
            elif isinstance(value, dict):
                yield from functions(value.values())
            elif hasattr(value, "func"):
                yield from functions([value.func])

    def describe(team):
        found = functions(value for name, value in vars(team).items() if not name.startswith("__"))
        return sorted(
            (part_name(f), definition_of(f) is not None and own_version(f).hex(), identify(f).name) for f in found
        )
"""


@pytest.fixture
def describe():
    names = {}
    exec(textwrap.dedent(DESCRIBE), names)
    return names["describe"]


def test_every_lambda_is_found(load, describe):
    with warnings.catch_warnings():
        warnings.simplefilter("error", CachestoreWarning)
        described = describe(load(team=LAMBDAS))
    assert [name for name, version, _ in described if not version] == []
    # Those in nested lambdas and comprehensions among them, and none was taken for another.
    lambdas = [version for name, version, _ in described if "<lambda>" in name]
    assert len(lambdas) == len(set(lambdas)) == 29


def test_lambdas_are_the_same_on_every_python(load, run, python, tmp_path, describe):
    expected = describe(load(team=LAMBDAS))
    program = textwrap.dedent(DESCRIBE) + "import json, team; print(json.dumps(describe(team)))"
    executable, packages = python
    (folder,) = tmp_path.glob("checkout*")
    printed = run(program, python=str(executable), path=[packages, folder])
    assert [tuple(line) for line in json.loads(printed)] == expected


def test_the_lambda_is_the_one_that_runs(load):
    team = load(team=LAMBDAS)
    shown = {
        name: ast.unparse(definition_of(function))
        for name, function in {
            "default": team.default.__defaults__[0],
            "decorator": team.decorated.mark,
            "second of two": team.pair[1],
            "inner": team.both[1](),
            "outer": team.both[1],
            "third": team.both[2],
            "innermost": team.maker()(),
            "folded": team.constant,
        }.items()
    }
    assert shown == {
        "default": "lambda v: v + 1",
        "decorator": "lambda v: v + 3",
        "second of two": "lambda v: v + 16",
        "inner": "lambda: 18",
        "outer": "lambda: lambda: 18",
        "third": "lambda: 19",
        "innermost": "lambda v: v + 14",
        "folded": "lambda: 1 if True else lambda: 2",
    }


CONDITIONAL = """
    import sys
    if len(sys.argv) < 0:
        def work(x, by=1):
            return x * by
        class Model:
            def fit(self, by=1): return by
        class Plain:
            rate = 1
            depth: int
    else:
        def work(x, by=2):
            return x * by
        class Model:
            def fit(self, by=2): return by
        class Plain:
            rate = 2
            depth: int
"""


def test_of_two_definitions_the_one_that_runs_is_found(load):
    team = load(team=CONDITIONAL)
    assert ast.unparse(definition_of(team.work)).startswith("def work(x, by=2)")
    assert "by=2" in ast.unparse(class_definition_of(team.Model)[0])
    assert "rate = 2" in ast.unparse(class_definition_of(team.Plain)[0])
    turned = load(team=CONDITIONAL.replace("< 0", ">= 0"))
    assert ast.unparse(definition_of(turned.work)).startswith("def work(x, by=1)")
    assert "by=1" in ast.unparse(class_definition_of(turned.Model)[0])
    assert "rate = 1" in ast.unparse(class_definition_of(turned.Plain)[0])


@pytest.mark.filterwarnings("error::cachestore.CachestoreWarning")
def test_what_cannot_be_told_apart_since_it_moved_is_not_believed(load):
    team = load(team=CONDITIONAL)
    file = Path(team.__file__)
    file.write_text("# moved\n" + file.read_text())
    assert definition_of(team.work) is None


def test_without_columns_lambdas_on_one_line_are_not_mixed_up(run, tmp_path):
    (tmp_path / "team.py").write_text("pair = (lambda x: x + 1, lambda x: x + 2)\nlone = lambda x: x\n")
    printed = run(
        "import team\nfrom cachestore.keys.own_version import definition_of\n"
        "print(*[definition_of(f) is not None for f in (*team.pair, team.lone)])",
        path=[tmp_path],
        PYTHONNODEBUGRANGES="1",
        PYTHONWARNINGS="error",
    )
    assert printed == "False False True"


DOUBTFUL = "def main(x):\n    return x == '\\d' and x is 'a'\n"


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_warnings_of_the_compiler_decide_nothing(load):
    main = load(team=DOUBTFUL).main
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert definition_of(main) is not None
    assert said == []
    main = load(team="# as errors\n" + DOUBTFUL).main
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert definition_of(main) is not None


def test_cells_of_a_notebook_await_and_go_on_with_the_future(monkeypatch):
    import __future__

    import linecache

    source = "def main(x: int): return x + 1\nvalue = await later()\n"
    monkeypatch.setitem(linecache.cache, "<cell>", (len(source), None, source.splitlines(True), "<cell>"))
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | __future__.annotations.compiler_flag
    code = next(
        constant
        for constant in compile(source, "<cell>", "exec", flags).co_consts
        if isinstance(constant, types.CodeType)
    )
    assert ast.unparse(find_source("<cell>", "__main__", code).function(code)).startswith("def main")
    assert find_source("<cell>", "__main__").function(code) is None


GETTERS = """
    class Model:
        @property
        def size(self):
            return {}
        @size.setter
        def size(self, value):
            self.kept = value
    """


def test_a_getter_behind_a_setter_was_edited(load):
    team = load(team=GETTERS.format(1))
    file = Path(team.__file__)
    file.write_text(file.read_text().replace("return 1", "return 22"))
    with pytest.warns(CachestoreWarning, match=r"team\.Model runs as it was imported"):
        stale = identify(team.Model)
    assert stale != identify(load(team=GETTERS.format(22)).Model)


def test_equal_methods_of_one_name_are_no_contradiction(load):
    source = "class Model:\n    a, b = (lambda self: 1), (lambda self: 2)\n    c = [lambda self: 3][0]\n"
    with warnings.catch_warnings():
        warnings.simplefilter("error", CachestoreWarning)
        assert class_definition_of(load(team=source).Model)[0] is not None


def test_what_a_class_holds_is_not_run(load):
    source = """
        import functools
        def helper(self): return 1
        class Proxy:
            def __getattr__(self, name):
                raise ModuleNotFoundError(name)
        class Thing:
            def func(self): return 2
        class Other:
            def bound(self): return 3
        class Model:
            lazy = Proxy()
            thing = Thing()
            nested = Thing
            bound = Other().bound
            @functools.lru_cache
            def remembered(self): return 4
            @functools.cached_property
            def kept(self): return 5
            @functools.singledispatchmethod
            def dispatched(self): return 6
    """
    model = load(team=source).Model
    assert [function.__name__ for function in functions_of(model)] == [
        "bound", "remembered", "kept", "dispatched"
    ]  # fmt: skip
    assert class_definition_of(model)[0] is not None
