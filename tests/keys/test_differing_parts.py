"""A worker with another checkout sees that its code is another."""

import json

import pytest

from cachestore.keys import differing_parts
from cachestore.keys.code_origin import package_version

HERE = """
LEVEL = 1
def helper(x): return x + LEVEL
def other(x): return x
class Base:
    def fit(self): return 1
class Model(Base): pass
def wrap(f):
    import functools
    @functools.wraps(f)
    def wrapper(x): return f(x)
    return wrapper
@wrap
def main(x): return helper(x) + Model().fit()
"""
PARTS = (
    "import json, team; from cachestore.keys import identify; print(json.dumps(identify(team.main).parts))"
)
DIFFERING = """
    import json
    from cachestore.keys import differing_parts
    print(json.dumps(differing_parts(json.loads({!r}))))
"""


@pytest.mark.parametrize(
    ("old", "new", "differing"),
    [
        ("", "", []),
        ("return x\n", "return -x\n", []),
        ("def helper(x): return x + LEVEL", "# a comment\ndef helper(x: int): return x + LEVEL", []),
        ("x + LEVEL", "x - LEVEL", ["function:team:helper"]),
        ("LEVEL = 1", "LEVEL = 2", ["constant:team:LEVEL"]),
        ("return 1", "return 2", ["class:team:Base"]),
        ("def helper(x)", "def helper_(x)", ["function:team:helper"]),
        ("return f(x)", "return +f(x)", ["function:team:wrap.<locals>.wrapper"]),
    ],
)
def test_two_checkouts(run, tmp_path, old, new, differing):
    assert old in HERE
    client, worker = tmp_path / "client", tmp_path / "worker"
    for folder, source in ((client, HERE), (worker, HERE.replace(old, new, 1) if old else HERE)):
        folder.mkdir()
        (folder / "team.py").write_text(source)
    parts = run(PARTS, path=[client])
    assert set(differing) <= set(json.loads(run(DIFFERING.format(parts), path=[worker])))
    assert bool(differing) == bool(json.loads(run(DIFFERING.format(parts), path=[worker])))


def test_what_came_by_value_is_not_looked_at():
    assert (
        differing_parts({"function:__main__:f": "0", "class:__main__:C": "0", "function:m:f.<locals>.g": "0"})
        == {}
    )
    assert differing_parts({"function:module_that_is_not_here:f": "0"}) == {}


def test_packages_are_compared():
    assert differing_parts({"package:sklearn": "0.1"}) == {"package:sklearn": package_version("sklearn")}
