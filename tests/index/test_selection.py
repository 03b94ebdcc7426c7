"""How selections are checked; what they select is part of the contract."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachestore.errors import SettingsError
from cachestore.index import Selection
from cachestore.index.selection import is_like
from tests.contracts.index import NOON, entry
from tests.index.test_index import open_at


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({"sort": "colour"}, "Cannot sort by 'colour'.*last_used, size"), ({"limit": -1}, "limit is -1")],
)
def test_selections_without_a_meaning(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Selection(**arguments)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="unused_since"):
        Selection(unused_since=datetime(2024, 5, 1))


NAMES = [
    a + b + c for a in ("m.", "M.", "m.n.") for b in ("f", "f_", "f%", "[f]", "<locals>.f") for c in ("", "g")
]
INDEX = open_at(None)


@given(st.text("mMfg._%*?<>ls\\", max_size=6))
def test_patterns_are_those_of_the_shell(pattern: str) -> None:
    if not INDEX.select(Selection(limit=1)):
        INDEX.record(entry(number, function=name) for number, name in enumerate(NAMES))
    patterns = [pattern] if "." in pattern else [pattern, f"*.{pattern}"]
    expected = sorted(name for name in NAMES if any(fnmatchcase(name, shape) for shape in patterns))
    selected = INDEX.select(Selection(function=pattern, sort="function"))
    assert [found.function for found in selected] == expected
    assert sorted(name for name in NAMES if is_like(name, pattern)) == expected


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), max_size=12),
    st.sampled_from(["size", "hits", "created"]),
    st.one_of(st.none(), st.integers(0, 14)),
)
def test_order_and_limit(rows: list[tuple[int, int, int]], sort: Any, limit: int | None) -> None:
    from datetime import timedelta

    entries = [
        entry(number, stored_size=size, hits=hits, created_at=NOON - timedelta(hours=age))
        for number, (size, hits, age) in enumerate(rows)
    ]
    index = open_at(None)
    index.record(entries)
    value = {
        "size": lambda e: -e.stored_size,
        "hits": lambda e: -e.hits,
        "created": lambda e: NOON - e.created_at,
    }
    expected = sorted(entries, key=lambda e: (value[sort](e), e.key))[:limit]
    assert index.select(Selection(sort=sort, limit=limit)) == expected
