"""Instances: their class, their state, and what they say of themselves."""

import collections
import copy
import copyreg
import dataclasses
import functools
import pickle
import weakref

import attrs
import pydantic
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils import Bunch

from cachestore.errors import KeyingError
from cachestore.keys import digest, encode, walk


@dataclasses.dataclass
class Point:
    x: int
    y: list = dataclasses.field(default_factory=list)

    @functools.cached_property
    def norm(self):
        return self.x


@dataclasses.dataclass(frozen=True, slots=True)
class Fixed:
    x: int


class Slotted:
    __slots__ = ("a", "b")


class Own:
    def __init__(self, shown, hidden):
        self.shown, self.hidden = shown, hidden

    def __cachestore_digest__(self):
        return self.shown


class Tokenised(Own):
    __cachestore_digest__ = None

    def __dask_tokenize__(self):
        return self.hidden


class Reduced:
    def __init__(self, *args):
        self.args = args

    def __reduce__(self):
        return Reduced, self.args


class Plain:
    pass


class Rebuilt:
    def __init__(self, arguments, state):
        self.reduced = (print, arguments, state)

    def __reduce__(self):
        return self.reduced


def test_names_of_attributes_count():
    one, other, more = Plain(), Plain(), Plain()
    one.a, other.b, more.a, more.b = 1, 1, 1, None
    assert len(set(map(digest, [one, other, more]))) == 3
    for count in (33, 200):
        many = [Plain(), Plain(), Plain()]
        for instance, letters, places in zip(many, "aab", (1, -1, 1), strict=True):
            vars(instance).update({f"{letters}{place}": place for place in range(count)[::places]})
        assert digest(many[0]) == digest(many[1]) != digest(many[2])


def test_arguments_and_state_do_not_run_together():
    cases = [((1,), None), ((1, 2), None), ((1,), 2), ((1,), {"a": 2}), ((1, "attributes"), None), ((), (1,))]
    assert len({digest(Rebuilt(arguments, state)) for arguments, state in cases}) == len(cases)


def test_state_counts():
    assert digest(Point(1, [2])) == digest(Point(1, [2])) == digest(copy.deepcopy(Point(1, [2])))
    assert len(set(map(digest, [Point(1), Point(2), Point(1, [2]), Fixed(1), Fixed(2)]))) == 5
    one, other = Slotted(), Slotted()
    other.a = 1
    assert digest(one) != digest(other)
    assert digest(Reduced(1)) == digest(Reduced(1)) != digest(Reduced(2))


def test_what_is_derived_and_kept_does_not_count():
    used = Point(1)
    assert used.norm == 1
    assert digest(used) == digest(Point(1))


def test_objects_may_say_what_counts():
    assert digest(Own(1, 2)) == digest(Own(1, 3)) != digest(Own(2, 2))
    assert digest(Own) != digest(Own(1, 2))
    assert digest(Own(1, 2)) != digest(1)
    assert list(encode(Own(Fixed(1), 0))[1]) == [f"class:{__name__}:{name}" for name in ("Fixed", "Own")]


def test_what_other_packages_register_for_pickling_does_not_count(run):
    program = """
        from cachestore.keys import digest
        before = digest(ValueError("a"))
        import tblib.pickling_support
        tblib.pickling_support.install()
        assert digest(ValueError("a")) == before
    """
    run(program)


def test_the_protocol_of_dask():
    class Token:
        def __init__(self, name):
            self.name = name

        def __dask_tokenize__(self):
            return ("token", self.name)

    assert digest(Token("a")) == digest(Token("a")) != digest(Token("b"))
    # None takes the method of the base class back.
    assert digest(Tokenised(1, 2)) == digest(Tokenised(3, 2)) != digest(Tokenised(1, 3))


@attrs.define
class Spot:
    x: int
    y: int = attrs.field(default=0, eq=False)


@attrs.frozen(slots=False, cache_hash=True)
class Hashed:
    x: int


@attrs.frozen(cache_hash=True)
class SlottedHashed:
    x: int


class Order(pydantic.BaseModel, extra="allow"):
    count: int = 1
    tags: set[str] = set()
    _seen: int = pydantic.PrivateAttr(default=0)

    @functools.cached_property
    def double(self):
        return 2 * self.count


