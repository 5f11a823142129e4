"""Turns Discord's interactions and messages into requests."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import discord

from bot.core.errors import UserError
from bot.core.files import require_size
from bot.core.messages import PRIVATE_THREAD, Attachment, Place, RemoteFile, Request, User
from bot.core.text import strip_mentions

if TYPE_CHECKING:
    from collections.abc import Mapping

PLATFORM = "discord"
FETCH_SECONDS = 30.0
"""How long a file may take to come; meanwhile it holds the turn of others."""
MENTION = re.compile(r"<(?P<kind>@!?|@&|#)(?P<id>[0-9]{1,20})>")


def from_interaction(interaction: discord.Interaction, **fields: Any) -> Request:
    """Return the request of a command, a button or a form; `fields` are those of Request that depend on it."""
    is_moderator = interaction.guild_id is not None and _is_moderator(interaction.permissions)
    return Request(
        user=_user(
            interaction.user,
            interaction.locale.value,
            is_moderator=is_moderator,
            in_server=interaction.guild_id is not None,
        ),
        place=_place(interaction.channel, interaction.guild_id),
        # A conversation without the bot has no server either, but there the asker is not alone.
        alone=interaction.context.dm_channel,
        resume=_privacy_data(interaction.channel),
        **fields,
    )


def from_message(message: discord.Message, text: str) -> Request:
    """Return the request of an ordinary message."""
    author, reference = message.author, message.reference
    is_moderator = isinstance(author, discord.Member) and _is_moderator(author.guild_permissions)
    return Request(
        user=_user(author, locale_of(message), is_moderator=is_moderator, in_server=message.guild is not None),
        place=_place(message.channel, None if message.guild is None else message.guild.id),
        text=text,
        alone=isinstance(message.channel, discord.DMChannel),
        message=str(message.id),
        reply_to=str(reference.message_id or "") if reference is not None else "",
        message_files=files_of(message),
        resume=_privacy_data(message.channel),
    )


def mentioned_user(user: discord.User | discord.Member, interaction: discord.Interaction) -> User:
    """Return a user whom an interaction names, with their rights and roles in its channel."""
    is_moderator = False
    if isinstance(user, discord.Member):
        is_moderator = _is_moderator(user.resolved_permissions or user.guild_permissions)
    in_server = interaction.guild_id is not None
    return _user(user, "en", is_moderator=is_moderator, in_server=in_server)


def server_member(user: discord.Member) -> User:
    """Return a member of a server, with their rights and roles there."""
    return _user(user, "en", is_moderator=_is_moderator(user.guild_permissions), in_server=True)


def locale_of(message: discord.Message) -> str:
    """Return the language of the server, since Discord does not tell that of a message's author."""
    return message.guild.preferred_locale.value if message.guild is not None else "en"


def plain_text(message: discord.Message, bot_id: int) -> str:
    """Return the text of a message without mentions of the bot at its ends, and with names for other mentions."""
    text = strip_mentions(message.content, re.compile(f"<@!?{bot_id}>"))
    return MENTION.sub(lambda match: _mention_name(message, match["kind"], int(match["id"])) or match[0], text).strip()


def _mention_name(message: discord.Message, kind: str, number: int) -> str:
    """Return a mention as people read it; "" if it is unknown."""
    if kind == "#":
        channel = message.guild.get_channel_or_thread(number) if message.guild is not None else None
        return "" if channel is None else f"#{channel.name}"
    if kind == "@&":
        role = discord.utils.get(message.role_mentions, id=number)
        return "" if role is None else f"@{role.name}"
    user = discord.utils.get(message.mentions, id=number)
    return "" if user is None else f"@{user.display_name}"


def _user(user: discord.User | discord.Member, locale: str, *, is_moderator: bool, in_server: bool) -> User:
    """Return a user; their roles are unknown in a server about whose members Discord tells nothing."""
    roles: tuple[str, ...] | None = None if in_server else ()
    if isinstance(user, discord.Member):
        # `user.roles` has only those that the server's cache knows, which is empty until Discord has told about it.
        roles = (str(user.guild.id), *map(str, user._roles))
    return User(str(user.id), user.display_name, is_moderator=is_moderator, locale=locale, roles=roles)


def _place(channel: Any, guild: int | None) -> Place:
    """Return where a channel is; `channel` is any of discord.py's classes of full or partial channels."""
    server = "" if guild is None else str(guild)
    if channel is None:
        return Place(PLATFORM, "", server)
    if isinstance(channel, discord.Thread):
        return Place(PLATFORM, str(channel.parent_id), server, str(channel.id))
    return Place(PLATFORM, str(channel.id), server)


def _privacy_data(channel: Any) -> dict[str, bool]:
    """Return the mark that is stored with answers in a private thread."""
    return {PRIVATE_THREAD: True} if isinstance(channel, discord.Thread) and channel.is_private() else {}


def _is_moderator(permissions: discord.Permissions) -> bool:
    return permissions.manage_guild or permissions.administrator


# Files: a request is decided with their names alone; they are fetched once it is acknowledged.


def with_empty_files(request: Request) -> Request:
    """Return the request with an empty file in place of each of Discord's. Raises UserError if one is too large."""
    return _with_values(request, {name: _empty_file(file) for name, file in _files(request).items()})


async def fetch_files(request: Request) -> dict[str, Attachment]:
    """Return the files of the request's options, by option. Raises UserError if one cannot be fetched."""
    return {name: await _fetch(file) for name, file in _files(request).items()}


def files_of(message: discord.Message) -> tuple[RemoteFile, ...]:
    """Return the files of a message."""
    return tuple(
        RemoteFile(file.filename, file.content_type or "", partial(_fetch, file)) for file in message.attachments
    )


async def _fetch(file: discord.Attachment) -> Attachment:
    empty = _empty_file(file)
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            data = await file.read()
    except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
        raise UserError("{file} could not be fetched from Discord; send it again.", file=file.filename) from error
    return replace(empty, data=data)


def _values(request: Request) -> Mapping[str, Any]:
    return request.options if request.action is None else request.action.fields or {}


def _files(request: Request) -> dict[str, discord.Attachment]:
    return {name: value for name, value in _values(request).items() if isinstance(value, discord.Attachment)}


def _with_values(request: Request, values: Mapping[str, Any]) -> Request:
    if not values:
        return request
    values = {**_values(request), **values}
    if request.action is None:
        return replace(request, options=values)
    return replace(request, action=replace(request.action, fields=values))


def _empty_file(file: discord.Attachment) -> Attachment:
    require_size(file.filename, file.size)
    return Attachment(file.filename, b"", file.content_type or "application/octet-stream")
