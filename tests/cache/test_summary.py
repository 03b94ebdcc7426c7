import numpy as np
import pandas as pd
import pytest

from cachestore.cache.summary import summarise


class Broken:
    def __repr__(self):
        raise ZeroDivisionError


class Odd:
    @property
    def shape(self):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "3"),
        ("team", "'team'"),
        ([1] * 1000, "[1, 1, 1, 1, 1, 1, ...]"),
        (np.zeros((2, 3)), "ndarray of 2 x 3 float64"),
        (np.float64(2.5), "np.float64(2.5)"),
        (pd.DataFrame({"a": [1, 2]}), "DataFrame of 2 x 1"),
        (Broken(), "<Broken instance at"),
        (Odd(), "(Odd, whose text cannot be made: ZeroDivisionError)"),
        ("two\nlines", "'two\\nlines'"),
    ],
)
def test_a_few_words_for_each(value, said):
    assert summarise(value).startswith(said)
    assert len(summarise(value)) <= 80
