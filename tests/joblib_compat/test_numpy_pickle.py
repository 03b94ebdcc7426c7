"""joblib's tests of `dump` and `load`."""

from tests.joblib_compat.borrowed import borrow

# The module that they are called through, with ours in it.
OURS = """
from types import SimpleNamespace
from cachestore import dump, load
numpy_pickle = SimpleNamespace(**{**vars(numpy_pickle), "dump": dump, "load": load})
"""

borrow("test_numpy_pickle", OURS, {}, globals())
