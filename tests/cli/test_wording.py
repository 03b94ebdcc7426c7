from datetime import UTC, datetime, timedelta

import pytest

from cachestore.cli.wording import say_age, say_count, say_duration, say_size


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
        (10_240_000, "10.2 MB"), (3 * 10**9, "3.0 GB"), (4 * 10**12, "4.0 TB"), (5 * 10**15, "5.0 PB"),
        (12 * 10**18, "12000.0 PB"),
    ],
)  # fmt: skip
def test_sizes(size, said):
    assert say_size(size) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"), (0.0004, "0 s"), (-0.0004, "0 s"), (0.0006, "1 ms"), (0.9994, "999 ms"),
        (0.9996, "1.0 s"), (2.08, "2.1 s"), (59.94, "59.9 s"), (59.96, "1 min"), (200, "3 min"),
        (59.4 * 60, "59 min"), (59.6 * 60, "1.0 h"), (9000, "2.5 h"), (47 * 3600, "47.0 h"),
        (72 * 3600, "3.0 days"), (-90, "-2 min"),
    ],
)  # fmt: skip
def test_durations(seconds, said):
    assert say_duration(seconds) == said


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (timedelta(seconds=-30), "just now"), (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 min ago"), (timedelta(minutes=59), "59 min ago"),
        (timedelta(hours=1), "1 hour ago"), (timedelta(hours=47), "47 hours ago"),
        (timedelta(hours=48), "2 days ago"), (timedelta(days=59), "59 days ago"),
        (timedelta(days=60), "2 months ago"), (timedelta(days=719), "23 months ago"),
        (timedelta(days=720), "1 year ago"), (timedelta(days=1500), "4 years ago"),
    ],
)  # fmt: skip
def test_ages(ago, said):
    now = datetime(2024, 5, 1, tzinfo=UTC)
    assert say_age(now - ago, now) == said


def test_counts():
    said = [say_count(number, "entry", "entries") for number in (0, 1, 2)]
    assert said == ["0 entries", "1 entry", "2 entries"]
    assert say_count(2000, "hit") == "2,000 hits"
