"""Deletes what is stored of a server that removed the bot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, or_

from bot.access.timeouts import TimeOutRow
from bot.core.messages import base_platform
from bot.moderation.log_channel import POSTED, TROUBLE
from bot.settings.scopes import SettingRow
from bot.storage.audit import AuditRow
from bot.storage.changes import DEFAULTS, SETTINGS, number_change
from bot.storage.counters import CountRow
from bot.storage.database import EventRow, MessageRow, PluginRow
from bot.storage.installations import InstallationRow
from bot.storage.key_value import BlobRow

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from bot.storage.database import Database

WITH_SERVER = (MessageRow, SettingRow, AuditRow, TimeOutRow, CountRow)
"""The tables whose rows name the server that they are of."""


async def delete_server(database: Database, platform: str, server: str) -> int:
    """Delete all that is stored of a server and of the direct messages on `platform`, and its installation.

    `platform` has no other server. Returns the number of messages. Unlike the deletion of one person, this takes the
    audit, too: there is nobody left who may read it.
    """
    async with database.writing() as session:
        deleted = 0
        for table in WITH_SERVER:
            here = (table.platform == platform) & table.server.in_((server, ""))
            rows = await session.execute(delete(table).where(here))
            deleted = rows.rowcount if table is MessageRow else deleted  # type: ignore[attr-defined]
        await session.execute(delete(InstallationRow).where(InstallationRow.id == server))
        await session.execute(delete(EventRow).where(EventRow.platform == platform))
        for plugin_table in (PluginRow, BlobRow):
            await session.execute(delete(plugin_table).where(_is_of(plugin_table, platform, server)))
        for kind in (SETTINGS, DEFAULTS):
            await number_change(session, kind, removes=True)
    await database.truncate_wal()
    return deleted


def _is_of(table: Any, platform: str, server: str) -> ColumnElement[bool]:
    """Return the condition for what a plugin has stored of a server, of its people or of its places."""
    place = f"{platform}/{server}"
    conditions = [_names(column, name) for column in (table.scope, table.key) for name in (server, place)]
    conditions += [_names(table.scope, platform), table.key.startswith(f"{place}/", autoescape=True)]
    if platform == base_platform(platform):
        # Its bare name may also begin a title or a question that somebody wrote, or be the name of a secret.
        conditions += [
            table.scope.in_((POSTED, TROUBLE)) & (table.key == platform),
            table.key.regexp_match(f"^{platform}:[UW]\\w+$"),
        ]
    else:
        conditions.append(_names(table.key, platform))
    return or_(*conditions)


def _names(column: Any, name: str) -> ColumnElement[bool]:
    """Return the condition for keys that are `name`, or have it as one of their parts between colons."""
    first, last = column.startswith(f"{name}:", autoescape=True), column.endswith(f":{name}", autoescape=True)
    return or_(column == name, first, last, column.contains(f":{name}:", autoescape=True))
