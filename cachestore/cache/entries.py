"""What a blob says of itself, as the row that the index keeps, and as the call that gave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cachestore.blob import Metadata
from cachestore.index import Entry
from cachestore.keys import CallKey, digest


@dataclass(frozen=True, slots=True)
class KnownCall:
    """Says of a call what outlives it: names, versions and digests.

    Parameters
    ----------
    key, function, code_version, code_parts
        As in a `CallKey`.
    arguments
        The digest of each argument by its name.
    """

    key: str
    function: str
    code_version: str
    code_parts: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, call: CallKey | Metadata) -> KnownCall:
        """Return what of a call, or of the one that gave a value, is known for good."""
        return cls(call.key, call.function, call.code_version, call.code_parts, call.arguments)

    @property
    def versionless(self) -> str:
        """The digest of the call but for its code version: equal for one call in two versions."""
        return digest((self.function, dict(self.arguments)))


def entry_of(metadata: Metadata, stored_size: int) -> Entry:
    """Say of a blob what the index keeps: the same row whether it was just put or is found again.

    Only the last use is of this moment.
    """
    return Entry(
        key=metadata.key,
        function=metadata.function,
        code_version=metadata.code_version,
        kind=metadata.kind,
        raw_size=metadata.raw_size,
        stored_size=stored_size,
        created_at=metadata.started_at + timedelta(seconds=metadata.seconds),
        last_used_at=datetime.now(UTC),
        seconds=metadata.seconds,
        creator=metadata.creator,
        value_digest=metadata.value_digest,
        parents=tuple(parent.key for parent in metadata.parents),
        call_digest=KnownCall.of(metadata).versionless,
        expires_at=metadata.expires_at,
    )
