"""The joint room: joins keys, blob, storage and index, and alone knows the order of their effects.

`Cache` looks calls up, puts and drops single entries; `gc`, `rebuild` and `verify` work on all of them, each as a plan
or a finding that can be printed, then an action; `why` gathers what `explain` decides from, and `acceptance` keeps
which code versions answer for which. `open_cache` opens what `Settings` say;
`dump` and `load` are joblib's, on any store.
May import every room below it; only this room may import `blob`, `storage` and `index`.
Never raises inside a memorised call because a store or an index is ill: it says so once and goes on without.
"""

from cachestore.blob import Metadata, Parent, register_serializer
from cachestore.cache.cache import Cache, Hit, Miss
from cachestore.cache.opening import absolute, located, open_cache, open_settled, opened
from cachestore.cache.persistence import dump, load
from cachestore.keys import CallKey

__all__ = [
    "Cache",
    "CallKey",
    "Hit",
    "Metadata",
    "Miss",
    "Parent",
    "absolute",
    "dump",
    "load",
    "located",
    "open_cache",
    "open_settled",
    "opened",
    "register_serializer",
]
