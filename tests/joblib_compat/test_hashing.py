"""joblib's tests of `hash`, which is its own, and of what Memory has to do with it."""

from tests.joblib_compat.borrowed import borrow

borrow("test_hashing", "from cachestore import Memory, hash", {}, globals())
