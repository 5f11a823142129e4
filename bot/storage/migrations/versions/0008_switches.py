"""Plugins that were switched off before there were settings are switched off by a setting."""

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
"""Where they stood: by server, a list of names."""
kept = sa.table(
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
KEY = [settings.c[name] for name in ("platform", "server", "channel", "role", "name")]
STOOD = (kept.c.plugin == PLUGIN) & (kept.c.scope == SCOPE)


def upgrade() -> None:
    connection = op.get_bind()
    taken = {tuple(row) for row in connection.execute(sa.select(*KEY))}
    for server, names in connection.execute(sa.select(kept.c.key, kept.c.value).where(STOOD)).all():
        place = _place(server)
        rows = [place | {"role": "", "name": f"{name}.enabled"} for name in names]
        # What moderators have set since counts.
        new = [row | _unsigned() for row in rows if tuple(row[column.name] for column in KEY) not in taken]
        if new:
            connection.execute(sa.insert(settings), new)
    connection.execute(sa.delete(kept).where(STOOD))


def downgrade() -> None:
    connection = op.get_bind()
    wanted = settings.c.name.like("%.enabled") & (settings.c.role == "") & settings.c.channel.in_(["", "terminal"])
    off: dict[str, list[str]] = {}
    found = sa.select(settings.c.server, settings.c.name, settings.c.value).where(wanted)
    for server, name, value in connection.execute(found):
        if value is False:
            off.setdefault(server, []).append(name.removesuffix(".enabled"))
    for server, names in off.items():
        row = {"plugin": PLUGIN, "scope": SCOPE, "key": server, "value": sorted(set(names))}
        connection.execute(sa.insert(kept).values(**row))


def _place(server: str) -> dict[str, str]:
    """The scope of a server whose platform was not noted: their ids differ in form."""
    if not server:
        return {"platform": "terminal", "server": "", "channel": "terminal"}
    platform = "web" if server == "web" else "discord" if re.fullmatch(r"[0-9]+", server) else "slack"
    return {"platform": platform, "server": server, "channel": ""}


def _unsigned() -> dict[str, Any]:
    return {"value": False, "actor": "", "actor_name": "", "changed": datetime.now(UTC)}
