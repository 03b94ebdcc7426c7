"""Objects that stand for arrays: the keys of the arrays, without them."""

import subprocess
import sys

import numpy
import pytest

from cachestore.keys import Arguments, KeyedFunction, digest, digest_of
from cachestore.keys.stand_ins import array_encoding, stands_for_array


@stands_for_array
class Elsewhere:
    def __init__(self, array, encoding=None):
        self.array = array
        self.nbytes = array.nbytes
        self.encoding = encoding
        self.loads = 0

    def array_encoding(self):
        return self.encoding

    def __array__(self, dtype=None, copy=None):
        self.loads += 1
        return self.array


def function(one, other=1): ...


@pytest.mark.parametrize("size", [0, 5, 600, 8192, 8193, 50_000])
@pytest.mark.parametrize("encoded", [True, False])
def test_keys_are_those_of_the_array(size, encoded):
    array = numpy.arange(float(size))
    stand_in = Elsewhere(array, array_encoding(array) if encoded else None)
    assert digest(stand_in) == digest(array)
    keyed = KeyedFunction(function)
    for wrap in (lambda x: x, lambda x: [x], lambda x: {"a": (x,)}, lambda x: [x] * 50):
        for other in (2, [3]):
            mine, theirs = keyed.key((wrap(stand_in), other), {}), keyed.key((wrap(array), other), {})
            assert mine.key == theirs.key
            assert dict(mine.arguments) == dict(theirs.arguments)
    assert isinstance(mine.arguments, Arguments)
    assert keyed.changed(keyed.key((array,), {}), (stand_in,), {}) == []
    # Only small ones are loaded where it is known what stands for them.
    assert bool(stand_in.loads) == (not encoded or array.nbytes <= 2**16)


def test_the_encoding_of_an_array_makes_its_digest():
    for array in (
        numpy.arange(10),
        numpy.asfortranarray(numpy.ones((300, 400))),
        numpy.ones((500, 500))[::2, ::3],
    ):
        assert digest_of(array_encoding(array)) == digest(array)


@pytest.mark.parametrize("value", [1, [numpy.zeros(3)], numpy.array([None]), numpy.ma.zeros(3), "text"])
def test_other_values_have_no_encoding_by_itself(value):
    assert array_encoding(value) is None


def test_a_digest_that_is_registered_for_arrays_counts_for_what_stands_for_them():
    # In a process of its own: what is registered stays.
    code = """
import numpy
from cachestore.keys import digest, register_digest
from cachestore.keys.stand_ins import array_encoding
from tests.keys.test_stand_ins import Elsewhere
small, large = numpy.arange(9), numpy.arange(100_000)
ours = [Elsewhere(array, array_encoding(array)) for array in (small, large)]
before = [digest(each) for each in ours]
register_digest(numpy.ndarray)(lambda array: ("mine", array.shape))
for each, array, old in zip(ours, (small, large), before):
    assert digest(each) == digest(array) != old
    assert digest([each]) == digest([array])
assert array_encoding(large) is None
"""
    subprocess.run([sys.executable, "-c", code], check=True)
