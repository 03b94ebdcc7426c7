"""Bytes at paths: a put is whole or absent.

Here live the contract (`object_store`), the layout of a store (`paths`), and the stores that keep it: a
directory, and anything that fsspec reaches. Deadlines, retries and the breaker are a store around a store.
May import `errors` and `settings`; fsspec and s3fs are at home here and are imported when first used.
Never knows what the bytes mean, never asks `exists()`, never lets another library's error out.
"""

from cachestore.storage.local_store import LocalStore
from cachestore.storage.object_store import ObjectInfo, ObjectStore
from cachestore.storage.opening import open_store
from cachestore.storage.paths import (
    ACCEPTED,
    BLOBS,
    MARKS,
    STORE_FILE,
    VERSIONS,
    accepted_path,
    blob_path,
    is_temporary,
    key_of,
    version_path,
)

__all__ = [
    "ACCEPTED",
    "BLOBS",
    "MARKS",
    "STORE_FILE",
    "VERSIONS",
    "LocalStore",
    "ObjectInfo",
    "ObjectStore",
    "accepted_path",
    "blob_path",
    "is_temporary",
    "key_of",
    "open_store",
    "version_path",
]
