"""What is deleted of a server that removed the bot, and what stays."""

from sqlalchemy import select

from bot.privacy.departure import delete_server
from bot.storage.database import Database, PluginRow

OTHERS = [
    ("core", "", "slack"),
    ("core", "", "slack workspace"),
    ("explain", "discord/1", "slack"),
    ("explain", "discord/1", "slack: a guide"),
    ("explain", "gaps", "slack: how does it work"),
    ("web", "rooms", "slack"),
    ("duel", "round:2", "slack/T2:U1"),
    ("duel", "scores:slack/T2/T2", "slack/T2:U1"),
]
OWN = [
    ("log channel", "posted", "slack"),
    ("defaults", "", "slack:U0123ABC"),
    ("duel", "scores:slack/T1", "slack:U0123ABC"),
    ("duel", "places", "slack/T1/C1/"),
    ("explain", "slack:T1", "cells"),
]


async def test_the_workspace_with_the_bare_name_takes_nothing_of_others_along(database: Database) -> None:
    async with database.writing() as session:
        session.add_all(PluginRow(plugin=plugin, scope=scope, key=key, value=1) for plugin, scope, key in OTHERS + OWN)
    await delete_server(database, "slack", "T1")
    async with database.reading() as session:
        left = {(row.plugin, row.scope, row.key) for row in await session.scalars(select(PluginRow))}
    assert left & {*OTHERS, *OWN} == {*OTHERS}
