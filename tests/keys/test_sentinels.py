"""Bare objects: by the name under which a module has them."""

import pytest

from cachestore.errors import KeyingError
from cachestore.keys import KeyedFunction, digest

MISSING = object()
OTHER: object = object()


def fill(x, default=MISSING):
    return default is MISSING


def test_sentinels_are_told_apart():
    assert digest(MISSING) == digest(MISSING) != digest(OTHER)
    assert KeyedFunction(fill).key((1,), {}).key == KeyedFunction(fill).key((1, MISSING), {}).key
    assert KeyedFunction(fill).key((1,), {}).key != KeyedFunction(fill).key((1, OTHER), {}).key


def test_who_else_imports_them_does_not_count(load):
    load(**{"a_user": "from team import NOTHING, EMPTY", "team": "NOTHING = object()\nEMPTY = object()\n"})
    import team

    both = digest(team.NOTHING), digest(team.EMPTY)
    assert both[0] != both[1]
    load(team="NOTHING = object()\nEMPTY = object()\n")
    import team

    assert (digest(team.NOTHING), digest(team.EMPTY)) == both


def test_without_a_name_there_is_nothing_to_tell_them_apart():
    with pytest.raises(
        KeyingError, match=r"value -> \[0\] -> <object>: it is an object\(\) with nothing in it"
    ):
        digest([object()])
