"""Everything that there is, who hears of its changes, and what moderators do to it."""

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
PATIENCE_SECONDS = 30.0
"""When a test that waits gives up; none of them is about time."""


class World:
    """The state behind both doors, REST and gateway. `api_base` and `gateway_url` are there once it runs."""

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
        """Wake whoever waits in `until`."""
        self._changed.set()

    async def until(self, holds: Callable[[], Any], timeout: float = PATIENCE_SECONDS) -> Any:
        """Wait until `holds()` is true, and give back what it gave. It is asked again after each change."""
        deadline = time.monotonic() + timeout
        while not (value := holds()):
            if time.monotonic() > deadline:
                show_stacks()
                raise AssertionError(f"It never came to it. What there is:\n{self.picture()}")
            self._changed.clear()
            # What is outside, such as the model server, tells nobody here of its changes.
            try:
                await asyncio.wait_for(self._changed.wait(), 0.05)
            except TimeoutError:
                continue
        return value

    def picture(self) -> str:
        """All messages, for whoever has to find out what went wrong."""
        lines = [f"problem: {one}" for one in self.violations]
        lines += [f"{message}" for channel in self.channels.values() for message in channel.messages]
        lines += [f"{one}" for one in self.interactions.values()]
        return "\n".join(lines)

    # What there is.

    def add_user(self, name: str, locale: str = "en-US") -> FakeUser:
        """Somebody who joins all guilds there are."""
        user = FakeUser(name, locale)
        self.users[user.id] = user
        for guild in self.guilds.values():
            guild.join(user, _role(guild, "people"))
        return user

    def add_guild(self, name: str, bot: bool = True, *, shard: int | None = None) -> FakeGuild:
        """A server with everybody in it, and the channel "general".

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
        """A thread, public or a `private` one with the bot in it; one that hangs on a message has its id."""
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
            self.tell_message("MESSAGE_UPDATE", message)
        self.changed()
        return thread

    def dm(self, user: FakeUser) -> FakeChannel:
        """The direct messages of somebody with the bot."""
        for channel in self.channels.values():
            if channel.kind == DM and channel.recipients == (user,):
                return channel
        channel = FakeChannel("", DM, recipients=(user,))
        self.channels[channel.id] = channel
        return channel

    def private_channel(self, *users: FakeUser) -> FakeChannel:
        """A conversation of people without the bot, where only a user's own installation reaches."""
        channel = FakeChannel("", GROUP, recipients=users)
        self.channels[channel.id] = channel
        return channel

    def messages(self, channel: FakeChannel, *, deleted: bool = False) -> list[FakeMessage]:
        """What everybody sees in a channel, from the oldest on; with `deleted`, also what is gone."""
        return [one for one in channel.messages if not one.ephemeral and (deleted or not one.deleted)]

    def private(self, user: FakeUser) -> list[FakeMessage]:
        """What somebody alone sees, in every channel."""
        return [
            message
            for channel in self.channels.values()
            for message in channel.messages
            if message.ephemeral and not message.deleted and message.interaction and message.interaction.user is user
        ]

    def commands(self, guild: FakeGuild | None = None) -> list[dict[str, Any]]:
        """The registered commands of a guild, or those of everywhere."""
        return self.registered[guild.id if guild else ""]

    # What the bot may.

    def bot_may(self, channel: FakeChannel, *names: str) -> bool:
        """Whether the bot has these rights in a channel."""
        if channel.guild is None:
            return channel.kind == DM
        if not channel.guild.bot:
            return False
        needed = permissions.bits(names)
        return permissions.resolved(channel.guild, channel, self.bot.id) & needed == needed

    def require(self, channel: FakeChannel, *names: str) -> None:
        """Refuse what the bot may not do here."""
        if not self.bot_may(channel, "view_channel"):
            raise ApiError(403, 50001)
        if not self.bot_may(channel, *names):
            raise ApiError(403, 50013)

    # What moderators do.

    def delete_message(self, message: FakeMessage) -> None:
        """Remove a message."""
        message.deleted = True
        if not message.ephemeral:
            where = {"id": message.id, "channel_id": message.channel.id}
            self._tell("MESSAGE_DELETE", message.channel, where)
        self.changed()

    def delete_messages(self, channel: FakeChannel, messages: Iterable[FakeMessage]) -> None:
        """Remove several at once."""
        gone = list(messages)
        for message in gone:
            message.deleted = True
        self._tell("MESSAGE_DELETE_BULK", channel, {"ids": [one.id for one in gone], "channel_id": channel.id})
        self.changed()

    def delete_channel(self, channel: FakeChannel) -> None:
        """Remove a channel or a thread with all that is in it."""
        assert channel.guild is not None
        gone = [thread for thread in channel.guild.threads.values() if thread.parent is channel]
        for one in [*gone, channel]:
            one.deleted = True
            for message in one.messages:
                message.deleted = True
            one.guild.threads.pop(one.id, None)
            one.guild.channels.pop(one.id, None)
        self.tell_channel("THREAD_DELETE" if channel.parent else "CHANNEL_DELETE", channel)

    def archive_thread(self, thread: FakeChannel, *, locked: bool = False) -> None:
        """Close a thread; only a `locked` one is not opened again by a message."""
        thread.archived, thread.locked = True, locked
        self.tell_channel("THREAD_UPDATE", thread)

    def open_thread(self, thread: FakeChannel) -> None:
        """Open an archived thread again."""
        thread.archived = thread.locked = False
        self.tell_channel("THREAD_UPDATE", thread)

    def add_bot(self, guild: FakeGuild, *granted: str) -> None:
        """Invite the bot now, with these rights."""
        guild.bot, guild.joined = True, now()
        guild.join(self.bot, guild.add_role(self.bot.name, *granted))
        self.gateway.dispatch("GUILD_CREATE", self.guild_payload(guild), guild=guild, intents=GUILDS)

    def remove_bot(self, guild: FakeGuild) -> None:
        """Throw the bot out."""
        self.gateway.dispatch("GUILD_DELETE", {"id": guild.id}, guild=guild, intents=GUILDS)
        guild.bot = False
        guild.members.pop(self.bot.id, None)
        self.changed()

    # Who hears of it.

    def guild_payload(self, guild: FakeGuild) -> dict[str, Any]:
        """A guild as in GUILD_CREATE: without the intent for members only the bot is listed."""
        return guild.payload([guild.member(self.bot) | {"user": self.bot.payload()}])

    def tell_message(self, event: str, message: FakeMessage) -> None:
        """Tell the bot of a new or changed message, if it is where the bot can see it."""
        if not message.ephemeral:
            extra: dict[str, Any] = {}
            if message.channel.guild is not None and message.kind != 21 and message.interaction is None:
                extra["member"] = message.channel.guild.member(message.author)
            full, hidden = (message.payload_for(self.bot, message_content=read) | extra for read in (True, False))
            self._tell(event, message.channel, full, hidden)
        self.changed()

    def _tell(
        self, event: str, channel: FakeChannel, payload: dict[str, Any], hidden: dict[str, Any] | None = None
    ) -> None:
        if not self.bot_may(channel, "view_channel"):
            return
        where = {"guild_id": channel.guild.id} if channel.guild else {"channel_type": channel.kind}
        intents = GUILD_MESSAGES if channel.guild else DIRECT_MESSAGES
        hidden = {**hidden, **where} if hidden else None
        self.gateway.dispatch(event, {**payload, **where}, hidden, guild=channel.guild, intents=intents)

    def tell_channel(self, event: str, channel: FakeChannel) -> None:
        """Tell the bot of a new, changed or removed channel."""
        assert channel.guild is not None
        if channel.guild.bot:
            self.gateway.dispatch(event, channel.payload(), guild=channel.guild, intents=GUILDS)
        self.changed()


def _role(guild: FakeGuild, name: str) -> FakeRole:
    return next(role for role in guild.roles.values() if role.name == name)
