"""Search trees of scipy and scikit-learn: without the counts of what was asked, and where their nodes lie in memory."""

from __future__ import annotations

from typing import Any

from cachestore.keys.encoding import record
from cachestore.keys.functions import encode_class
from cachestore.keys.walk import Encoder, Walk

# By module, which places of the state of a tree do not count.
_LEFT_OUT = {
    "scipy.spatial._ckdtree": slice(0, 1),
    "sklearn.neighbors._ball_tree": slice(7, 11),
    "sklearn.neighbors._kd_tree": slice(7, 11),
}


def find_encoder(cls: type) -> Encoder | None:
    """Return the rule for a search tree, if the type is one."""
    for base in cls.__mro__:
        left_out = _LEFT_OUT.get(base.__module__)
        if left_out is not None and "Tree" in base.__qualname__:
            return _tree(left_out)
    return None


def _tree(left_out: slice) -> Encoder:
    def encode(walk: Walk, value: Any) -> bytes:
        state = list(value.__getstate__())
        del state[left_out]
        return record("tree", encode_class(walk, type(value)), walk.named("", state))

    return encode
