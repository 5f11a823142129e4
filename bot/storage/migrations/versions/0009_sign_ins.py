"""Store of each moderator of the web chat, beside when they signed in, their name and when they were last there."""

import time
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

plugin_data = sa.table(
    "plugin_data",
    sa.column("plugin", sa.Text()),
    sa.column("scope", sa.Text()),
    sa.column("key", sa.Text()),
    sa.column("value", sa.JSON()),
)
IS_MODERATOR = (plugin_data.c.plugin == "web chat") & (plugin_data.c.scope == "moderators")


def upgrade() -> None:
    # When they were last there is not known; from now on their sign-ins last as long as new ones.
    now = time.time()
    for key, since in _stored():
        _replace(key, {"name": f"Guest {key[:4]}", "since": since, "used": now})


def downgrade() -> None:
    for key, value in _stored():
        _replace(key, value["since"])


def _stored() -> list[tuple[str, Any]]:
    query = sa.select(plugin_data.c.key, plugin_data.c.value).where(IS_MODERATOR)
    return [(row.key, row.value) for row in op.get_bind().execute(query)]


def _replace(key: str, value: Any) -> None:
    change = sa.update(plugin_data).where(IS_MODERATOR & (plugin_data.c.key == key)).values(value=value)
    op.get_bind().execute(change)
