"""What a function fills is no constant that it reads."""

from collections import Counter

import pytest

from cachestore.keys import identify
from cachestore.keys.filled import is_filled

CALLS = []
SEEN = {}
COUNT = 0
SCALE = [2.0]


def appends(n):
    CALLS.append(n)
    return n


def remembers(n):
    SEEN[n] = n
    return n


def counts(n):
    global COUNT
    COUNT += 1
    return n


def reads(n):
    return n * SCALE[0]


def through_a_helper(n):
    return appends(n)


@pytest.mark.parametrize("function", [appends, remembers, counts, through_a_helper], ids=lambda f: f.__name__)
def test_filling_does_not_change_the_version(function):
    before = identify(function).version
    function(1)
    function(2)
    assert identify(function).version == before


def test_what_is_only_read_counts(monkeypatch):
    before = identify(reads).version
    monkeypatch.setitem(globals(), "SCALE", [3.0])
    assert identify(reads).version != before
    SCALE.append(1)
    changed = identify(reads).version
    SCALE.append(2)
    assert identify(reads).version != changed


def test_closures_may_fill_what_is_around_them():
    calls, tally, number = [], Counter(), 0

    def work(n):
        nonlocal number
        calls.append(n)
        tally[n] += 1
        number += 1
        return n

    before = identify(work).version
    work(1)
    assert identify(work).version == before


def test_closures_over_other_constants_differ():
    def scaled(factor, log):
        def scale(n):
            log.append(n)
            return n * factor[0]

        return scale

    assert identify(scaled([1], [])).version == identify(scaled([1], ["before"])).version
    assert identify(scaled([1], [])).version != identify(scaled([100], [])).version


def test_objects_that_are_no_containers_are_constants():
    class Scale:
        def update(self, n):
            return n

    def using(scale):
        def work(n):
            return scale.update(n)

        return work

    one, other = Scale(), Scale()
    other.factor = 3
    assert identify(using(one)).version != identify(using(other)).version


OPTIONS = {"scale": 2}
WEIGHT = 2


def test_what_is_written_and_read_counts(monkeypatch):
    def with_default(n):
        OPTIONS.setdefault("offset", 0)
        return n * OPTIONS["scale"] + OPTIONS["offset"]

    def declared(n):
        global WEIGHT
        return n * WEIGHT

    def popping(n):
        return n + CALLS.pop()

    before = [identify(function).version for function in (with_default, declared, popping)]
    monkeypatch.setitem(OPTIONS, "scale", 7)
    monkeypatch.setitem(globals(), "WEIGHT", 3)
    monkeypatch.setitem(globals(), "CALLS", [1, 2, 3])
    after = [identify(function).version for function in (with_default, declared, popping)]
    assert not set(before) & set(after)


def test_closures_that_read_what_they_write_differ():
    def weighted(weights):
        def work(n):
            weights.setdefault("b", 0)
            return weights["a"] * n

        return work

    def counted(k):
        def work(n):
            nonlocal k
            k += 0
            return k * n

        return work

    assert identify(weighted({"a": 1})).version != identify(weighted({"a": 5})).version
    assert identify(counted(1)).version != identify(counted(5)).version


def test_equal_code_without_a_source_hides_none(load):
    source = "calls = []\ndef work(n):\n    calls.append(n)\n"
    names = {"__name__": "elsewhere"}
    exec(compile(source, "<gone>", "exec"), names)
    assert not is_filled(names["work"], "calls", names["calls"])
    team = load(team=source)
    assert team.work.__code__ == names["work"].__code__
    assert is_filled(team.work, "calls", team.calls)
