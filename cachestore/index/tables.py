"""The tables, as the newest migration leaves them."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from cachestore.index.entry import require_aware

# Bytewise order and comparison on every server, whatever its locale: a key's prefix is then a range of keys.
Text = sa.String().with_variant(sa.String(collation="C"), "postgresql")


class AwareUTC(sa.types.TypeDecorator[datetime]):
    """Stores aware times as UTC, gives them back aware, and refuses naive ones."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Turn an aware time into UTC."""
        require_aware("A time for the index", value)
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Turn what the database gives into aware UTC; SQLite drops the zone, and all it holds is UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = sa.MetaData()

entries = sa.Table(
    "entries",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("function", Text, nullable=False),
    sa.Column("code_version", Text, nullable=False, index=True),
    sa.Column("kind", Text, nullable=False),
    sa.Column("raw_size", sa.BigInteger, nullable=False),
    sa.Column("stored_size", sa.BigInteger, nullable=False, index=True),
    sa.Column("created_at", AwareUTC, nullable=False, index=True),
    sa.Column("last_used_at", AwareUTC, nullable=False, index=True),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("creator", Text, nullable=False, index=True),
    sa.Column("hits", sa.BigInteger, nullable=False),
    sa.Column("seconds_saved", sa.Double, nullable=False),
    sa.Column("value_digest", Text),
    sa.Column("expires_at", AwareUTC),
    sa.Column("call_digest", Text, index=True),
    # The latest and the earliest entries of a function are looked for at every miss.
    sa.Index("ix_entries_function", "function", "created_at"),
)

# Who used which entry. A use may come before the row of its entry (the blob is an orphan), hence no foreign
# key.
uses = sa.Table(
    "uses",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("user", Text, primary_key=True),
    sa.Column("hits", sa.BigInteger, nullable=False),
    sa.Column("seconds_saved", sa.Double, nullable=False),
    sa.Column("last_used_at", AwareUTC, nullable=False),
)

# A parent may be forgotten while its children stay, hence no foreign key here either.
parents = sa.Table(
    "parents",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("parent", Text, nullable=False, index=True),
)

# Keys that were used but had no row: blobs that wait to be adopted.
orphans = sa.Table("orphans", metadata, sa.Column("key", Text, primary_key=True))

# Spool files whose uses are counted already, kept until the file itself is gone.
spools = sa.Table("spools", metadata, sa.Column("name", Text, primary_key=True))

# How often which function was not answered, and why. As all below but `accepted`, it is lost with the index.
miss_counts = sa.Table(
    "miss_counts",
    metadata,
    sa.Column("function", Text, primary_key=True),
    sa.Column("reason", Text, primary_key=True),
    sa.Column("misses", sa.BigInteger, nullable=False),
)

# What caching cost each function, and what entries that are gone had saved.
costs = sa.Table(
    "costs",
    metadata,
    sa.Column("function", Text, primary_key=True),
    sa.Column("seconds_spent", sa.Double, nullable=False),
    sa.Column("seconds_saved", sa.Double, nullable=False),
)

# The latest misses of each function; arguments as JSON, their digests by name.
misses = sa.Table(
    "misses",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("function", Text, nullable=False),
    sa.Column("code_version", Text, nullable=False),
    sa.Column("user", Text, nullable=False),
    sa.Column("at", AwareUTC, nullable=False),
    sa.Column("reason", Text, nullable=False),
    sa.Column("arguments", sa.Text, nullable=False),
    sa.Index("ix_misses_function", "function", "at"),
)

# The parts of each code version that was asked for, as JSON: the version of each part by its name.
versions = sa.Table(
    "versions",
    metadata,
    sa.Column("code_version", Text, primary_key=True),
    sa.Column("function", Text, nullable=False),
    sa.Column("parts", sa.Text, nullable=False),
)

# What was given up on purpose, when and by whom.
evictions = sa.Table(
    "evictions",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("user", Text, nullable=False),
    sa.Column("at", AwareUTC, nullable=False, index=True),
    sa.Column("command", Text, nullable=False),
    sa.Column("reason", Text, nullable=False),
)

# Code versions that somebody declared equivalent: entries of `old` answer calls of `new`.
accepted = sa.Table(
    "accepted",
    metadata,
    sa.Column("new", Text, primary_key=True),
    sa.Column("old", Text, primary_key=True),
    sa.Column("function", Text, nullable=False),
    sa.Column("user", Text, nullable=False),
    sa.Column("at", AwareUTC, nullable=False),
)
