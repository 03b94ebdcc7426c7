"""The error tree, grouped by what a handler would do.

Inside a memorised call only `KeyingError`, `WrongCall` and the user's own exceptions surface; all others are
turned into a miss, a result that is not stored, or a `CachestoreWarning`.
"""


class CachestoreError(Exception):
    """Is the root of every error that cachestore raises."""

    # KeyError and ImportError quote or drop their text; a message is for people to read.
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class KeyingError(CachestoreError, TypeError):
    """Says that a function or an argument has no stable digest: fix the call."""


class WrongCall(CachestoreError, TypeError, ValueError):
    """Says that a function cannot be called so: a `TypeError` as Python's, and a `ValueError` as joblib's."""


class BlobError(CachestoreError):
    """Says that a blob cannot be read: recompute."""


class CorruptBlob(BlobError):
    """Says that a blob is truncated, damaged, or names another key."""


class NewerBlob(BlobError):
    """Says that a blob was written by a later cachestore: upgrade."""


class StorageError(CachestoreError):
    """Says that an object store failed; `transient` tells whether trying again may help."""

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class ObjectNotFound(StorageError, KeyError):
    """Says that there is no object at a path."""


class IndexUnavailable(CachestoreError):
    """Says that the index cannot be reached or is locked: go on without."""


class SchemaMismatch(CachestoreError):
    """Says that the index was made by another version: run `cachestore migrate`, or upgrade."""


class SettingsError(CachestoreError, ValueError):
    """Says that a setting, a location or an option has no meaning."""


class MissingExtra(CachestoreError, ImportError):
    """Says which optional extra to install."""


class CachestoreWarning(UserWarning):
    """Tells, once, that the cache goes on without something."""
