from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachestore import SettingsError
from cachestore.cache.eviction import Limits, choose
from cachestore.index import Entry

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def entry(number, *, age_days=0, size=10):
    used = NOW - timedelta(days=age_days)
    return Entry(
        key=f"{number:064x}",
        function="project.f",
        code_version="0" * 64,
        kind="builtins.int",
        raw_size=size,
        stored_size=size,
        created_at=used,
        last_used_at=used,
        seconds=1.0,
        creator="ana",
    )


entries = st.lists(
    st.builds(
        entry,
        st.integers(0, 10**6),
        age_days=st.integers(0, 100),
        size=st.integers(0, 1000),
    ),
    max_size=30,
    unique_by=lambda each: each.key,
)
limits = st.fixed_dictionaries(
    {
        "older_than": st.none() | st.timedeltas(timedelta(0), timedelta(days=120)),
        "max_size": st.none() | st.integers(0, 20_000),
        "max_entries": st.integers(0, 30),
    }
).map(lambda given: Limits(**given))


@given(entries, limits)
def test_what_stays_is_within_the_limits_and_nothing_goes_without_need(entries, limits):
    gone = choose(entries, limits, NOW)
    keys = {eviction.entry.key for eviction in gone}
    assert len(keys) == len(gone)
    kept = [each for each in entries if each.key not in keys]
    assert keys <= {each.key for each in entries}
    if limits.older_than is not None:
        assert all(NOW - each.last_used_at <= limits.older_than for each in kept)
    assert len(kept) <= limits.max_entries
    if limits.max_size is not None:
        assert sum(each.stored_size for each in kept) <= limits.max_size
    for number, eviction in enumerate(gone):
        if eviction.reason.startswith("least recently"):
            # It had to go: with it and all that go after it, a limit would be broken.
            with_rest = [*kept, *(later.entry for later in gone[number:])]
            assert len(with_rest) > limits.max_entries or (
                limits.max_size is not None and sum(each.stored_size for each in with_rest) > limits.max_size
            )


def test_the_least_recently_used_go_first():
    entries = [entry(1, age_days=1), entry(2, age_days=3), entry(3, age_days=2)]
    gone = choose(entries, Limits(max_entries=1), NOW)
    assert [eviction.entry.key for eviction in gone] == [entries[1].key, entries[2].key]


def test_reasons_say_which_limit_it_was():
    entries = [entry(1, age_days=40), entry(2, age_days=2, size=100), entry(3, size=100)]
    gone = choose(entries, Limits(older_than=timedelta(days=30), max_size=150), NOW)
    assert [eviction.reason for eviction in gone] == [
        "not used for more than 30 days",
        "least recently used beyond the size limit",
    ]


def test_a_function_alone_is_no_limit():
    with pytest.raises(SettingsError, match="alone is no limit"):
        Limits(function="a.*")


@pytest.mark.parametrize("wrong", [{"older_than": timedelta(-1)}, {"max_size": -1}, {"max_entries": -5}])
def test_negative_limits_are_refused(wrong):
    with pytest.raises(SettingsError, match="negative"):
        Limits(**wrong)
