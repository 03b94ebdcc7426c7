"""The joint room: joins keys, blob, storage and index, and alone knows the order of their effects.

`Cache` looks calls up, puts and drops single entries; `gc`, `rebuild` and `verify` work on all of them, each as a plan
or a finding that can be printed, then an action; `why` gathers what `explain` decides from, and `acceptance` keeps
which code versions answer for which. `open_cache` opens what `Settings` say;
`persistence` has joblib's `dump` and `load`, on any store.
May import every room below it; only this room may import `blob`, `storage` and `index`.
Never raises inside a memorised call because a store or an index is ill: it says so once and goes on without.
"""

from typing import TYPE_CHECKING

from cachestore.blob import Parent
from cachestore.cache.cache import Cache, Hit, Miss
from cachestore.cache.opening import (
    cache_at,
    inside,
    located,
    open_at,
    open_cache,
    open_settled,
    opened,
    settings_at,
)
from cachestore.keys import CallKey

if TYPE_CHECKING:
    from cachestore.blob import Metadata, register_serializer

__all__ = [
    "Cache",
    "CallKey",
    "Hit",
    "Metadata",
    "Miss",
    "Parent",
    "cache_at",
    "inside",
    "located",
    "open_at",
    "open_cache",
    "open_settled",
    "opened",
    "register_serializer",
    "settings_at",
]


def __getattr__(name: str) -> object:
    if name not in ("Metadata", "register_serializer"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cachestore import blob  # a hit does without these

    return getattr(blob, name)
