"""The layout of a store: the one place that knows where in it something lies.

::

    store.json                    what the store is: its random id and format
    blobs/<2 hex>/<64 hex>        one value; the path is derived from the key, so one GET answers a hit
    versions/<2 hex>/<64 hex>     one code version: its named parts and their sources
    marks/accepted/<64 hex>       which other code versions answer calls of this one
    marks/joblib/<64 hex>         the code that a function had when joblib last stored its results here
    marks/...                     pins, invalidation epochs: small objects
    marks/probes/.tmp-<16 hex>    what a look at the store puts there, and removes again
    .../.tmp-<16 hex>             what a put has not finished; garbage once it is old

All but blobs are JSON, each with its `"format"`, which is 1. Of a later one, `store.json` is refused, and what else is
written says nothing.
"""

from __future__ import annotations

import os
import re

STORE_FILE = "store.json"
BLOBS = "blobs/"
VERSIONS = "versions/"
MARKS = "marks/"
ACCEPTED = "marks/accepted/"
JOBLIB_CODE = "marks/joblib/"
PROBES = "marks/probes/"

_DIGEST = re.compile(r"[0-9a-f]{64}")
_BLOB = re.compile(r"blobs/([0-9a-f]{2})/(\1[0-9a-f]{62})")
_TEMPORARY = re.compile(r"(?:.*/)?\.tmp-[0-9a-f]{16}", re.DOTALL)


def blob_path(key: str) -> str:
    """Return where the blob of a key lies.

    Raises
    ------
    ValueError
        If `key` is not 64 lower-case hexadecimal digits.

    Examples
    --------
    >>> blob_path("ab" + 62 * "0")[:16]
    'blobs/ab/ab00000'
    """
    return f"{BLOBS}{_sharded(key)}"


def version_path(code_version: str) -> str:
    """Return where the named parts of a code version lie.

    Raises
    ------
    ValueError
        If `code_version` is not 64 lower-case hexadecimal digits.

    Examples
    --------
    >>> version_path("cd" + 62 * "0")[:16]
    'versions/cd/cd00'
    """
    return f"{VERSIONS}{_sharded(code_version)}"


def accepted_path(code_version: str) -> str:
    """Return where it stands which other code versions answer calls of this one.

    Raises
    ------
    ValueError
        If `code_version` is not 64 lower-case hexadecimal digits.

    Examples
    --------
    >>> accepted_path("cd" + 62 * "0")[:20]
    'marks/accepted/cd000'
    """
    return f"{ACCEPTED}{_checked(code_version)}"


def joblib_code_path(function: str) -> str:
    """Return where it stands which code a function had when joblib last stored its results.

    Parameters
    ----------
    function
        The digest of the name that joblib gives it.

    Raises
    ------
    ValueError
        If `function` is not 64 lower-case hexadecimal digits.

    Examples
    --------
    >>> joblib_code_path("ef" + 62 * "0")[:18]
    'marks/joblib/ef000'
    """
    return f"{JOBLIB_CODE}{_checked(function)}"


def key_of(path: str) -> str | None:
    """Return the key whose blob lies at `path`, or None where no blob belongs.

    Examples
    --------
    >>> key_of(blob_path(64 * "a")) == 64 * "a"
    True
    >>> key_of("store.json") is None
    True
    """
    match = _BLOB.fullmatch(path)
    return match[2] if match else None


def temporary_path(path: str) -> str:
    """Return a fresh name beside `path` under which a put may grow until it is whole.

    Examples
    --------
    >>> is_temporary(temporary_path("blobs/ab/abcd"))
    True
    """
    # In the same directory, for a rename is atomic within one filesystem only.
    folder, slash, _ = path.rpartition("/")
    return f"{folder}{slash}.tmp-{os.urandom(8).hex()}"


def probe_path() -> str:
    """Return a fresh name for an object that only finds out what a store can do.

    Examples
    --------
    >>> is_temporary(probe_path())
    True
    """
    # A temporary name: whoever dies before cleaning up leaves nothing that a collection does not sweep.
    return temporary_path(f"{PROBES}probe")


def is_temporary(path: str) -> bool:
    """Tell whether `path` was made by `temporary_path`: once it is old, its writer has died.

    Examples
    --------
    >>> is_temporary("blobs/ab/.tmp-0123456789abcdef"), is_temporary("store.json")
    (True, False)
    """
    return _TEMPORARY.fullmatch(path) is not None


def checked_path(path: str) -> str:
    """Return `path` if it names a place inside the store.

    Raises
    ------
    ValueError
        If it is empty, absolute, or has a part that is empty, `.` or `..`.

    Examples
    --------
    >>> checked_path("marks/pins/ana")
    'marks/pins/ana'
    """
    # Keys come from users and other people's indexes: none may lead out of the store. Most have no dot at all.
    if "." not in path and "//" not in f"/{path}/" and "\0" not in path:
        return path
    if any(part in {"", ".", ".."} for part in path.split("/")) or "\0" in path:
        raise ValueError(f"{path!r} names no object of a store. Give parts joined by single slashes.")
    return path


def _checked(digest: str) -> str:
    if _DIGEST.fullmatch(digest) is None:
        raise ValueError(f"{digest!r} is no digest. Give 64 lower-case hexadecimal digits.")
    return digest


def _sharded(digest: str) -> str:
    _checked(digest)
    # 256 folders keep a directory listable on filesystems that slow down with many names.
    return f"{digest[:2]}/{digest}"
