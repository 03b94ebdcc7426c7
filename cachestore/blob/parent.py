"""An entry that went into another one."""

from __future__ import annotations

from typing import NamedTuple


class Parent(NamedTuple):
    """Names an entry whose value went into another one.

    Parameters
    ----------
    key
        The parent's key.
    value_digest
        The digest of the value that was used; None when it has none.
    """

    key: str
    value_digest: str | None
