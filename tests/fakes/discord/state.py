"""The state of Discord: users, servers, channels and messages. Ids are text, as on the wire."""

from __future__ import annotations

import itertools
import struct
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fakes.discord import permissions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fakes.discord.interactions import FakeInteraction
    from fakes.discord.world import World

EPOCH_MS = 1420070400000
TEXT, DM, GROUP, THREAD, PRIVATE_THREAD = 0, 1, 3, 11, 12
EPHEMERAL, LOADING = 1 << 6, 1 << 7
JOINED = "2024-05-01T10:00:00.000000+00:00"
_numbers = itertools.count(1)


def snowflake() -> str:
    """Return a new id, which contains its time of creation, as Discord's do."""
    return str((int(time.time() * 1000) - EPOCH_MS) << 22 | next(_numbers) & 0x3FFFFF)


def now() -> str:
    """Return the time as Discord writes it."""
    return datetime.now(UTC).isoformat()


@dataclass(eq=False)
class FakeUser:
    """A user. Set `dm_closed` to make direct messages to them fail with 50007."""

    name: str
    locale: str = "en-US"
    bot: bool = False
    dm_closed: bool = False
    id: str = field(default_factory=snowflake)

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"

    def payload(self) -> dict[str, Any]:
        """The user as sent."""
        return {
            "id": self.id,
            "username": self.name.lower().replace(" ", "."),
            "global_name": self.name,
            "discriminator": "0",
            "avatar": None,
            "bot": self.bot,
            "public_flags": 0,
        }


@dataclass(eq=False)
class FakeRole:
    """A role of a guild."""

    name: str
    permissions: int = 0
    id: str = field(default_factory=snowflake)

    def payload(self) -> dict[str, Any]:
        """The role as sent."""
        return {
            "id": self.id,
            "name": self.name,
            "permissions": str(self.permissions),
            "color": 0,
            "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
            "hoist": False,
            "icon": None,
            "unicode_emoji": None,
            "position": 0,
            "managed": False,
            "mentionable": False,
            "flags": 0,
        }


