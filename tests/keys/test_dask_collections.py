"""dask: by its tokens, which know functions by their names only, and by the team's code."""

import numpy as np
import pandas as pd
import pytest

from cachestore.errors import KeyingError
from cachestore.keys import digest, encode

dask = pytest.importorskip("dask")
array = pytest.importorskip("dask.array")
bag = pytest.importorskip("dask.bag")
frames = pytest.importorskip("dask.dataframe")

SOURCE = """
    def helper(x): return x + 1
    def double(x): return helper(x)
    class Model:
        def predict(self, x): return x + 1
"""


def numbers():
    return array.from_array(np.arange(6.0), chunks=3)


def frame():
    return frames.from_pandas(pd.DataFrame({"a": [1, 2]}), npartitions=1)


@pytest.mark.parametrize(
    ("make", "other"),
    [
        (lambda: numbers() + 1, lambda: numbers() + 2),
        (lambda: numbers().sum(), lambda: numbers().rechunk(2).sum()),
        (frame, lambda: frame() + 1),
        (lambda: bag.from_sequence([1, 2]), lambda: bag.from_sequence([1, 3])),
        (lambda: dask.delayed(len, pure=True)([1]), lambda: dask.delayed(len, pure=True)([2])),
    ],
)
def test_tokens(make, other):
    assert digest(make()) == digest(make()) != digest(other())
    assert "package:dask" in encode(make())[1]


@pytest.mark.parametrize(
    "build",
    [
        lambda team: numbers().map_blocks(team.double),
        lambda team: frame().map_partitions(team.double),
        lambda team: bag.from_sequence([1, 2]).map(team.double),
        lambda team: dask.delayed(team.double, pure=True)(1),
        lambda team: numbers().map_blocks(lambda block: team.double(block)),
        lambda team: numbers().map_blocks(team.Model().predict),
    ],
)
def test_an_edited_function_in_a_graph_counts(load, build):
    one = digest(build(load(team=SOURCE)))
    assert digest(build(load(team=SOURCE + "\n    # more"))) == one
    assert digest(build(load(team=SOURCE.replace("x + 1", "x + 2")))) != one


@pytest.mark.parametrize(
    "make", [lambda: dask.delayed(len)([1]), lambda: array.from_array(np.arange(3), name=False)]
)
def test_random_names_are_refused(make):
    with pytest.raises(KeyingError, match=r"at random \(build it with pure=True, or with a name=\)"):
        digest(make())


def test_tokens_are_the_same_in_every_process(run):
    program = """
        import dask.array, dask.dataframe, numpy, pandas
        from cachestore.keys import digest
        print(digest((dask.array.from_array(numpy.arange(6.0), chunks=3) + 1).map_blocks(abs)))
        print(digest(dask.dataframe.from_pandas(pandas.DataFrame({"a": [1, 2]}), npartitions=1)))
    """
    assert run(program, PYTHONHASHSEED="1") == run(program, PYTHONHASHSEED="2")


def test_whether_dask_is_loaded_says_nothing_of_what_is_no_collection(run):
    printed = run("""
        import sys
        from cachestore.keys import digest
        class Labelled:
            def __init__(self, rows): self.rows = rows
            def __dask_graph__(self): return None
            def __dask_keys__(self): return []
            def __dask_tokenize__(self): return "labelled", self.rows
        print(digest(Labelled([1])))
        assert digest(Labelled([1])) != digest(Labelled([2]))
        import dask.base
        from cachestore.keys import registered
        registered.found.clear()
        print(digest(Labelled([1])))
    """)
    first, second = printed.split()
    assert first == second