@pydantic.dataclasses.dataclass
class Line:
    count: int


Pair = collections.namedtuple("Pair", "x y")


class Kept:
    """Keeps out of its state what it can compute."""

    def __init__(self, a, cache):
        self.a, self.cache = a, cache

    def __getstate__(self):
        return {"a": self.a}

    def __setstate__(self, state):
        self.__init__(**state, cache=None)


class Packed(Kept):
    def __getstate__(self):
        return (self.a, "packed")

    def __setstate__(self, state):
        self.__init__(state[0], None)


class Node:
    __slots__ = ("__weakref__", "child", "parent")

    def __init__(self, child=None):
        self.child = child
        self.parent = None


def test_slots():
    tree, other = Node(Node()), Node(Node())
    tree.child.parent, other.child.parent = tree, other
    assert digest(tree) == digest(other) == digest(pickle.loads(pickle.dumps(tree)))
    other.child.parent = other.child
    assert digest(tree) != digest(other)


@pytest.mark.parametrize("cls", [Kept, Packed])
def test_the_state_that_a_class_chooses_is_its_state(cls):
    assert digest(cls(1, "x")) == digest(cls(1, "y")) == digest(copy.deepcopy(cls(1, "x")))
    assert digest(cls(1, "x")) != digest(cls(2, "x"))


def test_weak_references_are_refused_unless_the_state_leaves_them_out():
    class Child:
        def __init__(self, parent):
            self.parent = weakref.ref(parent)

    class Leaving(Child):
        def __getstate__(self):
            return {}

    parent = Node()
    with pytest.raises(KeyingError, match=r"argument 'c' -> \.parent -> <ReferenceType>: it may be empty"):
        digest(Child(parent), name="argument 'c'")
    assert digest(Leaving(parent)) == digest(Leaving(Node()))


@pytest.mark.parametrize("cls", [Spot, Hashed, SlottedHashed, Line])
def test_attrs_and_fields(cls):
    one, other = cls(1), cls(1)
    assert (
        digest(one) == digest(other) == digest(copy.deepcopy(one)) == digest(pickle.loads(pickle.dumps(one)))
    )
    assert digest(one) != digest(cls(2))
    assert len(set(map(digest, [Spot(1), Hashed(1), SlottedHashed(1), Line(1), {"x": 1}, Pair(1, 0)]))) == 6


@pytest.mark.parametrize("cls", [Hashed, SlottedHashed])
def test_a_hash_that_attrs_keeps_does_not_count(cls):
    used = cls(1)
    hash(used)
    assert digest(used) == digest(cls(1))


def test_what_attrs_does_not_compare_counts():
    assert Spot(1, 2) == Spot(1, 3)
    assert digest(Spot(1, 2)) != digest(Spot(1, 3))


def test_models():
    assert Order() == Order(count=1)
    assert digest(Order()) == digest(Order(count=1)) == digest(pickle.loads(pickle.dumps(Order())))
    assert digest(Order(tags={"a", "b"})) == digest(Order(tags=["b", "a"]))
    assert digest(Order(a=1, b=2)) == digest(Order(b=2, a=1))
    used = Order()
    assert used.double == 2
    assert used == Order()
    assert digest(used) == digest(Order())
    private = Order()
    private._seen = 1
    assert private != Order()

    class Other(Order):
        pass

    models = [Order(), Order(count=2), Order(more=1), Order(_more=1), private, Other(), {"count": 1}]
    assert len(set(map(digest, models))) == len(models)


def test_estimators():
    pipeline = make_pipeline(StandardScaler(), SVC(C=1))
    assert digest(pipeline) == digest(clone(pipeline)) == digest(pickle.loads(pickle.dumps(pipeline)))
    assert digest(pipeline) != digest(clone(pipeline).set_params(svc__C=2))
    assert set(encode(pipeline)[1]) == {"package:sklearn"}


def test_fitted_estimators():
    x, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]

    def fitted(seed):
        return RandomForestClassifier(5, random_state=seed).fit(x, y)

    assert digest(fitted(0)) == digest(fitted(0)) != digest(fitted(1))
    assert digest(RandomForestClassifier(5, random_state=0)) != digest(fitted(0))


