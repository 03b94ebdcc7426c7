"""joblib.Memory for a team: each result is computed once, by anyone, anywhere.

Names are imported when they are first used: `import cachestore` itself costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from joblib import hash as hash
    from joblib import register_store_backend as register_store_backend
    from joblib.memory import JobLibCollisionWarning as JobLibCollisionWarning

    from cachestore.cache import register_serializer as register_serializer
    from cachestore.cache.lazy_array import LazyArray as LazyArray
    from cachestore.cache.persistence import dump as dump
    from cachestore.cache.persistence import load as load
    from cachestore.errors import BlobError as BlobError
    from cachestore.errors import CachestoreError as CachestoreError
    from cachestore.errors import CachestoreWarning as CachestoreWarning
    from cachestore.errors import CorruptBlob as CorruptBlob
    from cachestore.errors import IndexUnavailable as IndexUnavailable
    from cachestore.errors import KeyingError as KeyingError
    from cachestore.errors import MissingExtra as MissingExtra
    from cachestore.errors import NewerBlob as NewerBlob
    from cachestore.errors import ObjectNotFound as ObjectNotFound
    from cachestore.errors import SchemaMismatch as SchemaMismatch
    from cachestore.errors import SettingsError as SettingsError
    from cachestore.errors import StorageError as StorageError
    from cachestore.errors import WrongCall as WrongCall
    from cachestore.keys import digest as digest
    from cachestore.keys import register_digest as register_digest
    from cachestore.memory import AsyncMemorizedFunc as AsyncMemorizedFunc
    from cachestore.memory import AsyncNotMemorizedFunc as AsyncNotMemorizedFunc
    from cachestore.memory import MemorizedFunc as MemorizedFunc
    from cachestore.memory import MemorizedResult as MemorizedResult
    from cachestore.memory import Memory as Memory
    from cachestore.memory import NotMemorizedFunc as NotMemorizedFunc
    from cachestore.memory import NotMemorizedResult as NotMemorizedResult
    from cachestore.memory import expires_after as expires_after
    from cachestore.memory import open_memory as open
    from cachestore.parallel import register as register

_HOMES = {
    "cachestore.cache": ("register_serializer",),
    "cachestore.cache.lazy_array": ("LazyArray",),
    "cachestore.cache.persistence": ("dump", "load"),
    "cachestore.errors": (
        "BlobError",
        "CachestoreError",
        "CachestoreWarning",
        "CorruptBlob",
        "IndexUnavailable",
        "KeyingError",
        "MissingExtra",
        "NewerBlob",
        "ObjectNotFound",
        "SchemaMismatch",
        "SettingsError",
        "StorageError",
        "WrongCall",
    ),
    "cachestore.keys": ("digest", "register_digest"),
    "cachestore.memory": (
        "AsyncMemorizedFunc",
        "AsyncNotMemorizedFunc",
        "MemorizedFunc",
        "MemorizedResult",
        "Memory",
        "NotMemorizedFunc",
        "NotMemorizedResult",
        "expires_after",
    ),
    "cachestore.parallel": ("register",),
    "joblib": ("hash", "register_store_backend"),
    "joblib.memory": ("JobLibCollisionWarning",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", "open", *_HOME]  # noqa: PLE0604 - all are names


def __getattr__(name: str) -> object:
    if name == "open":  # the builtin stays what it is inside the package
        return importlib.import_module("cachestore.memory").open_memory
    if name not in _HOME:
        raise AttributeError(f"module 'cachestore' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
