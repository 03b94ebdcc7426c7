"""What around a call decides its result too: scikit-learn's configuration, where it is not as delivered."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

# What can change a result, as scikit-learn has it from the start: whether it is loaded yet changes no key.
_AS_DELIVERED = {
    "array_api_dispatch": False,
    "assume_finite": False,
    "enable_cython_pairwise_dist": True,
    "enable_metadata_routing": False,
    "pairwise_dist_chunk_size": 256,
    "skip_parameter_validation": False,
    "sparse_interface": "spmatrix",
    "transform_output": "default",
}


def configured(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a configuration of scikit-learn can change a result, and is not as delivered.

    Examples
    --------
    >>> configured({"transform_output": "pandas", "assume_finite": False, "display": "text"})
    {'transform_output': 'pandas'}
    """
    return {
        name: config[name]
        for name, usual in _AS_DELIVERED.items()
        if name in config and config[name] != usual
    }


def configured_here() -> dict[str, Any]:
    """Return the same of this thread's configuration, without loading scikit-learn."""
    sklearn = sys.modules.get("sklearn")
    return configured(sklearn.get_config()) if sklearn is not None else {}
