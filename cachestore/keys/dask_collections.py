"""dask collections: by the token of their graph, and by the team's code in it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from cachestore.keys.code_origin import origin_of
from cachestore.keys.encoding import record, text
from cachestore.keys.functions import FUNCTIONS, encode_class
from cachestore.keys.objects import encode_dask_token, encode_instance
from cachestore.keys.walk import Encoder, Refusal, Walk

# What dask writes into a name that says nothing: `delayed` without `pure=True`, `from_array(name=False)`.
_RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def find_encoder(cls: type) -> Encoder | None:
    """Return the rule for a type of dask's collections, if it is one."""
    return _collection if hasattr(cls, "__dask_graph__") else None


def _collection(walk: Walk, value: Any) -> bytes:
    what = f"<{type(value).__qualname__}>"
    try:
        given = value.__dask_graph__()
        # xarray's may be a collection or none. Whether dask is loaded says nothing of it.
        graph = None if given is None else dict(given)
        token = None if graph is None else sys.modules["dask.base"].tokenize(value, ensure_deterministic=True)
    except Exception as error:
        raise Refusal(what, f"dask has no deterministic token for it ({error})") from error
    if graph is None or token is None:
        plain = encode_dask_token if hasattr(value, "__dask_tokenize__") else encode_instance
        return plain(walk, value)
    for key in graph:
        if _RANDOM.search(str(key)):
            raise Refusal(
                what, f"dask named {str(key)[:60]!r} at random (build it with pure=True, or with a name=)"
            )
    # A token knows functions by their names only.
    code: dict[int, bytes] = {}
    _follow(walk, list(graph.values()), code, {})
    return record("dask", encode_class(walk, type(value)), text(token), *sorted(set(code.values())))


def _follow(walk: Walk, value: Any, code: dict[int, bytes], seen: dict[int, Any]) -> None:
    """Encode each function of a graph, and each class of the team, once."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        cls = type(value)
        if id(value) in seen or cls in (str, int, float, bytes, bool, type(None)):
            continue
        seen[id(value)] = value
        if cls in (tuple, list, set, frozenset):
            waiting.extend(value)
        elif isinstance(value, Mapping):
            waiting.extend(value.values())
        elif cls in FUNCTIONS or isinstance(value, type | FunctionType):
            code[id(value)] = walk.encode(value)
        elif cls.__module__.partition(".")[0] == "dask":
            # Tasks, aliases and blocks of other graphs.
            slots = [name for base in cls.__mro__ for name in vars(base).get("__slots__", ())]
            for name in (*slots, *getattr(value, "__dict__", ())):
                waiting.append(getattr(value, name, None))
        elif origin_of(cls.__module__).kind == "first-party":
            code[id(value)] = encode_class(walk, cls)
        elif callable(value):
            code[id(value)] = walk.encode(value)
