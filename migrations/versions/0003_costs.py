"""Make the table of what caching cost.

Revision: 0003, after 0002. What was spent before is not known: it counts from now on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Bytewise order and comparison on every server, whatever its locale.
text = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "costs",
        sa.Column("function", text, primary_key=True),
        sa.Column("seconds_spent", sa.Double, nullable=False),
        sa.Column("seconds_saved", sa.Double, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("costs")
