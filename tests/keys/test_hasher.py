"""Digests of values: equal in every process, sharing and cycles, and the way to what has none."""

import copy
import itertools
import textwrap
import threading

import pytest

from cachestore.errors import KeyingError
from cachestore.keys import digest, encode, walk


def test_types_differ():
    alike = [1, 1.0, True, 1 + 0j, "1", b"1", bytearray(b"1"), memoryview(b"1"), [1], (1,), {1}, {1: 1}]
    alike += [frozenset({1}), None, 0, 0.0, False, "", b"", [], (), {}, set(), range(0), ...]
    assert len(set(map(digest, alike))) == len(alike)


def test_concatenations_differ():
    alike = [["ab", "c"], ["a", "bc"], ["abc"], [["ab"], "c"], ["ab", ["c"]], [["ab", "c"]], ["ab", "c", ""]]
    assert len(set(map(digest, alike))) == len(alike)
    # A text that looks like the encoding of two others.
    assert digest(["a", "bsc"]) != digest(["asb", "c"])
    assert digest([b"a", b"1:bc"]) != digest([b"a1:b", b"c"])


def test_scalars():
    assert digest(0.0) != digest(-0.0)
    assert digest(float("nan")) == digest(-float("nan")) == digest(float("inf") - float("inf"))
    assert digest(10**5000) != digest(10**5000 + 1)
    assert digest("\ud800") != digest("\udc00")


def test_sharing_does_not_count():
    inner = [1, {"a": 2}]
    assert digest([inner, inner]) == digest([inner, copy.deepcopy(inner)])
    shared = []
    for _ in range(60):  # a tree of 2 ** 60 lists, if sharing were not seen
        shared = [shared, shared]
    digest(shared)


def test_cycles():
    def ring():
        ring = [1]
        ring.append({"back": ring})
        return ring

    one = ring()
    assert digest(one) == digest(ring()) == digest(copy.deepcopy(one))
    assert digest([one, one]) == digest([one, ring()])
    longer = [1]
    longer.append({"back": [longer]})
    assert digest(one) != digest(longer)


def test_a_web_of_cycles_is_refused_rather_than_walked_for_ever(monkeypatch):
    # Ways through the web are as many as 30 factorial, under any bound; a lower one is reached sooner.
    monkeypatch.setattr(walk, "_MOST_REPEATS", 2_000)
    web = [[] for _ in range(30)]
    for node in web:
        node.extend(web)
    with pytest.raises(KeyingError, match="circles"):
        digest(web)


def test_nested_too_deeply():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(KeyingError, match="nested too deeply"):
        digest(deep)


class Model:
    def __init__(self, callbacks):
        self.callbacks = callbacks


def test_an_error_names_the_way():
    lock = threading.Lock()
    model = Model([1, 2, {"on": lock}])
    with pytest.raises(KeyingError) as caught:
        digest(model, name="argument 'model'")
    assert str(caught.value).startswith("argument 'model' -> .callbacks[2]['on'] -> <lock>: ")
    assert "ignore" in str(caught.value)
    assert "__cachestore_digest__" in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_an_error_inside_a_closure_names_the_function_and_its_variable():
    generator = (i for i in range(3))
    with pytest.raises(KeyingError, match=r"argument 'f' -> <lambda> -> generator -> <generator>: "):
        digest(lambda: generator, name="argument 'f'")


