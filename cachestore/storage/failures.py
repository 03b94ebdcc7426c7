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
    if getattr(error, "status_code", None) == 416:
        return BeyondTheEnd(f"{attempt}: {said}.")
    if isinstance(error, PermissionError):
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
    if isinstance(error, ConnectionError) or getattr(error, "errno", None) in _TRANSIENT:
        return StorageError(
            f"{attempt}: {said}. Look at the network and the address, and try again.", transient=True
        )
    if getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}:
        return StorageError(f"{attempt}: {said}. Free some space (`cachestore gc` shows what can go).")
    return StorageError(f"{attempt}: {said}. Look at the location and its storage options.")


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
