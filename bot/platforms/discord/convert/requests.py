"""From what happens on Discord to requests: who asks, where, and in which words."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import discord

from bot.core.errors import UserError
from bot.core.files import require_size
from bot.core.messages import PRIVATE_THREAD, Attachment, Place, Request, User

if TYPE_CHECKING:
    from collections.abc import Mapping

PLATFORM = "discord"
MENTION = re.compile(r"<(?P<kind>@!?|@&|#)(?P<id>[0-9]{1,20})>")


def from_interaction(interaction: discord.Interaction, **what: Any) -> Request:
    """What was asked by a command, a button or a form."""
    is_moderator = interaction.guild_id is not None and _moderates(interaction.permissions)
    return Request(
        user=_user(
            interaction.user,
            interaction.locale.value,
            is_moderator=is_moderator,
            in_server=interaction.guild_id is not None,
        ),
        place=_place(interaction.channel, interaction.guild_id),
        # Where people write to each other without the bot, there is no server either.
        alone=interaction.context.dm_channel,
        resume=_closed_to_others(interaction.channel),
        **what,
    )


def from_message(message: discord.Message, text: str) -> Request:
    """What was asked by an ordinary message."""
    author, reference = message.author, message.reference
    is_moderator = isinstance(author, discord.Member) and _moderates(author.guild_permissions)
    return Request(
        user=_user(author, locale_of(message), is_moderator=is_moderator, in_server=message.guild is not None),
        place=_place(message.channel, None if message.guild is None else message.guild.id),
        text=text,
        alone=isinstance(message.channel, discord.DMChannel),
        message=str(message.id),
        reply_to=str(reference.message_id or "") if reference is not None else "",
        resume=_closed_to_others(message.channel),
    )


def person(user: discord.User | discord.Member, interaction: discord.Interaction) -> User:
    """Somebody whom an interaction names, with the rights and roles that they have where it happened."""
    is_moderator = isinstance(user, discord.Member) and _moderates(user.resolved_permissions or user.guild_permissions)
    in_server = interaction.guild_id is not None
    return _user(user, "en", is_moderator=is_moderator, in_server=in_server)


def member(user: discord.Member) -> User:
    """Somebody in their server, with the rights and roles that they have there."""
    return _user(user, "en", is_moderator=_moderates(user.guild_permissions), in_server=True)


def locale_of(message: discord.Message) -> str:
    """The language of a server; messages do not tell that of their author."""
    return message.guild.preferred_locale.value if message.guild is not None else "en"


def words(message: discord.Message, me: int) -> str:
    """The text of a message without the bot's own mention around it, other mentions as names."""
    own = rf"\s*<@!?{me}>\s*"
    text = re.sub(rf"\A(?:{own})+|(?:{own})+\Z", "", message.content)
    return MENTION.sub(lambda match: _named(message, match["kind"], int(match["id"])) or match[0], text).strip()


def _named(message: discord.Message, kind: str, number: int) -> str:
    """A mention as people read it; "" for what nobody knows."""
    if kind == "#":
        channel = message.guild.get_channel_or_thread(number) if message.guild is not None else None
        return "" if channel is None else f"#{channel.name}"
    if kind == "@&":
        role = discord.utils.get(message.role_mentions, id=number)
        return "" if role is None else f"@{role.name}"
    user = discord.utils.get(message.mentions, id=number)
    return "" if user is None else f"@{user.display_name}"


def _user(user: discord.User | discord.Member, locale: str, *, is_moderator: bool, in_server: bool) -> User:
    """In a server where Discord does not say who somebody is there, their roles are not known."""
    roles: tuple[str, ...] | None = None if in_server else ()
    if isinstance(user, discord.Member):
        roles = tuple(str(role.id) for role in user.roles)
    return User(str(user.id), user.display_name, is_moderator=is_moderator, locale=locale, roles=roles)


def _place(channel: Any, guild: int | None) -> Place:
    """`channel` is anything of discord.py that is or stands for a channel."""
    server = "" if guild is None else str(guild)
    if channel is None:
        return Place(PLATFORM, "", server)
    if isinstance(channel, discord.Thread):
        return Place(PLATFORM, str(channel.parent_id), server, str(channel.id))
    return Place(PLATFORM, str(channel.id), server)


def _closed_to_others(channel: Any) -> dict[str, bool]:
    """What is to be kept with answers in a thread that those alone may read who were invited into it."""
    return {PRIVATE_THREAD: True} if isinstance(channel, discord.Thread) and channel.is_private() else {}


def _moderates(permissions: discord.Permissions) -> bool:
    return permissions.manage_guild or permissions.administrator


# Files: a request is decided on with their names alone, and fetches them once it is acknowledged.


def announced(request: Request) -> Request:
    """The request with an empty file for each of Discord's. Raises UserError for one that is too large."""
    return _with_values(request, {name: _empty(file) for name, file in _files(request).items()})


async def fetch_files(request: Request) -> dict[str, Attachment]:
    """Return the files of the request's options, by option. Raises UserError if one cannot be had."""
    found = {}
    for name, file in _files(request).items():
        try:
            data = await file.read()
        except (discord.HTTPException, aiohttp.ClientError) as error:
            raise UserError("{file} could not be fetched from Discord; send it again.", file=file.filename) from error
        found[name] = replace(_empty(file), data=data)
    return found


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


def _empty(file: discord.Attachment) -> Attachment:
    require_size(file.filename, file.size)
    return Attachment(file.filename, b"", file.content_type or "application/octet-stream")