@dataclass(eq=False, repr=False)
class FakeChannel:
    """A text channel, a thread (it has a `parent`) or a direct message (it has `recipients`)."""

    name: str
    kind: int = TEXT
    guild: FakeGuild | None = None
    parent: FakeChannel | None = None
    recipients: tuple[FakeUser, ...] = ()
    overwrites: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By role or member: allowed and denied bits."""
    owner_id: str = ""
    archived: bool = False
    locked: bool = False
    deleted: bool = False
    id: str = field(default_factory=snowflake)
    messages: list[FakeMessage] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<#{self.name} {self.id}>"

    def payload(self) -> dict[str, Any]:
        """The channel as sent."""
        body: dict[str, Any] = {"id": self.id, "type": self.kind, "flags": 0, "last_message_id": None}
        if self.kind in (DM, GROUP):
            return body | {"recipients": [user.payload() for user in self.recipients]}
        assert self.guild is not None
        body |= {"guild_id": self.guild.id, "name": self.name, "rate_limit_per_user": 0}
        if self.parent is not None:
            return body | {
                "parent_id": self.parent.id,
                "owner_id": self.owner_id,
                "message_count": sum(not message.deleted for message in self.messages),
                "total_message_sent": len(self.messages),
                "member_count": 1,
                "thread_metadata": {
                    "archived": self.archived,
                    "locked": self.locked,
                    "auto_archive_duration": 1440,
                    "archive_timestamp": now(),
                    "create_timestamp": now(),
                },
            }
        return body | {
            "position": 0,
            "parent_id": None,
            "topic": None,
            "nsfw": False,
            "permission_overwrites": [
                {"id": who, "type": int(who not in self.guild.roles), "allow": str(allow), "deny": str(deny)}
                for who, (allow, deny) in self.overwrites.items()
            ],
        }


@dataclass(eq=False, repr=False)
class FakeGuild:
    """A server. `bot` says whether the bot is a member; `commands_scope`, whether its commands were invited too."""

    world: World
    name: str
    owner_id: str = "0"
    bot: bool = True
    commands_scope: bool = True
    commands_alone: bool = False
    """Whether the bot's commands were added, and not the bot."""
    locale: str = "en-US"
    joined: str = JOINED
    """When the bot was added."""
    id: str = field(default_factory=snowflake)
    roles: dict[str, FakeRole] = field(default_factory=dict)
    members: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By user: ids of roles."""
    channels: dict[str, FakeChannel] = field(default_factory=dict)
    threads: dict[str, FakeChannel] = field(default_factory=dict)
    system_channel: FakeChannel | None = None

    def __repr__(self) -> str:
        return f"<guild {self.name} {self.id}>"

    def add_channel(self, name: str) -> FakeChannel:
        """Add a text channel."""
        channel = FakeChannel(name, TEXT, self)
        self.channels[channel.id] = self.world.channels[channel.id] = channel
        self.world.send_channel_event("CHANNEL_CREATE", channel)
        return channel

    def add_role(self, name: str, *granted: str) -> FakeRole:
        """Add a role with these permissions, which nobody has yet."""
        role = FakeRole(name, permissions.bits(granted))
        self.roles[role.id] = role
        return role

    def join(self, user: FakeUser, *roles: FakeRole) -> None:
        """Make a user a member with these roles."""
        self.members[user.id] = tuple(role.id for role in roles)

    def set_permissions(
        self, channel: FakeChannel, *, allow: Iterable[str] = (), deny: Iterable[str] = (), who: str = ""
    ) -> None:
        """Set a channel's overwrite for the bot, or for `who`, the id of a role or member."""
        channel.overwrites[who or self.world.bot.id] = (permissions.bits(allow), permissions.bits(deny))
        self.world.send_channel_event("CHANNEL_UPDATE", channel)

    def payload(self, members: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The guild as in GUILD_CREATE."""
        return {
            "id": self.id,
            "name": self.name,
            "owner_id": self.owner_id,
            "icon": None,
            "preferred_locale": self.locale,
            "system_channel_id": self.system_channel and self.system_channel.id,
            "roles": [role.payload() for role in self.roles.values()],
            "channels": [channel.payload() for channel in self.channels.values()],
            "threads": [thread.payload() for thread in self.threads.values() if not thread.archived],
            "members": list(members),
            "member_count": len(self.members),
            "joined_at": self.joined,
            "large": False,
            "features": [],
            "verification_level": 0,
            "default_message_notifications": 0,
            "explicit_content_filter": 0,
            "mfa_level": 0,
            "nsfw_level": 0,
            "premium_tier": 0,
            "emojis": [],
            "stickers": [],
            "voice_states": [],
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
        }

    def member(self, user: FakeUser, channel: FakeChannel | None = None) -> dict[str, Any]:
        """A member as sent; in an interaction with the rights they have in its channel."""
        body: dict[str, Any] = {
            "roles": list(self.members.get(user.id, ())),
            "joined_at": self.joined if user is self.world.bot else JOINED,
            "premium_since": None,
            "nick": None,
            "avatar": None,
            "deaf": False,
            "mute": False,
            "pending": False,
            "flags": 0,
        }
        if channel is not None:
            body["permissions"] = str(permissions.resolved(self, channel, user.id))
        return body


@dataclass(eq=False)
class FakeAttachment:
    """A file of a message; `description` is its alt text."""

    filename: str
    data: bytes
    url: str
    description: str = ""
    is_spoiler: bool = False
    media_type: str = "application/octet-stream"
    ephemeral: bool = False
    id: str = field(default_factory=snowflake)

    @property
    def spoiler(self) -> bool:
        return self.is_spoiler or self.filename.startswith("SPOILER_")

    def payload(self) -> dict[str, Any]:
        """The attachment as sent."""
        body: dict[str, Any] = {
            "id": self.id,
            "filename": self.filename,
            "size": len(self.data),
            "url": self.url,
            "proxy_url": self.url,
            "content_type": self.media_type,
            "ephemeral": self.ephemeral,
            "flags": 8 if self.spoiler else 0,
        }
        if self.description:
            body["description"] = self.description
        if self.data.startswith(b"\x89PNG"):
            body["width"], body["height"] = struct.unpack(">II", self.data[16:24])
        return body


@dataclass(eq=False, repr=False)
class FakeMessage:
    """A message and its history: `edits` has the monotonic time of each change and the text after it."""

    channel: FakeChannel
    author: FakeUser
    content: str = ""
    kind: int = 0
    flags: int = 0
    attachments: list[FakeAttachment] = field(default_factory=list)
    components: list[dict[str, Any]] = field(default_factory=list)
    embeds: list[dict[str, Any]] = field(default_factory=list)
    reference: FakeMessage | None = None
    interaction: FakeInteraction | None = None
    allowed_mentions: dict[str, Any] | None = None
    mentions: list[FakeUser] = field(default_factory=list)
    pings: list[str] = field(default_factory=list)
    """Who is notified by it: ids of users and roles, or "everyone"."""
    thread: FakeChannel | None = None
    edits: list[tuple[float, str]] = field(default_factory=list)
    created: float = field(default_factory=time.monotonic)
    timestamp: str = field(default_factory=now)
    deleted: bool = False
    id: str = field(default_factory=snowflake)

    def __repr__(self) -> str:
        marks = "".join(" deleted" * self.deleted + " private" * self.ephemeral + " …" * self.loading)
        files = [attachment.filename for attachment in self.attachments]
        return f"<{self.author.name} in {self.channel!r}{marks}: {self.content!r} {list(self.buttons)} {files}>"

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    @property
    def loading(self) -> bool:
        """Whether it is still only "… is thinking"."""
        return bool(self.flags & LOADING)

    @property
    def buttons(self) -> dict[str, dict[str, Any]]:
        """Its buttons by label, in order."""
        found: dict[str, dict[str, Any]] = {}

        def walk(part: Any) -> None:
            if isinstance(part, list):
                for one in part:
                    walk(one)
            elif isinstance(part, dict):
                if part.get("type") == 2:
                    found[part.get("label") or ""] = part
                walk(part.get("components"))
                walk(part.get("accessory"))

        walk(self.components)
        return found

    def payload(self, *, nested: bool = False) -> dict[str, Any]:
        """The message as sent. A `nested` one stands in another, without the message that it refers to."""
        body: dict[str, Any] = {
            "id": self.id,
            "type": self.kind,
            "channel_id": self.channel.id,
            "author": self.author.payload(),
            "content": self.content,
            "timestamp": self.timestamp,
            "edited_timestamp": now() if self.edits else None,
            "tts": False,
            "mention_everyone": "everyone" in self.pings,
            "mentions": [user.payload() for user in self.mentions],
            "mention_roles": [],
            "attachments": [attachment.payload() for attachment in self.attachments],
            "embeds": self.embeds,
            "components": self.components,
            "pinned": False,
            "flags": self.flags,
        }
        if self.interaction is not None:
            body |= {"webhook_id": self.interaction.application_id, "application_id": self.interaction.application_id}
            body["interaction_metadata"] = self.interaction.metadata()
        if self.thread is not None:
            body["thread"] = self.thread.payload()
        if self.reference is not None:
            where = {"message_id": self.reference.id, "channel_id": self.reference.channel.id}
            guild = self.reference.channel.guild
            body["message_reference"] = {"type": 0, **where, **({"guild_id": guild.id} if guild else {})}
            if not nested:
                body["referenced_message"] = None if self.reference.deleted else self.reference.payload(nested=True)
        return body

    def payload_for(self, bot: FakeUser, *, message_content: bool) -> dict[str, Any]:
        """The message as in an event for `bot`; without the intent, its content is hidden unless `bot` is meant."""
        body = self.payload()
        hidden = {"content": "", "attachments": [], "embeds": [], "components": []}
        if not (message_content or self._is_for(bot)):
            body |= hidden
        referred = self.reference is not None and not self.reference.deleted
        if referred and not (message_content or self.reference._is_for(bot)):
            body["referenced_message"] |= hidden
        return body

    def _is_for(self, bot: FakeUser) -> bool:
        return self.channel.kind == DM or self.author is bot or bot in self.mentions
