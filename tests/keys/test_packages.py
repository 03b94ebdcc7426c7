"""Packages that another thread is still importing."""

import sys
import types

import pytest

from cachestore.keys import KeyedFunction, digest, registered

NAMES = [
    "numpy",
    "pandas",
    "pyarrow",
    "scipy.sparse",
    "polars",
    "torch",
    "sqlalchemy.sql.elements",
    "dask.base",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_package_that_is_only_half_there_is_no_matter_of_others(name, monkeypatch):
    class Plain:
        def __init__(self):
            self.x = 1

    half = types.ModuleType(name)
    half.DataFrame = half.Tensor = Plain
    monkeypatch.setitem(sys.modules, name, half)
    met, keyed = digest([Plain()]), KeyedFunction(lambda x: x).key((Plain(),), {})
    monkeypatch.undo()
    registered.found.clear()
    assert digest([Plain()]) == met
    assert KeyedFunction(lambda x: x).key((Plain(),), {}).arguments == keyed.arguments
