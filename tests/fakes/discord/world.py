"""The state of the fake, the events about its changes, and the actions of moderators."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import TYPE_CHECKING, Any

from fakes.core.stack_dump import show_stacks
from fakes.discord import permissions
from fakes.discord.errors import ApiError
from fakes.discord.gateway import Gateway
from fakes.discord.state import (
    DM,
    GROUP,
    PRIVATE_THREAD,
    TEXT,
    THREAD,
    FakeAttachment,
    FakeChannel,
    FakeGuild,
    FakeMessage,
    FakeRole,
    FakeUser,
    now,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fakes.discord.interactions import FakeInteraction

GUILDS, GUILD_MESSAGES, DIRECT_MESSAGES = 1 << 0, 1 << 9, 1 << 12
TIMEOUT_SECONDS = 30.0
"""How long a test waits before it fails."""


class World:
    """The state behind REST and gateway. `api_base` and `gateway_url` are set once it runs."""

    def __init__(self) -> None:
        self.api_base = ""
        self.gateway_url = ""
        self.bot = FakeUser("Tempera", bot=True)
        self.application_id = self.bot.id
        self.token = f"{base64.b64encode(self.bot.id.encode()).decode().rstrip('=')}.{'F' * 6}.{'fake-' * 7}"
        self.attachment_size_limit = 10 << 20
        self.message_content_allowed = True
        """The developer portal's switch for the privileged intent."""
        self.guilds: dict[str, FakeGuild] = {}
        self.users: dict[str, FakeUser] = {self.bot.id: self.bot}
        self.channels: dict[str, FakeChannel] = {}
        self.interactions: dict[str, FakeInteraction] = {}
        self.registered: dict[str, list[dict[str, Any]]] = {"": []}
        """The commands by guild; those of everywhere under ""."""
        self.command_writes = 0
        self.files: dict[str, FakeAttachment] = {}
        self.typing: list[str] = []
        self.acknowledgements: list[float] = []
        self.violations: list[str] = []
        self.gateway = Gateway(self)
        self._changed = asyncio.Event()

        self.ann, self.ben, self.mod = (self.add_user(name) for name in ("Ann", "Ben", "Mod"))
        self.guild = self.add_guild("Guild")
        self.channel: FakeChannel = next(iter(self.guild.channels.values()))

    def changed(self) -> None:
        """Let `until` check its condition again."""
        self._changed.set()

    async def until(self, holds: Callable[[], Any], timeout: float = TIMEOUT_SECONDS) -> Any:
        """Wait until `holds()` is true, and return its value. It is called again after each change."""
        deadline = time.monotonic() + timeout
        while not (value := holds()):
            if time.monotonic() > deadline:
                show_stacks()
                raise AssertionError(f"The condition was never met. The state is:\n{self.describe()}")
            self._changed.clear()
            # Other parts, such as the model server, report no changes here.
            try:
                await asyncio.wait_for(self._changed.wait(), 0.05)
            except TimeoutError:
                continue
        return value

    def describe(self) -> str:
        """Describe the state, for the report of a failed test."""
        lines = [f"problem: {one}" for one in self.violations]
        lines += [f"{message}" for channel in self.channels.values() for message in channel.messages]
        lines += [f"{one}" for one in self.interactions.values()]
        return "\n".join(lines)

    # Users, servers and channels

    def add_user(self, name: str, locale: str = "en-US") -> FakeUser:
        """Add a user, who joins all guilds."""
        user = FakeUser(name, locale)
        self.users[user.id] = user
        for guild in self.guilds.values():
            guild.join(user, _role(guild, "people"))
        return user

    def add_guild(self, name: str, bot: bool = True, *, shard: int | None = None) -> FakeGuild:
        """Add a server with all users in it, and the channel "general".

        `mod` may manage it, and the bot, if it is there, has what its invite asks for.
        """
        guild = FakeGuild(self, name, bot=bot)
        while shard is not None and self.gateway.shard(guild) != shard:
            guild.id = str(int(guild.id) + (1 << 22))
        guild.roles = {guild.id: FakeRole("@everyone", permissions.bits(("use_application_commands",)), guild.id)}
        people, moderators = guild.add_role("people", *permissions.PEOPLE), guild.add_role("m", *permissions.MODERATORS)
        for user in self.users.values():
            if user is not self.bot:
                guild.join(user, people, *([moderators] if user is self.mod else []))
        self.guilds[guild.id] = guild
        self.registered[guild.id] = []
        if bot:
            guild.join(self.bot, guild.add_role(self.bot.name, *permissions.INVITED))
        channel = FakeChannel("general", TEXT, guild)
        guild.system_channel = self.channels[channel.id] = guild.channels[channel.id] = channel
        if bot:
            self.gateway.dispatch("GUILD_CREATE", self.guild_payload(guild), guild=guild, intents=GUILDS)
        return guild

    def add_thread(
        self,
        parent: FakeChannel,
        name: str,
        owner: FakeUser,
        message: FakeMessage | None = None,
        *,
        private: bool = False,
    ) -> FakeChannel:
        """Add a thread; a `private` one has the bot as a member, and one under a message has the message's id."""
        kind = PRIVATE_THREAD if private else THREAD
        thread = FakeChannel(name, kind, parent.guild, parent, owner_id=owner.id)
        if message is not None:
            thread.id = message.id
            message.thread = thread
            message.flags |= 1 << 5
        assert parent.guild is not None
        self.channels[thread.id] = parent.guild.threads[thread.id] = thread
        created = thread.payload() | {"newly_created": True}
        self.gateway.dispatch("THREAD_CREATE", created, guild=parent.guild, intents=GUILDS)
        if message is not None:
            self.send_message_event("MESSAGE_UPDATE", message)
        self.changed()
        return thread

    def dm(self, user: FakeUser) -> FakeChannel:
        """Return the direct messages of a user with the bot."""
        for channel in self.channels.values():
            if channel.kind == DM and channel.recipients == (user,):
                return channel
        channel = FakeChannel("", DM, recipients=(user,))
        self.channels[channel.id] = channel
        return channel

    def private_channel(self, *users: FakeUser) -> FakeChannel:
        """Add a conversation without the bot, in which only a user's own installation works."""
        channel = FakeChannel("", GROUP, recipients=users)
        self.channels[channel.id] = channel
        return channel

    def messages(self, channel: FakeChannel, *, deleted: bool = False) -> list[FakeMessage]:
        """Return what everybody sees in a channel, oldest first; with `deleted`, also deleted messages."""
        return [one for one in channel.messages if not one.ephemeral and (deleted or not one.deleted)]

    def private(self, user: FakeUser) -> list[FakeMessage]:
        """Return the messages that a user alone sees, in all channels."""
        return [
            message
            for channel in self.channels.values()
            for message in channel.messages
            if message.ephemeral and not message.deleted and message.interaction and message.interaction.user is user
        ]

    def commands(self, guild: FakeGuild | None = None) -> list[dict[str, Any]]:
        """Return the registered commands of a guild, or the global ones."""
        return self.registered[guild.id if guild else ""]

    # Permissions of the bot

    def bot_may(self, channel: FakeChannel, *names: str) -> bool:
        """Return whether the bot has these permissions in a channel."""
        if channel.guild is None:
            return channel.kind == DM
        if not channel.guild.bot:
            return False
        needed = permissions.bits(names)
        return permissions.resolved(channel.guild, channel, self.bot.id) & needed == needed

    def require(self, channel: FakeChannel, *names: str) -> None:
        """Raise the error of a missing permission."""
        if not self.bot_may(channel, "view_channel"):
            raise ApiError(403, 50001)
        if not self.bot_may(channel, *names):
            raise ApiError(403, 50013)

    # Actions of moderators

    def delete_message(self, message: FakeMessage) -> None:
        """Delete a message."""
        message.deleted = True
        if not message.ephemeral:
            where = {"id": message.id, "channel_id": message.channel.id}
            self._send_event("MESSAGE_DELETE", message.channel, where)
        self.changed()

    def delete_messages(self, channel: FakeChannel, messages: Iterable[FakeMessage]) -> None:
        """Delete several messages at once."""
        gone = list(messages)
        for message in gone:
            message.deleted = True
        self._send_event("MESSAGE_DELETE_BULK", channel, {"ids": [one.id for one in gone], "channel_id": channel.id})
        self.changed()

    def delete_channel(self, channel: FakeChannel) -> None:
        """Delete a channel or a thread with all its messages."""
        assert channel.guild is not None
        gone = [thread for thread in channel.guild.threads.values() if thread.parent is channel]
        for one in [*gone, channel]:
            one.deleted = True
            for message in one.messages:
                message.deleted = True
            one.guild.threads.pop(one.id, None)
            one.guild.channels.pop(one.id, None)
        self.send_channel_event("THREAD_DELETE" if channel.parent else "CHANNEL_DELETE", channel)

    def archive_thread(self, thread: FakeChannel, *, locked: bool = False) -> None:
        """Close a thread; only a `locked` one is not opened again by a message."""
        thread.archived, thread.locked = True, locked
        self.send_channel_event("THREAD_UPDATE", thread)

    def open_thread(self, thread: FakeChannel) -> None:
        """Open an archived thread again."""
        thread.archived = thread.locked = False
        self.send_channel_event("THREAD_UPDATE", thread)

    def add_bot(self, guild: FakeGuild, *granted: str) -> None:
        """Add the bot to a server, with these permissions."""
        guild.bot, guild.joined = True, now()
        guild.join(self.bot, guild.add_role(self.bot.name, *granted))
        self.gateway.dispatch("GUILD_CREATE", self.guild_payload(guild), guild=guild, intents=GUILDS)

    def remove_bot(self, guild: FakeGuild) -> None:
        """Remove the bot from a server."""
        self.gateway.dispatch("GUILD_DELETE", {"id": guild.id}, guild=guild, intents=GUILDS)
        guild.bot = False
        guild.members.pop(self.bot.id, None)
        self.changed()

    # Events

    def guild_payload(self, guild: FakeGuild) -> dict[str, Any]:
        """Return a guild as in GUILD_CREATE; without the intent for members, only the bot is listed."""
        return guild.payload([guild.member(self.bot) | {"user": self.bot.payload()}])

    def send_message_event(self, event: str, message: FakeMessage) -> None:
        """Send the bot the event of a new or changed message, if it can see the channel."""
        if not message.ephemeral:
            extra: dict[str, Any] = {}
            if message.channel.guild is not None and message.kind != 21 and message.interaction is None:
                extra["member"] = message.channel.guild.member(message.author)
            full, hidden = (message.payload_for(self.bot, message_content=read) | extra for read in (True, False))
            self._send_event(event, message.channel, full, hidden)
        self.changed()

    def _send_event(
        self, event: str, channel: FakeChannel, payload: dict[str, Any], hidden: dict[str, Any] | None = None
    ) -> None:
        if not self.bot_may(channel, "view_channel"):
            return
        where = {"guild_id": channel.guild.id} if channel.guild else {"channel_type": channel.kind}
        intents = GUILD_MESSAGES if channel.guild else DIRECT_MESSAGES
        hidden = {**hidden, **where} if hidden else None
        self.gateway.dispatch(event, {**payload, **where}, hidden, guild=channel.guild, intents=intents)

    def send_channel_event(self, event: str, channel: FakeChannel) -> None:
        """Send the bot the event of a new, changed or deleted channel."""
        assert channel.guild is not None
        if channel.guild.bot:
            self.gateway.dispatch(event, channel.payload(), guild=channel.guild, intents=GUILDS)
        self.changed()


def _role(guild: FakeGuild, name: str) -> FakeRole:
    return next(role for role in guild.roles.values() if role.name == name)
