"""Laws of digests: equal values are equal everywhere, and nothing else is."""

import copy
import io
import os
import pickle
import random
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cachestore.errors import KeyingError
from cachestore.keys import digest, digest_with_parts

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.complex_numbers(allow_nan=False)
    | st.dates()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.uuids()
)
hashable = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=6,
)
values = st.recursive(
    hashable | leaves.map(lambda leaf: bytearray(repr(leaf).encode())),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
    ),
    max_leaves=20,
)
law = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def reordered(value):
    """Build a value anew from its members, dicts and sets in another order."""
    if type(value) is dict:
        return {reordered(key): reordered(member) for key, member in reversed(list(value.items()))}
    if type(value) in (set, frozenset):
        return type(value)(map(reordered, reversed(list(value))))
    if type(value) in (list, tuple):
        return type(value)(map(reordered, value))
    return copy.deepcopy(value)


@law
@given(values)
def test_copies_are_equal(value):
    expected = digest(value)
    assert digest(copy.deepcopy(value)) == expected
    assert digest(pickle.loads(pickle.dumps(value))) == expected
    assert digest(reordered(value)) == expected


@law
@given(values, st.data())
def test_a_single_change_differs(value, data):
    other = changed(copy.deepcopy(value), data)
    assert digest(other) != digest(value)


def changed(value, data):
    """Change one thing, at some depth."""
    if type(value) in (list, tuple) and value:
        place = data.draw(st.integers(0, len(value) - 1))
        members = list(value)
        members[place] = changed(members[place], data)
        return type(value)(members)
    if type(value) is dict and value:
        key = data.draw(st.sampled_from(list(value)))
        return {**value, key: changed(value[key], data)}
    return [value]


def random_structure(source, depth=0):
    kinds = ["int", "float", "str", "bytes", "bool", "range"] + (
        ["list", "tuple", "dict", "set"] * 2 if depth < 4 else []
    )
    kind = source.choice(kinds)
    if kind == "int":
        return source.randrange(-3, 3)
    if kind == "float":
        return float(source.randrange(-3, 3))
    if kind == "str":
        return "".join(source.choices("ab1:", k=source.randrange(3)))
    if kind == "bytes":
        return bytes(source.choices(b"ab1:", k=source.randrange(3)))
    if kind == "range":
        return range(source.randrange(3))
    if kind == "bool":
        return source.random() < 0.5
    if kind in {"list", "tuple"}:
        members = [random_structure(source, depth + 1) for _ in range(source.randrange(4))]
        return members if kind == "list" else tuple(members)
    if kind == "dict":
        return {
            source.choice(["a", 1, 1.5, b"a"]): random_structure(source, depth + 1)
            for _ in range(source.randrange(3))
        }
    return {source.choice([1, 2.5, "a", b"a"]) for _ in range(source.randrange(3))}


def canonical(value):
    """Spell a structure out, types included: two are the same if and only if they are spelled the same."""
    name = type(value).__name__
    if isinstance(value, dict):
        return (
            name,
            *sorted((canonical(key), canonical(member)) for key, member in value.items()).__iter__(),
        )
    if isinstance(value, set):
        return (name, *sorted(map(repr, map(canonical, value))))
    if isinstance(value, list | tuple):
        return (name, *map(canonical, value))
    return (name, repr(value))


def test_two_thousand_random_structures_do_not_collide():
    source = random.Random(4)
    seen = {}
    while len(seen) < 2000:
        value = random_structure(source)
        assert seen.setdefault(digest(value), repr(canonical(value))) == repr(canonical(value))
    assert len(set(seen.values())) == len(seen)


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


def test_a_web_of_cycles_is_refused_rather_than_walked_for_ever():
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


@pytest.mark.parametrize(
    "make",
    [
        lambda: (i for i in range(3)),
        lambda: map(str, [1]),
        lambda: open(os.devnull),  # noqa: PTH123, SIM115
        lambda: io.FileIO(os.devnull),
        lambda: socket.socket(),
        threading.Lock,
        threading.Thread,
        lambda: sys._getframe(),
    ],
)
def test_what_lives_in_this_process_is_refused(make):
    value = make()
    with pytest.raises(KeyingError):
        digest([value])
    if hasattr(value, "close"):
        value.close()


PROGRAM = """
    import collections, datetime, decimal, enum, fractions, pathlib, re, uuid, functools, dataclasses, types
    from cachestore.keys import bind, call_key, digest, identify

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
        arguments = bind(function, ([1],), {})
        print(call_key(identify(function), {name: digest(value) for name, value in arguments.items()}).key)
    print(*identify(top).parts)
"""


def other_pythons():
    return sorted(Path("~/.pyenv/versions").expanduser().glob("3.1[2-9]*/bin/python"))


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


@pytest.fixture(scope="module", params=other_pythons(), ids=lambda python: python.parts[-3])
def python(request, tmp_path_factory):
    """Give another Python, and where it finds the one package that digests need."""
    packages = tmp_path_factory.mktemp("packages")
    if subprocess.run([request.param, "-c", "import blake3"], check=False, capture_output=True).returncode:
        command = [request.param, "-m", "pip", "install", "--quiet", "--target", packages, "blake3"]
        installed = subprocess.run(command, check=False, capture_output=True, text=True)
        if installed.returncode:
            pytest.skip(f"blake3 cannot be installed for {request.param}: {installed.stderr[-200:]}")
    return request.param, packages


def test_digests_are_the_same_on_every_python(run, program, python):
    executable, packages = python
    expected = run([program])
    assert run([program], python=str(executable), path=[packages]).splitlines() == expected.splitlines()


def test_parts_name_the_code_inside_a_value():
    _, parts = digest_with_parts({"m": [Model([])]})
    assert list(parts) == [f"class:{__name__}:Model"]
    assert digest_with_parts([1, {"a": "b"}])[1] == {}
