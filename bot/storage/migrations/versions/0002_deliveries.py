"""The messages of a platform that show an answer; there may be several."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("platform", sa.Text(), primary_key=True),
        sa.Column("channel", sa.Text(), primary_key=True),
        sa.Column("external", sa.Text(), primary_key=True),
        sa.Column("message", sa.Integer(), sa.ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
    )
    op.create_index("ix_deliveries_message", "deliveries", ["message"])


def downgrade() -> None:
    op.drop_table("deliveries")
