"""Make the tables of misses, of what was given up, of code versions and of those that were accepted.

Revision: 0002, after 0001. Rows that are there already have no call digest: `cachestore rebuild` fills it in.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Bytewise order and comparison on every server, whatever its locale.
text = sa.String().with_variant(sa.String(collation="C"), "postgresql")
time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("entries", sa.Column("call_digest", text))
    op.drop_index("ix_entries_function", "entries")
    op.create_index("ix_entries_function", "entries", ["function", "created_at"])
    op.create_index("ix_entries_code_version", "entries", ["code_version"])
    op.create_index("ix_entries_call_digest", "entries", ["call_digest"])

    op.create_table(
        "miss_counts",
        sa.Column("function", text, primary_key=True),
        sa.Column("reason", text, primary_key=True),
        sa.Column("misses", sa.BigInteger, nullable=False),
    )

    op.create_table(
        "misses",
        sa.Column("key", text, primary_key=True),
        sa.Column("function", text, nullable=False),
        sa.Column("code_version", text, nullable=False),
        sa.Column("user", text, nullable=False),
        sa.Column("at", time, nullable=False),
        sa.Column("reason", text, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
    )
    op.create_index("ix_misses_function", "misses", ["function", "at"])

    op.create_table(
        "versions",
        sa.Column("code_version", text, primary_key=True),
        sa.Column("function", text, nullable=False),
        sa.Column("parts", sa.Text, nullable=False),
    )

    op.create_table(
        "evictions",
        sa.Column("key", text, primary_key=True),
        sa.Column("user", text, nullable=False),
        sa.Column("at", time, nullable=False),
        sa.Column("command", text, nullable=False),
        sa.Column("reason", text, nullable=False),
    )
    op.create_index("ix_evictions_at", "evictions", ["at"])

    op.create_table(
        "accepted",
        sa.Column("new", text, primary_key=True),
        sa.Column("old", text, primary_key=True),
        sa.Column("function", text, nullable=False),
        sa.Column("user", text, nullable=False),
        sa.Column("at", time, nullable=False),
    )


def downgrade() -> None:
    for table in ("accepted", "evictions", "versions", "misses", "miss_counts"):
        op.drop_table(table)
    for column in ("call_digest", "code_version", "function"):
        op.drop_index(f"ix_entries_{column}", "entries")
    op.drop_column("entries", "call_digest")
    op.create_index("ix_entries_function", "entries", ["function"])
