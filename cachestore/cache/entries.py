"""What a blob says of itself, as the row that the index keeps, and as the call that gave it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cachestore.blob import Metadata
from cachestore.index import Entry
from cachestore.keys import CallKey


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
        call_digest=call_of(metadata).versionless(),
    )


def call_of(metadata: Metadata) -> CallKey:
    """Return the call that gave a value."""
    return CallKey(
        metadata.key, metadata.function, metadata.code_version, metadata.code_parts, metadata.arguments
    )
