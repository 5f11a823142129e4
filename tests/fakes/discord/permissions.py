"""Permissions as bits, and a member's permissions by their roles and a channel's overwrites."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fakes.discord.state import FakeChannel, FakeGuild

BITS = {
    "administrator": 1 << 3,
    "manage_channels": 1 << 4,
    "manage_guild": 1 << 5,
    "add_reactions": 1 << 6,
    "view_channel": 1 << 10,
    "send_messages": 1 << 11,
    "manage_messages": 1 << 13,
    "embed_links": 1 << 14,
    "attach_files": 1 << 15,
    "read_message_history": 1 << 16,
    "mention_everyone": 1 << 17,
    "use_application_commands": 1 << 31,
    "manage_threads": 1 << 34,
    "create_public_threads": 1 << 35,
    "send_messages_in_threads": 1 << 38,
}
ALL = sum(BITS.values())


def bits(names: Iterable[str]) -> int:
    """Return the number for these permissions."""
    return sum(BITS[name] for name in set(names))


INVITED = (
    "view_channel",
    "send_messages",
    "send_messages_in_threads",
    "create_public_threads",
    "attach_files",
    "read_message_history",
)
"""The permissions of the bot's invite, and all that it has, since @everyone has hardly any here."""
PEOPLE = (*INVITED, "add_reactions", "embed_links", "mention_everyone", "use_application_commands")
MODERATORS = ("manage_guild", "manage_channels", "manage_messages", "manage_threads")


def resolved(guild: FakeGuild, channel: FakeChannel, user_id: str) -> int:
    """Return a member's permissions in a channel; a thread has its parent's overwrites."""
    roles = [guild.id, *guild.members.get(user_id, ())]
    allowed = 0
    for role in roles:
        allowed |= guild.roles[role].permissions
    if allowed & BITS["administrator"] or guild.owner_id == user_id:
        return ALL
    overwrites = (channel.parent or channel).overwrites
    for group in ([guild.id], roles[1:], [user_id]):
        deny = allow = 0
        for one in group:
            deny |= overwrites.get(one, (0, 0))[1]
            allow |= overwrites.get(one, (0, 0))[0]
        allowed = allowed & ~deny | allow
    return allowed if allowed & BITS["view_channel"] else 0
