"""What every reader of a blob answers about it."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

from cachestore.blob.table import NEVER, Head

if TYPE_CHECKING:
    from cachestore.blob.metadata import Metadata


class Described:
    """Answers from the head of a table and from metadata whose digests have been checked."""

    _head: Head
    _raw_metadata: bytes
    _raw_size: int

    @property
    def key(self) -> str:
        """The key it was stored under; empty where it has none."""
        return self._head.key_text

    @property
    def value_digest(self) -> str | None:
        """The digest of its value, where it has one."""
        return self._head.value_digest_text

    @property
    def seconds(self) -> float:
        """How long the computation of the value took."""
        return self._head.seconds

    @property
    def raw_size(self) -> int:
        """The bytes of the value before compression."""
        return self._raw_size

    def has_expired(self) -> bool:
        """Say whether its time is over."""
        return not self.outlasts(0.0)

    def outlasts(self, seconds: float) -> bool:
        """Say whether its time is not yet over in so many seconds."""
        expires = self._head.expires
        return expires == NEVER or expires > (time.time() + seconds) * 1e6

    @cached_property
    def metadata(self) -> Metadata:
        """All that the blob says of itself.

        Raises
        ------
        CorruptBlob
            If they cannot be understood, or do not agree with the table.
        """
        from cachestore.blob.metadata import Metadata  # which a hit need not know

        return Metadata.read(self._raw_metadata, self._head, raw_size=self._raw_size)

    def alone(self) -> Described:
        """Return what answers the same, and keeps nothing else of the blob in memory or open."""
        described = Described()
        described._head = self._head
        described._raw_metadata = self._raw_metadata
        described._raw_size = self._raw_size
        if "metadata" in self.__dict__:
            described.metadata = self.metadata
        return described
