"""Instances: their class, their state, and what they say of themselves."""

import copy
import dataclasses
import functools
import pickle

import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from cachestore.keys import digest, encode


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
    __dask_tokenize__ = Own.__cachestore_digest__


class Reduced:
    def __init__(self, *args):
        self.args = args

    def __reduce__(self):
        return Reduced, self.args


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
    assert list(encode(Own(Fixed(1), 0))[1]) == [f"class:{__name__}:Fixed"]


def test_the_protocol_of_dask():
    class Token:
        def __init__(self, name):
            self.name = name

        def __dask_tokenize__(self):
            return ("token", self.name)

    assert digest(Token("a")) == digest(Token("a")) != digest(Token("b"))


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
