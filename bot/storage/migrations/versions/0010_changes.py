"""Numbers of changes, by which processes notice what others changed."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NUMBERED = ("settings", "plugin_data")


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=False),
    )
    for table in NUMBERED:
        op.add_column(table, sa.Column("change_number", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    for table in NUMBERED:
        op.drop_column(table, "change_number")
    op.drop_table("changes")