def test_the_exact_version_of_scikit_learn_does_not_count(monkeypatch):
    before = digest(SVC())
    monkeypatch.setattr("sklearn.base.__version__", "1.9.99")
    assert digest(SVC()) == before


def test_estimators_are_the_same_in_two_processes(run):
    program = """
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC
        from cachestore.keys import digest
        print(digest(make_pipeline(StandardScaler(), SVC(C=1)).fit([[0.0], [1.0]], [0, 1])))
    """
    assert run(program, PYTHONHASHSEED="1") == run(program, PYTHONHASHSEED="2")


@pytest.mark.parametrize("old", ["return self.rate * x", "rate = 1", "def base(self): return 1"])
def test_the_class_of_an_instance_counts_at_any_depth(load, old):
    source = """
        class Base:
            def base(self): return 1
        class Model(Base):
            rate = 1
            def predict(self, x): return self.rate * x
    """
    assert old in source
    one = digest({"a": [load(team=source).Model()]})
    assert (
        digest({"a": [load(team=source.replace("def predict", "\n\n            def predict")).Model()]})
        == one
    )
    assert (
        digest({"a": [load(team=source.replace(old, old.replace("1", "2").replace("*", "+"))).Model()]})
        != one
    )


def test_a_class_that_cannot_be_looked_at(unhashable):
    assert digest(unhashable) != digest(type(unhashable))
    for value in (unhashable(), [unhashable()]):
        with pytest.raises(
            KeyingError, match=r"argument 'x' -> <\S+>: it cannot be looked at \(TypeError: unhashable"
        ):
            digest(value, name="argument 'x'")


class Step(functools.partial):
    def __call__(self, *args):
        return -super().__call__(*args)


class Leap(functools.partial):
    pass


def test_subclasses_of_partial_count():
    partials = [functools.partial(pow, 2), Step(pow, 2), Leap(pow, 2), Leap(pow, 3)]
    noted = Leap(pow, 2)
    noted.note = 1
    assert len(set(map(digest, [*partials, noted]))) == 5
    assert digest(Step(pow, 2)) == digest(partials[1]) == digest(copy.deepcopy(partials[1]))
    assert f"class:{__name__}:Step" in encode(Step(pow, 2))[1]


def test_a_default_that_was_written_out_is_the_default():
    """Two such models are equal, though pydantic can tell which fields were set."""
    assert Order() == Order(count=1)
    assert digest(Order()) == digest(Order(count=1)) != digest(Order(count=2))


class Named:
    def __init__(self, name):
        self.name = name

    def __reduce__(self):
        return self.name


NAMED = Named("NAMED")


def test_what_says_to_be_a_global_is_that_global():
    assert digest(NAMED) == digest(NAMED)
    for other in (Named("NAMED"), Named("nowhere")):
        with pytest.raises(KeyingError, match=r"it says to be \S+, which it is not"):
            digest(other)


def test_copies_of_what_scikit_learn_puts_into_a_bunch():
    bunch = Bunch(data=[1], names=["a"])
    assert digest(bunch) == digest(copy.deepcopy(bunch)) == digest(pickle.loads(pickle.dumps(bunch)))
    assert digest(bunch) != digest(Bunch(data=[2], names=["a"]))


class Linked:
    def __init__(self, number, other=None):
        self.number = number
        self.other = other


@dataclasses.dataclass
class Maker:
    number: int

    def make(self):
        return Chosen(self.number)


class Chosen:
    """Is rebuilt by a method of another object each."""

    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        return Maker(self.number).make, (), {"always": None}


class Given:
    """Is rebuilt from what it was given, and has a state too."""

    def __init__(self, number, numbers):
        self.number = number
        self.numbers = numbers

    def __reduce__(self):
        return Given, (self.number, self.numbers), {"always": None}


FORMS = {
    "attributes": lambda i: Point(i, [str(i)]),
    "others of the class": lambda i: Linked(i, Linked(str(i), Linked(None))),
    "arguments": lambda i: Reduced(i),
    "arguments and attributes": lambda i: Given(0, [i]),
    "a method": Chosen,
    "slots": lambda i: Fixed(i),
    "some with more": lambda i: Point(i) if i % 3 else with_more(Point(i)),
    "itself": lambda i: leading_to(Linked(i)),
    "in a circle": lambda i: circle(i),
}


