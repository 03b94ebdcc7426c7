"""Which memorised calls are being computed right now, and what each has used so far: the lineage of a value."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from cachestore.cache import Hit, Parent

if TYPE_CHECKING:
    from cachestore.cache import Metadata

_computing: ContextVar[tuple[dict[str, Parent], ...]] = ContextVar("cachestore_computing", default=())


@contextmanager
def computing() -> Iterator[dict[str, Parent]]:
    """Collect what the calls made inside the block use, by key, in order."""
    used: dict[str, Parent] = {}
    token = _computing.set((*_computing.get(), used))
    try:
        yield used
    finally:
        _computing.reset(token)


def note(used: Hit | Metadata) -> None:
    """Say that the call being computed, if there is one, used an entry."""
    stack = _computing.get()
    if stack:
        stack[-1][used.key] = Parent(used.key, used.value_digest)


def note_arguments(values: Iterable[object]) -> None:
    """Say that the call being computed uses the stored arrays among its arguments: they come from entries."""
    lazy_array = sys.modules.get("cachestore.cache.lazy_array")
    if lazy_array is None:
        return  # then there are none
    for value in values:
        if isinstance(value, lazy_array.LazyArray):
            note(value)
