"""What a hit costs in a process that is warm, beside joblib's and diskcache's, keys and digests counted."""

import tempfile
from pathlib import Path

import diskcache
import joblib
import numpy as np
from pairs import compare, print_header

import cachestore


def smallest(x):
    return {"x": x}


def small(number, name, scale=2.0):
    return {"number": number, "name": name, "scale": scale}


def number(x):
    return np.float64(x)


def array(size):
    return np.random.default_rng(0).normal(size=size)


def another_array(size):
    return array(size)


def total(values):
    return float(values.sum())


def repeat(function, *arguments, times):
    def run():
        for _ in range(times):
            function(*arguments)

    return run


print_header()
with tempfile.TemporaryDirectory() as folder:
    theirs = joblib.Memory(str(Path(folder) / "joblib"), verbose=0)
    ours = cachestore.Memory(str(Path(folder) / "cachestore"), verbose=0)
    for name, function, arguments, times in [
        ("100 hits of a small value, one argument", smallest, (3,), 100),
        ("100 hits of a small value", small, (3, "abc"), 100),
        ("100 hits of a number of numpy", number, (3.0,), 100),
        ("100 hits of an array of 100 numbers", array, (100,), 100),
        ("hit of a 1 MB array", array, (125_000,), 1),
        ("hit of a 100 MB array", array, (12_500_000,), 1),
        ("hit with a 100 MB array as argument", total, (array(12_500_000),), 1),
    ]:
        compare(
            name,
            repeat(theirs.cache(function), *arguments, times=times),
            repeat(ours.cache(function), *arguments, times=times),
        )
    print_header("diskcache")
    with diskcache.Cache(str(Path(folder) / "diskcache")) as peer:
        for name, function, arguments in [
            ("100 hits of a small value, one argument", smallest, (3,)),
            ("100 hits of a small value", small, (3, "abc")),
        ]:
            compare(
                name,
                repeat(peer.memoize()(function), *arguments, times=100),
                repeat(ours.cache(function), *arguments, times=100),
            )

    print_header("np.load + key")
    # A file is verified when it is mapped first, and remembered by its inode, size and time.
    file = Path(folder) / "array.npy"
    np.save(file, array(12_500_000))
    mapped = ours.cache(another_array, mmap_mode="r")
    kept = []  # what was mapped, for letting go of it takes its time too

    def load_and_key():
        for _ in range(50):
            mapped.call_key(12_500_000)
            kept.append(np.load(file, mmap_mode="r"))

    compare(
        "50 mmap_mode='r' hits of a 100 MB array, not the first",
        load_and_key,
        lambda: kept.extend(mapped(12_500_000) for _ in range(50)),
    )
