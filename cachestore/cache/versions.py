"""Code versions as objects of the store: which parts each is made of, kept when its entries are gone."""

from __future__ import annotations

import json

from cachestore.keys import CallKey
from cachestore.storage import ObjectStore, version_path


def keep_version(store: ObjectStore, call: CallKey) -> None:
    """Write down the named parts of a call's code version, if nobody has done so yet.

    Raises
    ------
    StorageError
        If the store cannot be written.
    """
    described = {"format": 0, "function": call.function, "parts": dict(call.code_parts)}
    store.create(version_path(call.code_version), json.dumps(described).encode())
