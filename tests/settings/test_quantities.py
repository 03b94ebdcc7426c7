from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachestore import SettingsError
from cachestore.settings import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("1.5 d", timedelta(hours=36)),
        ("2W", timedelta(weeks=2)),
    ],
)
def test_durations_are_read(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["soon", "", "30", "d", "-1d", "1y", "1d2h", "99999999999999w"])
def test_what_is_no_duration_is_refused_with_what_to_write(text):
    with pytest.raises(SettingsError, match="Write"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500", 500),
        ("500B", 500),
        ("10GB", 10 * 10**9),
        ("400 GiB", 400 * 2**30),
        ("1.5kb", 1500),
        ("1G", 2**30),
        ("1k", 1024),
    ],
)
def test_sizes_are_read(text, expected):
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["lots", "", "-1", "1 iB", "1XB", "GB", "1e9"])
def test_what_is_no_size_is_refused_with_what_to_write(text):
    with pytest.raises(SettingsError, match="Write"):
        parse_size(text)


@given(st.integers(0, 10**15), st.sampled_from("KMGTP"))
def test_binary_units_are_larger_than_decimal_ones(number, unit):
    assert parse_size(f"{number}{unit}iB") >= parse_size(f"{number}{unit}B")