def with_more(point):
    point.more = 1
    return point


def leading_to(one):
    one.other = one
    return one


def circle(number):
    one = Linked(number)
    one.other = Linked(-number, one)
    return one


# Sizes around those at which instances are laid out by attributes.
@pytest.mark.parametrize("size", [32, 33, 1025])
@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS)
def test_many_instances_count_each(make, size):
    made = [make(i) for i in range(size)]
    expected = digest(made)
    assert digest([make(i) for i in range(size)]) == digest(copy.deepcopy(made)) == expected
    assert digest(tuple(made)) != expected
    assert digest([*made, make(0)]) != expected != digest(made[:-1])
    for place in (0, 1, size - 1):
        other = [*made]
        other[place] = make(size)
        assert digest(other) != expected
        other[place] = [made[place]]
        assert digest(other) != expected
    assert digest([made[1], made[0], *made[2:]]) != expected


@pytest.mark.parametrize("name", [name for name in FORMS if "circle" not in name])
def test_sharing_among_many_instances_does_not_count(name):
    make = FORMS[name]
    one = make(1)
    shared = [one] * 50
    copies = [make(1) for _ in range(50)]
    assert digest(shared) == digest(copies) == digest([one, *copies[1:]])
    # Whether one was met before, by itself or among others, does not count either.
    assert digest([one, shared]) == digest([one, copies]) == digest([make(1), shared])
    assert digest([shared, one]) == digest([copies, make(1)]) == digest([copies, copies[0]])
    assert digest([Linked(one, shared), shared]) == digest([Linked(make(1), copies), copies])


def test_many_instances_that_lead_to_each_other():
    def ring(size):
        ring = [Linked(i) for i in range(size)]
        for one, other in zip(ring, ring[1:] + ring[:1], strict=True):
            one.other = other
        return ring

    assert digest(ring(40)) == digest(copy.deepcopy(ring(40))) != digest(ring(41))
    other = ring(40)
    other[7].other = other[7]
    assert digest(other) != digest(ring(40))

    def family(size):
        parent = Linked("parent", [])
        parent.other += [Linked(i, parent) for i in range(size)]
        return parent

    assert digest(family(40)) == digest(copy.deepcopy(family(40))) != digest(family(41))
    assert digest(family(40).other) == digest(family(40).other) != digest(family(41).other)
    stranger = family(40)
    stranger.other[3].other = Linked("parent", [])
    assert digest(stranger) != digest(family(40))


def test_graphs_of_many_instances_are_walked_once():
    def layers(depth):
        layer = [Linked(i) for i in range(40)]
        for _ in range(depth):
            layer = [Linked(layer, Linked(layer, layer)) for _ in range(40)]
        return layer

    assert digest(layers(30)) == digest(layers(30))
    one = Linked(0)
    for _ in range(60):
        one = Linked(one, one)
    digest([one] * 40)


def test_what_many_instances_derived_and_kept_does_not_count():
    points = [Point(i) for i in range(40)]
    expected = digest(points)
    for point in points[::2]:
        assert point.norm == point.x
    assert digest(points) == expected
    for point in points:
        assert point.norm == point.x
    assert digest(points) == expected


def test_the_order_of_attributes_of_many_instances_does_not_count():
    points, turned = [Point(i, [i]) for i in range(40)], [Point(i, [i]) for i in range(40)]
    for point in turned[::3]:
        x = vars(point).pop("x")
        point.x = x
    assert digest(points) == digest(turned)
    vars(turned[5])["x"], vars(turned[5])["y"] = turned[5].y, turned[5].x
    assert digest(points) != digest(turned)


def test_names_of_attributes_of_many_instances_count():
    class Word(str):
        __slots__ = ()

    points, others, words = ([Linked(i) for i in range(40)] for _ in range(3))
    for other, word in zip(others, words, strict=True):
        vars(other)["others"] = vars(other).pop("other")
        vars(word)[Word("other")] = vars(word).pop("other")
    assert len({digest(points), digest(others), digest(words)}) == 3
    assert digest([*words[:39], points[0]]) != digest([words[0], *points[1:]])