PROGRAM = """
    import collections, datetime, decimal, enum, fractions, pathlib, re, uuid, functools, dataclasses, types
    from cachestore.keys import KeyedFunction, digest, identify

    class Colour(enum.Enum):
        RED = "r"

    @dataclasses.dataclass
    class Point:
        x: float
        y: float = 0.0
        def norm(self): return f"{self.x:>{WIDTH}}{'a'}" "b"

    WIDTH = 3

    class Plain:
        def __init__(self): self.names = {"a", "b", "c"}

    def helper(x: int, /, *, k=Colour.RED) -> int:
        try:
            match x:
                case [1, *rest] if rest: return Point(*rest).norm()
                case {"a": 1, **others}: return others
                case Point(x=3): return lambda y: [z for z in y]
        except* ValueError: pass

    def top(a, b=2): return helper(a) + b

    Pair = collections.namedtuple("Pair", "x y")
    values = [
        None, True, 12345678901234567890, -1.5, float("nan"), 1j, "é", b"x" * 200, bytearray(b"1"), ...,
        {1: "a", "b": 2, None: 3, (1, 2): 4}, {"x", "y", 3, None, (1, "z")}, frozenset({"p", "q", "r"}),
        collections.OrderedDict(a=1), collections.defaultdict(list, {"a": [1]}), collections.Counter("hello"),
        collections.deque([1], 3), Pair(1, 2), Colour.RED, Point(1.0), Plain(), decimal.Decimal("1.10"),
        fractions.Fraction(1, 3), datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc),
        datetime.timedelta(3), datetime.date(2020, 1, 1), uuid.UUID(int=5), pathlib.PurePosixPath("a/b"),
        re.compile("a+", re.I), slice(1, 2), range(3), int, len, re.match, functools.partial(helper, 1),
        types.SimpleNamespace(a=1), Point, [1, [2, (3,)]], str.upper, datetime.timezone.utc,
        [{"a": i, "b": [str(i), i / 3], "c": (None, {"é": -i})} for i in range(2000)], list(map(str, range(2000))),
        {str(i): i for i in range(2000)}, {*range(2000)}, {*map(str, range(50)), 1, None}, [[[[[[[2**70]]]]]]] * 50,
        [float("nan"), -0.0, 1e308, 2**31, -(2**31) - 1, "\\ud800", b"y" * 5000], [1.5, 2j, "a\\0b"] * 700,
    ]
    for value in values:
        print(digest(value))
    for function in (helper, top):
        print(KeyedFunction(function).key(([1],), {}).key, KeyedFunction(function).key((1.5,), {}).key)
    print(*identify(top).parts)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    file = tmp_path_factory.mktemp("program") / "program.py"
    file.write_text(textwrap.dedent(PROGRAM))
    return file


def test_digests_are_the_same_in_every_process(run, program, tmp_path):
    expected = run([program], PYTHONHASHSEED="0")
    assert len(expected.splitlines()) > 40
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copied = elsewhere / "program.py"
    copied.write_bytes(program.read_bytes())
    for seed in ("1", "2", "random"):
        assert run([copied.name], cwd=elsewhere, PYTHONHASHSEED=seed) == expected


def test_digests_are_the_same_on_every_python(run, program, python):
    executable, packages = python
    expected = run([program])
    assert run([program], python=str(executable), path=[packages]).splitlines() == expected.splitlines()


def test_parts_name_the_code_inside_a_value():
    _, parts = encode({"m": [Model([])]})
    assert list(parts) == [f"class:{__name__}:Model"]
    assert encode([1, {"a": "b"}])[1] == {}


class Nodes(set):
    pass


class Linked:
    """Stands in sets where it is put: in the order of `place`."""

    def __init__(self, name, place):
        self.name, self.near, self.place = name, [], place

    def __hash__(self):
        return self.place

    def __getstate__(self):
        return {"name": self.name, "near": self.near}


def by_node(nodes):
    return {node: node.name for node in sorted(nodes, key=hash)}


@pytest.mark.parametrize("hold", [set, frozenset, Nodes, by_node])
def test_members_of_sets_that_lead_to_each_other_have_no_order(hold):
    def graph(places):
        nodes = [Linked(name, place) for name, place in zip("abc", places, strict=True)]
        for node, after in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
            node.near += [after, nodes[0]]
        return hold(nodes)

    assert len({digest(graph(places)) for places in itertools.permutations(range(3))}) == 1
