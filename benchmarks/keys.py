"""What keys and digests cost beside joblib's, in time and in memory."""

import functools
import resource
import tempfile
import time
from statistics import median

import joblib
import numpy as np
import pandas as pd
from blake3 import blake3
from pairs import compare, print_header
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier

from cachestore.keys import KeyedFunction, digest

RANDOM = np.random.default_rng(0)


def f(x, y, c=1.0):
    return x, y, c


def repeat(function, *arguments, times=200, **named):
    def run():
        for _ in range(times):
            function(*arguments, **named)

    return run


def digests(name, value, *, pairs=15):
    compare(name, lambda: joblib.hash(value), lambda: digest(value), pairs=pairs)


def extra_memory(work):
    """Return by how many MB the work raises what the process has ever held."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def share_of_raw_blake3(array):
    """Return how much of the speed of BLAKE3 over the same bytes, with all cores, a digest has."""
    data = memoryview(array.ravel(order="K")).cast("B")
    shares = []
    for _ in range(7):
        started = time.perf_counter()
        blake3(data, max_threads=blake3.AUTO).digest()
        between = time.perf_counter()
        digest(array)
        shares.append((between - started) / (time.perf_counter() - between))
    return median(shares)


def mixed_frame(texts):
    rows = 1_000_000
    names = np.array([f"name{i % 1000}" for i in range(rows)], dtype=object)
    columns = {f"float{i}": RANDOM.random(rows) for i in range(3)}
    columns |= {f"int{i}": RANDOM.integers(0, 100, rows) for i in range(2)}
    columns |= {"bool": RANDOM.random(rows) > 0.5}
    columns |= {f"text{i}": pd.Series(order, dtype=texts) for i, order in enumerate([names, names[::-1]])}
    return pd.DataFrame(columns)


def every_other_column():
    return RANDOM.random((10_000, 20_000))[:, ::2]


# First, as only what was never held before shows.
view = every_other_column()
ours, theirs = (extra_memory(functools.partial(hash_of, view)) for hash_of in (digest, joblib.hash))
del view

print_header()
with tempfile.TemporaryDirectory() as folder:
    known, keyed = joblib.Memory(folder, verbose=0).cache(f), KeyedFunction(f)
    small = np.arange(128.0)
    for name, args, kwargs in [
        ("200 keys of f(3, 'abc', c=2.5)", (3, "abc"), {"c": 2.5}),
        ("200 keys of f(1 KB array, 2)", (small, 2), {}),
    ]:
        compare(name, repeat(known._get_args_id, *args, **kwargs), repeat(keyed.key, args, kwargs))
compare("200 digests of a 1 KB array", repeat(joblib.hash, small), repeat(digest, small))

nested = {f"k{i}": {"a": i, "b": [float(i), str(i)], "c": (i, None, True)} for i in range(12_500)}
digests("nested dict of 1e5 small items", nested)
uneven = {
    i: {"id": i, f"k{i % 7}": [i, {"x": 1.5, "y": (i, None)}], "tags": {"a", f"t{i}"}} for i in range(10_000)
}
digests("nested dict of 1e5 small items, uneven, with sets", uneven)
for load in (load_iris, load_digits, load_breast_cancer):
    forest = RandomForestClassifier(100, random_state=0).fit(*load(return_X_y=True))
    digests(f"forest of 100 trees fitted on {load.__name__.removeprefix('load_')}", forest)

digests("DataFrame 1e6 x 8 mixed, arrow strings", mixed_frame("string[pyarrow]"), pairs=7)
digests("DataFrame 1e6 x 8 mixed, object strings", mixed_frame(object), pairs=3)

digests("800 MB float64, every other column", every_other_column(), pairs=5)
print(f"{'':4}extra memory: joblib {theirs:.0f} MB, cachestore {ours:.0f} MB")
array = RANDOM.random((10_000, 10_000))
digests("800 MB float64, C order", array, pairs=5)
print(f"{'':4}share of raw BLAKE3 with the same threads: {share_of_raw_blake3(array):.0%}")
array = np.asfortranarray(array)
digests("800 MB float64, Fortran order", array, pairs=5)
print(f"{'':4}share of raw BLAKE3 with the same threads: {share_of_raw_blake3(array):.0%}")
