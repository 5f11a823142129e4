"""Convert the old list of plugins that are switched off to settings."""

import re
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

PLUGIN, SCOPE = "plugins", "off"
"""The old rows: for each server a list of names of plugins."""
plugin_data = sa.table(
    "plugin_data",
    sa.column("plugin", sa.Text()),
    sa.column("scope", sa.Text()),
    sa.column("key", sa.Text()),
    sa.column("value", sa.JSON()),
)
settings = sa.table(
    "settings",
    *(sa.column(name, sa.Text()) for name in ("platform", "server", "channel", "role", "name", "actor", "actor_name")),
    sa.column("value", sa.JSON()),
    sa.column("changed", sa.DateTime(timezone=True)),
)
KEY_COLUMNS = [settings.c[name] for name in ("platform", "server", "channel", "role", "name")]
IS_OLD_ROW = (plugin_data.c.plugin == PLUGIN) & (plugin_data.c.scope == SCOPE)


def upgrade() -> None:
    connection = op.get_bind()
    existing = {tuple(row) for row in connection.execute(sa.select(*KEY_COLUMNS))}
    for server, names in connection.execute(sa.select(plugin_data.c.key, plugin_data.c.value).where(IS_OLD_ROW)).all():
        place = _place(server)
        rows = [place | {"role": "", "name": f"{name}.enabled"} for name in names]
        # A setting that moderators have made since then is kept.
        new = [
            row | _value_columns() for row in rows if tuple(row[column.name] for column in KEY_COLUMNS) not in existing
        ]
        if new:
            connection.execute(sa.insert(settings), new)
    connection.execute(sa.delete(plugin_data).where(IS_OLD_ROW))


def downgrade() -> None:
    connection = op.get_bind()
    is_switch = settings.c.name.like("%.enabled") & (settings.c.role == "") & settings.c.channel.in_(["", "terminal"])
    off: dict[str, list[str]] = {}
    query = sa.select(settings.c.server, settings.c.name, settings.c.value).where(is_switch)
    for server, name, value in connection.execute(query):
        if value is False:
            off.setdefault(server, []).append(name.removesuffix(".enabled"))
    for server, names in off.items():
        row = {"plugin": PLUGIN, "scope": SCOPE, "key": server, "value": sorted(set(names))}
        connection.execute(sa.insert(plugin_data).values(**row))


def _place(server: str) -> dict[str, str]:
    """Return the scope of a server; its platform is known by the form of the id."""
    if not server:
        return {"platform": "terminal", "server": "", "channel": "terminal"}
    platform = "web" if server == "web" else "discord" if re.fullmatch(r"[0-9]+", server) else "slack"
    return {"platform": platform, "server": server, "channel": ""}


def _value_columns() -> dict[str, Any]:
    return {"value": False, "actor": "", "actor_name": "", "changed": datetime.now(UTC)}
