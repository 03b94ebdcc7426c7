"""A warm hit, counted in steps: seconds are noise on a shared machine (benchmarks/hits.py has them)."""

import sys
from collections import Counter

import cachestore


def double(x):
    return {"x": 2 * x}


def calls_of(function, *arguments):
    """Count the calls in Python that one call of a function takes, by module."""
    counted = Counter()

    def count(frame, event, _):
        if event == "call":
            counted[frame.f_globals.get("__name__", "")] += 1

    sys.setprofile(count)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return counted


def test_a_hit_takes_few_steps_besides_reading_the_blob(tmp_path):
    memorised = cachestore.Memory(tmp_path, verbose=0).cache(double)
    memorised(3), memorised(3)
    counted = calls_of(memorised, 3)
    reading = ("cachestore.blob", "cachestore.storage")
    ours = {
        name: n
        for name, n in counted.items()
        if name.startswith("cachestore.") and not name.startswith(reading)
    }
    assert sum(ours.values()) <= 30, ours
    assert {"threading", "datetime", "getpass", "logging"}.isdisjoint(counted)
