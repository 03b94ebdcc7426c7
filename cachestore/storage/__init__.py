"""Bytes at paths: a put is whole or absent.

Here live the contract (`object_store`), the layout of a store (`paths`), and the stores that keep it: a
directory, and anything that fsspec reaches. Deadlines, retries and the breaker are a store around a store, and
so is a near directory.
`probe` finds out what a store does, whatever it is called.
May import `errors` and `settings`; fsspec and s3fs are at home here and are imported when first used.
Never knows what the bytes mean, never asks `exists()`, never lets another library's error out.
"""

from cachestore.storage.local_store import LocalStore
from cachestore.storage.object_store import ObjectInfo, ObjectStore
from cachestore.storage.opening import open_store, with_near
from cachestore.storage.paths import (
    ACCEPTED,
    BLOBS,
    JOBLIB_CODE,
    MARKS,
    PROBES,
    STORE_FILE,
    VERSIONS,
    accepted_path,
    blob_path,
    is_temporary,
    joblib_code_path,
    key_of,
    probe_path,
    version_path,
)
from cachestore.storage.probe import ConditionalPut, probe_conditional_put, remove_probes
from cachestore.storage.stored_object import HeldObject, RangedObject, StoredObject

__all__ = [
    "ACCEPTED",
    "BLOBS",
    "JOBLIB_CODE",
    "MARKS",
    "PROBES",
    "STORE_FILE",
    "VERSIONS",
    "ConditionalPut",
    "HeldObject",
    "LocalStore",
    "ObjectInfo",
    "ObjectStore",
    "RangedObject",
    "StoredObject",
    "accepted_path",
    "blob_path",
    "is_temporary",
    "joblib_code_path",
    "key_of",
    "open_store",
    "probe_conditional_put",
    "probe_path",
    "remove_probes",
    "version_path",
    "with_near",
]
