from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from cachestore.index import Entry, Touch
from tests.contracts.index import NOON, entry, touch

NAIVE = datetime(2024, 5, 1, 12)


@pytest.mark.parametrize("name", ["created_at", "last_used_at", "expires_at"])
def test_an_entry_refuses_times_without_a_zone(name: str) -> None:
    changes: dict[str, Any] = {name: NAIVE}
    with pytest.raises(ValueError, match=rf"{name} is .*without a time zone.*timezone\.utc"):
        entry(1, **changes)


def test_the_time_of_a_touch_is_kept_to_the_microsecond() -> None:
    assert touch(1, at=NOON).last_used_at == NOON


def test_touches_add_up_in_any_order() -> None:
    first, second = Touch("k", "u", 1.6e9, 1.0, 2), Touch("k", "u", 1.7e9, 2.0, 3)
    assert first.plus(second) == second.plus(first) == Touch("k", "u", 1.7e9, 3.0, 5)


def test_both_are_frozen_and_have_slots() -> None:
    for value in (entry(1), touch(1)):
        assert not hasattr(value, "__dict__")
        with pytest.raises(AttributeError):
            value.key = "other"  # type: ignore[misc]


def test_an_entry_holds_utc_and_other_zones_alike() -> None:
    assert isinstance(entry(1, created_at=datetime.now(UTC).astimezone()), Entry)
