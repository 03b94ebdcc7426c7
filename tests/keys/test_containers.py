"""Built-in containers, their subclasses, and what joblib takes for one another."""

import collections

import pytest

from cachestore.keys import digest

Point = collections.namedtuple("Point", "x y")
Other = collections.namedtuple("Other", "x y")


class Names(dict):
    pass


class Numbers(list):
    pass


class Text(str):
    __slots__ = ()


class Chosen(set):
    pass


class Frozen(frozenset):
    pass


class Number(int):
    pass


def test_subclasses_count():
    kinds = [
        dict,
        Names,
        collections.OrderedDict,
        collections.Counter,
        collections.ChainMap,
        collections.UserDict,
    ]
    dicts = [kind({1: 2}) for kind in kinds]
    dicts += [collections.defaultdict(int, {1: 2}), collections.defaultdict(str, {1: 2})]
    assert len(set(map(digest, dicts))) == len(dicts)
    kinds = [list, Numbers, tuple, set, Chosen, frozenset, Frozen, collections.deque]
    others = [*(kind([1, 2]) for kind in kinds), Point(1, 2), Other(1, 2), collections.deque([1, 2], 2)]
    others += [1, Number(1), "a", Text("a")]
    assert len(set(map(digest, others))) == len(others)


@pytest.mark.parametrize("cls", [Names, collections.OrderedDict, dict, collections.Counter])
def test_contents_of_dicts_with_mixed_keys_count(cls):
    keys = ["a", 1, None, (1, "b"), 2.5]
    one = cls(zip(keys, range(5), strict=True))
    assert digest(one) == digest(cls(zip(keys, range(5), strict=True)))
    other = cls(one)
    other[None] = 7
    assert digest(other) != digest(one)


def test_order():
    forward, backward = [("a", 1), ("b", 2)], [("b", 2), ("a", 1)]
    assert digest(dict(forward)) == digest(dict(backward))
    assert digest(Names(forward)) == digest(Names(backward))
    assert digest(collections.defaultdict(list, forward)) == digest(collections.defaultdict(list, backward))
    assert digest(collections.OrderedDict(forward)) != digest(collections.OrderedDict(backward))


@pytest.mark.parametrize("cls", [Names, Numbers, Chosen, Frozen, Number])
def test_attributes_of_subclasses_count(cls):
    one, other = cls(), cls()
    other.note = "more"
    assert digest(one) == digest(cls())
    assert digest(one) != digest(other)


def test_sets_of_texts_are_equal_however_they_were_filled():
    words = [f"w{i}" for i in range(50)]
    grown = set()
    for word in reversed(words):
        grown.add(word)
    assert digest(grown) == digest(set(words))
    assert digest(Frozen(words)) == digest(Frozen(reversed(words)))
