"""What the errors of filesystems mean to whoever waits for an object."""

from __future__ import annotations

import errno
import re

from cachestore.errors import ObjectNotFound, StorageError

_CREDENTIALS = re.compile(r"(?<=:/)(/*)(?:[^/?#@:\s]*:(?!\d+(?:[/?#\s]|$))[^?#\s]*|[^/?#\s]*)@")
_QUERY = re.compile(r"(?<=:/)(/[^?\s]*)\?[^\s\"']*")

# What a later try may cure: the network, a busy server, too many files open.
_TRANSIENT = {
    errno.EAGAIN, errno.EBUSY, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH,
    errno.EINTR, errno.EIO, errno.EMFILE, errno.ENETUNREACH, errno.ENFILE, errno.ENOMEM, errno.EPIPE,
    errno.EREMOTEIO, errno.ESTALE, errno.ETIMEDOUT,
}  # fmt: skip

# What servers answer before they recover.
_BUSY = {408, 429, 500, 502, 503, 504}
# Broken connections that are neither a `ConnectionError` nor have a number: of clients that need not be installed.
_BROKEN = {
    "aiohttp.ClientError", "azure.ServiceRequestError", "azure.ServiceResponseError", "gcsfs.ChecksumError",
    "google.TransportError", "requests.ChunkedEncodingError", "requests.ConnectionError", "requests.Timeout",
}  # fmt: skip


class AlreadyThere(StorageError):
    """Says, within this room, that an exclusive create found something."""


class BeyondTheEnd(StorageError):
    """Says, within this room, that a range holds no byte of the object."""


def failure(error: Exception, attempt: str, *, absent: bool) -> StorageError:
    """Return the error that says what failed, why, and what to do.

    Parameters
    ----------
    error
        What a filesystem raised.
    attempt
        What was tried, such as `Cannot read 'store.json' in s3://team/cache`.
    absent
        Whether a missing file means that there is no such object.
    """
    if isinstance(error, FileNotFoundError | IsADirectoryError) and absent:
        return ObjectNotFound(f"{attempt}: there is no such object.")
    said = _said(error)
    status = _status(error)
    if status == 416:
        return BeyondTheEnd(f"{attempt}: {said}.")
    # Of gcsfs, which keeps no number of it.
    if isinstance(error, PermissionError) or status in {401, 403} or str(error).startswith("Forbidden: "):
        return StorageError(
            f"{attempt}: permission denied ({said}). "
            "Use other credentials, or ask the store's owner for access.",
        )
    if isinstance(error, TimeoutError):
        return StorageError(
            f"{attempt}: no answer in time ({said}). Look at the network and the address; "
            "the setting `timeout` allows more.",
            transient=True,
        )
    if status in _BUSY:
        return StorageError(
            f"{attempt}: the server is busy or ill ({said}). Try again later.", transient=True
        )
    if status is None and _broken(error):
        return StorageError(
            f"{attempt}: {said}. Look at the network and the address, and try again.", transient=True
        )
    if getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}:
        return StorageError(f"{attempt}: {said}. Free some space (`cachestore gc` shows what can go).")
    return StorageError(f"{attempt}: {said}. Look at the location and its storage options.")


def _status(error: Exception) -> int | None:
    """Return the HTTP status that an error keeps, under whichever name its client gives it."""
    for name in ("status_code", "status", "code"):
        status = getattr(error, name, None)
        if isinstance(status, int | str) and str(status).isdecimal():
            return int(status)
    return None


def _broken(error: Exception) -> bool:
    if isinstance(error, ConnectionError) or getattr(error, "errno", None) in _TRANSIENT:
        return True
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
    return not _BROKEN.isdisjoint(kinds)


def _said(error: BaseException) -> str:
    text = told(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def told(error: BaseException) -> str:
    """Return what an error says, on one line, without the credentials of an address that it names.

    Examples
    --------
    >>> told(OSError("no answer from http://ana:secret@example.org/x."))
    'no answer from http://example.org/x'
    >>> told(OSError('no answer from "https://example.org/x?sig=secret"'))
    'no answer from "https://example.org/x"'
    """
    text = _CREDENTIALS.sub(r"\1", " ".join(str(error).split()))
    return _QUERY.sub(r"\1", text).rstrip(".")