class Unready:
    def __init__(self, number):
        self.number = number

    def __getstate__(self):
        return {"number": 1 // self.number}


def test_the_way_to_what_is_refused_among_many_instances():
    points = [Point(i) for i in range(1100)]
    points[1050].y = [open]
    points[1060].y = [iter([1])]
    with pytest.raises(KeyingError, match=r"^value -> \[1060\]\.y\[0\] -> "):
        digest(points)
    linked = [Linked(i, Linked(i)) for i in range(40)]
    linked[7].other.number = weakref.ref(linked[0])
    with pytest.raises(KeyingError, match=r"^value -> \[7\]\.other\.number -> "):
        digest(linked)
    linked[7].other.number = 7
    linked[9].other.other = Unready(0)
    with pytest.raises(
        KeyingError, match=r"^value -> \[9\]\.other\.other -> <Unready>: it cannot be taken apart"
    ):
        digest(linked)
    with pytest.raises(KeyingError, match=r"^value -> \[2\] -> <Unready>: it cannot be taken apart"):
        digest([*[Unready(1)] * 2, *[Unready(0)] * 40])


def test_the_class_of_many_instances_counts_with_its_code():
    class Other(Linked):
        pass

    linked, others = [Linked(i) for i in range(40)], [Other(i) for i in range(40)]
    assert digest(linked) != digest(others)
    assert encode(linked)[0] != encode(others)[0]
    parts = encode(others)[1]
    assert encode([others[0]])[1] == parts != encode(linked)[1] == encode([linked[0]])[1]
    assert any(name.endswith("Other") for name in parts)


class Computing:
    @functools.cached_property
    def size(self):
        return 1


def test_what_was_computed_does_not_count_in_objects_that_hold_nothing_else():
    many, others = ([Computing() for _ in range(40)] for _ in range(2))
    assert all(each.size for each in others)
    assert digest(many) == digest(others)


class Assigned(Computing):
    def __init__(self, size):
        self.size = size


class Attribute(Computing):
    size = 0


class Read(Computing):
    """Gives pickle what it computes."""

    def __init__(self, given):
        self.given = given

    @functools.cached_property
    def size(self):
        return self.given

    def __getstate__(self):
        return {"size": self.size}


def test_cached_properties_that_are_more_than_that_count():
    for make in (Assigned, Read):
        assert digest(make(1)) == digest(make(1)) != digest(make(2))
        assert digest([make(1)] * 40) != digest([make(1)] * 39 + [make(2)])
    one, other = Attribute(), Attribute()
    one.size, other.size = 1, 2
    assert digest(one) != digest(other)


class Two:
    def __init__(self, one, other):
        self.one, self.other = one, other

    def __getstate__(self):
        return self.one, self.other

    def __setstate__(self, state):
        self.one, self.other = state


def test_a_state_of_two_dicts_is_two_dicts():
    states = [
        ({"a": 1}, {"b": 2}),
        ({"b": 2}, {"a": 1}),
        ({"a": 1, "b": 2}, {}),
        ({"b": 1}, {"b": 2}),
        ({}, {"b": 2}),
    ]
    assert len({digest(Two(*state)) for state in states}) == len(states)


class Made:
    def __init__(self, cls):
        self.cls = cls

    def __reduce__(self):
        return copyreg.__newobj__, (self.cls,), {"a": 1}


def test_another_class_that_pickle_is_to_make_counts():
    assert digest(Made(Two)) != digest(Made(Assigned))
    assert digest([Made(Two)] * 40) != digest([Made(Two)] * 39 + [Made(Assigned)])


def test_a_web_of_many_objects_is_refused_in_time(monkeypatch):
    monkeypatch.setattr(walk, "_MOST_REPEATS", 2_000)
    looked_at = 0

    class Seen:
        def __reduce_ex__(self, protocol):
            nonlocal looked_at
            looked_at += 1
            return object.__reduce_ex__(self, protocol)

    web = [Seen() for _ in range(60)]
    for each in web:
        each.others = list(web)
    with pytest.raises(KeyingError, match="a web of objects"):
        digest(web)
    assert looked_at < 10_000
