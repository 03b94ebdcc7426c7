"""The file that names a store: a random id and the format, written by the first put."""

from __future__ import annotations

import json
import os

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.storage import STORE_FILE, ObjectStore

_FORMAT = 0


def read_store_id(store: ObjectStore) -> str | None:
    """Read the id of a store; None where nothing was ever put.

    Raises
    ------
    StorageError
        If the store cannot be read, or was laid out by a later cachestore.
    """
    try:
        content = store.get(STORE_FILE)
    except ObjectNotFound:
        return None
    try:
        named = json.loads(content)
        identifier, layout = named["id"], named["format"]
    except (ValueError, KeyError, TypeError):
        raise StorageError(
            f"{store.url}/{STORE_FILE} is damaged. Remove that one file: the next put writes it anew, and no entry "
            "is lost."
        ) from None
    if layout > _FORMAT:
        raise StorageError(
            f"{store.url} has the layout {layout}; this cachestore knows layouts up to {_FORMAT}. Upgrade cachestore."
        )
    return str(identifier)


def write_store_id(store: ObjectStore) -> str:
    """Name a store that has no name yet, and return its id."""
    named = read_store_id(store)
    if named is not None:
        return named
    fresh = os.urandom(16).hex()
    # What `probe_conditional_put` finds out belongs here too: readers leave members alone that they do not know.
    if store.create(STORE_FILE, json.dumps({"format": _FORMAT, "id": fresh}).encode()):
        return fresh
    # Somebody was faster: theirs is the name.
    return read_store_id(store) or fresh
