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


KEPT = {
    "a dict": "_known = {}\ndef g(x):\n    if x not in _known: _known[x] = h(x)\n    return _known[x]\n",
    "a dict that is tried": (
        "_known: dict = dict()\ndef g(x):\n    try: return _known[x]\n    except KeyError:\n"
        "        found = _known[x] = h(x)\n        return found\n"
    ),
    "a dict of lists": (
        "from collections import defaultdict\n_known = defaultdict(list)\n"
        "def g(x):\n    _known[x].append(h(x))\n    return _known[x][0]\n"
    ),
    "the last results": (
        "import collections\n_last = collections.deque(maxlen=3)\n"
        "def g(x):\n    _last.append(x)\n    return h(x) + 0 * len(_last)\n"
    ),
    "what is made once": (
        "_table = None\ndef g(x):\n    global _table\n    if _table is None: _table = {1: h(1)}\n    return _table[1]\n"
    ),
    "what a decorator keeps": (
        "import functools\ndef remember(f):\n    known = {}\n    @functools.wraps(f)\n    def w(x):\n"
        "        if x not in known: known[x] = f(x)\n        return known[x]\n    return w\n"
        "@remember\ndef g(x): return h(x)\n"
    ),
    "one of two decorators that keep results": (
        "import functools\ndef remember(f):\n    known = {}\n    @functools.wraps(f)\n    def w(x):\n"
        "        return known.setdefault(x, f(x))\n    return w\n"
        "def other(f):\n    known = {1: 1}\n    return lambda x: known[x]\n@remember\ndef g(x): return h(x)\n"
    ),
    "what another function clears": (
        "_known = {}\ndef g(x):\n    return _known.setdefault(x, h(x))\ndef forget(): _known.clear()\n"
    ),
}
H = "def h(x): return x + 1\n"
F = "def f(x): return g(x)\n"


@pytest.mark.parametrize("name", KEPT)
def test_results_that_a_function_keeps_do_not_count(load, name):
    source = H + KEPT[name] + F
    module = load(team=source)
    before = identify(module.f).version
    assert module.f(1) == 2
    assert identify(module.f).version == before
    changed = load(team=source.replace("x + 1", "x + 2"))
    assert identify(changed.f).version != before


READ = {
    "a dict that does not begin empty": "_known = {1: 5}\ndef g(x): return _known.setdefault(x, 0)\n",
    "a dict that the module fills": "_known = {}\n_known[1] = 5\ndef g(x): return _known.setdefault(x, 0)\n",
    "a dict that another function fills": (
        "_known = {}\ndef g(x): return _known.setdefault(x, 0)\ndef put(x): _known[1] = x\nput(5)\n"
    ),
    "a dict that another module may fill": (
        "known = {}\ndef g(x): return known.setdefault(x, 0)\nvars()['known'][1] = 5\n"
    ),
    "a dict with defaults": (
        "from collections import defaultdict\n_known = defaultdict(lambda: 5)\n"
        "def g(x): return _known.pop(x) or _known[x]\n"
    ),
    "what another function sets": (
        "_table = None\ndef g(x):\n    global _table\n    if _table is None: _table = 0\n    return _table\n"
        "def use(x):\n    global _table\n    _table = x\nuse(5)\n"
    ),
    "a dict that is handed to who fills it": (
        "_known = {}\ndef g(x): return _known.setdefault(x, 0)\ndef put(known): known[1] = 5\nput(_known)\n"
    ),
    "a dict in a closure that is handed to who fills it": (
        "def put(known): known[1] = 5\ndef make():\n    known = {}\n    put(known)\n"
        "    def w(x): return known.setdefault(x, 0)\n    return w\ng = make()\n"
    ),
    "what a decorator is given": (
        "def having(known):\n    def d(f):\n        def w(x): return known.setdefault(x, 0)\n        return w\n"
        "    return d\n@having({1: 5})\ndef g(x): return 0\n"
    ),
    "functions in a dict": (
        "_known = {}\ndef g(x, f=None):\n    if f: _known[x] = f\n    return _known[x]()\ng(1, lambda: 5)\n"
    ),
}


@pytest.mark.parametrize("name", READ)
def test_what_a_function_did_not_write_itself_counts(load, name):
    source = READ[name] + F
    before = identify(load(team=source).f).version
    assert identify(load(team=source.replace("5", "6")).f).version != before
