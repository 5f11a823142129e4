"""An index by which the answer of a deleted message is found without its channel, as a thread has another one."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_deliveries_external", "deliveries", ["platform", "external"])


def downgrade() -> None:
    op.drop_index("ix_deliveries_external", "deliveries")
