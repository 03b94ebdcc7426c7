"""Blobs as a store lists them, by key, and the first digits of a key."""

from __future__ import annotations

import re

from cachestore.errors import SettingsError
from cachestore.storage import BLOBS, ObjectStore, key_of

_PREFIX = re.compile(r"[0-9a-f]{1,64}")


def key_prefix(text: str) -> str:
    """Return a key, or the first digits of one, as keys are written.

    Raises
    ------
    SettingsError
        If no key begins so.

    Examples
    --------
    >>> key_prefix(" 4BE1 ")
    '4be1'
    """
    prefix = text.strip().lower()
    if _PREFIX.fullmatch(prefix) is None:
        raise SettingsError(
            f"{text!r} is no key: a key is 64 hexadecimal digits, of which the first few are enough. "
            "`cachestore ls` lists them."
        )
    return prefix


def list_blobs(store: ObjectStore, prefix: str = "") -> dict[str, int]:
    """Return the size in bytes of every blob whose key begins with `prefix`, by key.

    Raises
    ------
    StorageError
        If the store cannot be listed.
    """
    place = f"{BLOBS}{prefix[:2]}/{prefix}" if len(prefix) > 1 else f"{BLOBS}{prefix}"
    return {key: info.size for info in store.list(place) if (key := key_of(info.path)) is not None}
