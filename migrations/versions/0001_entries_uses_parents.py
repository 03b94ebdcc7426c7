"""Make the tables of entries, of their uses and of their parents.

Revision: 0001, the first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Bytewise order and comparison on every server, whatever its locale.
text = sa.String().with_variant(sa.String(collation="C"), "postgresql")
time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "entries",
        sa.Column("key", text, primary_key=True),
        sa.Column("function", text, nullable=False),
        sa.Column("code_version", text, nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("raw_size", sa.BigInteger, nullable=False),
        sa.Column("stored_size", sa.BigInteger, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("last_used_at", time, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("creator", text, nullable=False),
        sa.Column("hits", sa.BigInteger, nullable=False),
        sa.Column("seconds_saved", sa.Double, nullable=False),
        sa.Column("value_digest", text),
        sa.Column("expires_at", time),
    )
    for column in ("function", "stored_size", "created_at", "last_used_at", "creator"):
        op.create_index(f"ix_entries_{column}", "entries", [column])

    op.create_table(
        "uses",
        sa.Column("key", text, primary_key=True),
        sa.Column("user", text, primary_key=True),
        sa.Column("hits", sa.BigInteger, nullable=False),
        sa.Column("seconds_saved", sa.Double, nullable=False),
        sa.Column("last_used_at", time, nullable=False),
    )

    op.create_table(
        "parents",
        sa.Column("key", text, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("parent", text, nullable=False),
    )
    op.create_index("ix_parents_parent", "parents", ["parent"])

    op.create_table("orphans", sa.Column("key", text, primary_key=True))
    op.create_table("spools", sa.Column("name", text, primary_key=True))


def downgrade() -> None:
    for table in ("spools", "orphans", "parents", "uses", "entries"):
        op.drop_table(table)
