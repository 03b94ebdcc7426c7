"""The file that names a store: a random id, the format, and what its server does; written by the first put."""

from __future__ import annotations

import json
import logging
import os

from cachestore.errors import ObjectNotFound, StorageError
from cachestore.storage import STORE_FILE, ConditionalPut, ObjectStore, probe_conditional_put

# 0 was that of unreleased versions, and says the same.
_FORMAT = 1

_logger = logging.getLogger(__name__)


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
        identifier, layout = str(named["id"]), int(named["format"])
    except (ValueError, KeyError, TypeError):
        raise StorageError(
            f"{store.url}/{STORE_FILE} is damaged. Remove that one file: the next put writes it anew, and no entry "
            "is lost."
        ) from None
    if layout > _FORMAT:
        raise StorageError(
            f"{store.url} has the layout {layout}; this cachestore knows layouts up to {_FORMAT}. Upgrade cachestore."
        )
    return identifier


def write_store_id(store: ObjectStore) -> str:
    """Name a store that has no name yet, and return its id.

    Where the server refuses conditional puts, or lies about them, the last of several first puts names the store.
    Nothing is lost: a private index that was named otherwise is made anew under the name that stayed.
    """
    named = read_store_id(store)
    if named is not None:
        return named
    fresh = os.urandom(16).hex()
    does = _found_out(store)
    content = {"format": _FORMAT, "id": fresh, **({"conditional_put": does} if does else {})}
    data = json.dumps(content).encode()
    if does is ConditionalPut.REFUSED:
        store.put(STORE_FILE, [data])
    elif store.create(STORE_FILE, data) and does is ConditionalPut.CREATES:
        return fresh
    # Somebody may have been faster, or later: what is there is the name.
    return read_store_id(store) or fresh


def _found_out(store: ObjectStore) -> ConditionalPut | None:
    if not store.remote:
        return ConditionalPut.CREATES
    try:
        return probe_conditional_put(store)
    except StorageError as error:
        # If it goes on failing, so does the put that asks. If not, it is only not known.
        _logger.info("What %s does with conditional puts was not found out: %s", store.url, error)
        return None
