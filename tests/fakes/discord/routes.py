"""Routes of users, servers, channels and messages: one handler for each kind of request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fakes.discord import bodies
from fakes.discord.errors import ApiError, not_in_range
from fakes.discord.state import DM, FakeChannel, FakeGuild, FakeMessage

if TYPE_CHECKING:
    from fakes.discord.rest import Call, Rest
    from fakes.discord.world import World

Handler = Callable[["Rest", "Call"], Any]
Route = tuple[str, str, Handler]
"""Method, path and handler of a kind of request."""
MESSAGE_CONTENT_LIMITED = 1 << 19


def unknown(rest: Rest, call: Call) -> Any:
    """Refuse a request to an unknown path."""
    raise ApiError(404, 0)


# The bot itself


def me(rest: Rest, call: Call) -> Any:
    """Return the bot as a user."""
    return rest.world.bot.payload() | {"mfa_enabled": False, "locale": "en-US", "verified": True, "flags": 0}


def application(rest: Rest, call: Call) -> Any:
    """Return the bot as an application."""
    world = rest.world
    return {
        "id": world.application_id,
        "name": world.bot.name,
        "icon": None,
        "description": "",
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": MESSAGE_CONTENT_LIMITED if world.message_content_allowed else 0,
        "owner": world.mod.payload(),
        "team": None,
        "bot": world.bot.payload(),
        "rpc_origins": [],
        "integration_types_config": {"0": {}, "1": {}},
        "approximate_guild_count": sum(guild.bot for guild in world.guilds.values()),
    }


def gateway(rest: Rest, call: Call) -> Any:
    """Return the address of the gateway."""
    return {"url": rest.world.gateway_url}


def gateway_bot(rest: Rest, call: Call) -> Any:
    """Return the address of the gateway, the number of shards, and how often a session may still be started."""
    gate = rest.world.gateway
    left = {"total": 1000, "remaining": gate.session_starts_left, "reset_after": 14400000}
    left["max_concurrency"] = gate.max_concurrency
    return {"url": rest.world.gateway_url, "shards": gate.shards, "session_start_limit": left}


# Servers and users


def my_guilds(rest: Rest, call: Call) -> Any:
    """List a page of the bot's servers, with its permissions there, in the order of their ids."""
    after, limit = int(call.query.get("after", 0)), int(call.query.get("limit", 200))
    found = sorted(
        (guild for guild in rest.world.guilds.values() if guild.bot and int(guild.id) > after),
        key=lambda guild: int(guild.id),
    )
    return [
        {
            "id": guild.id,
            "name": guild.name,
            "icon": None,
            "banner": None,
            "owner": False,
            "permissions": str(_granted(rest.world, guild)),
            "features": [],
        }
        for guild in found[:limit]
    ]


def _granted(world: World, guild: FakeGuild) -> int:
    granted = guild.roles[guild.id].permissions
    for role in guild.members[world.bot.id]:
        granted |= guild.roles[role].permissions
    return granted


def _guild(rest: Rest, call: Call) -> FakeGuild:
    guild = rest.world.guilds.get(call.args["guild"])
    if guild is None or not guild.bot:
        raise ApiError(404, 10004)
    return guild


def guild(rest: Rest, call: Call) -> Any:
    """Return a server."""
    return rest.world.guild_payload(_guild(rest, call))


def guild_channels(rest: Rest, call: Call) -> Any:
    """List the channels of a server."""
    return [channel.payload() for channel in _guild(rest, call).channels.values()]


def member(rest: Rest, call: Call) -> Any:
    """Return a member of a server."""
    where = _guild(rest, call)
    user = rest.world.users.get(call.args["user"])
    if user is None or user.id not in where.members:
        raise ApiError(404, 10007)
    return where.member(user) | {"user": user.payload()}


def user(rest: Rest, call: Call) -> Any:
    """Return a user."""
    if call.args["user"] not in rest.world.users:
        raise ApiError(404, 10013)
    return rest.world.users[call.args["user"]].payload()


def open_dm(rest: Rest, call: Call) -> Any:
    """Return the channel of direct messages with a user."""
    recipient = rest.world.users.get(str(call.message["recipient_id"]))
    if recipient is None:
        raise ApiError(404, 10013)
    return rest.world.dm(recipient).payload()


# Channels and threads


def _channel(rest: Rest, call: Call, *rights: str) -> FakeChannel:
    channel = rest.world.channels.get(call.args["channel"])
    if channel is None or channel.deleted:
        raise ApiError(404, 10003)
    rest.world.require(channel, *rights)
    return channel


def channel(rest: Rest, call: Call) -> Any:
    """Return a channel."""
    return _channel(rest, call).payload()


def change_channel(rest: Rest, call: Call) -> Any:
    """Open, close or rename a thread, as its creator may while it is not locked."""
    thread = _channel(rest, call, "send_messages_in_threads")
    archived, name = call.message.get("archived"), call.message.get("name")
    if thread.locked or (thread.owner_id != rest.world.bot.id and (archived or name)):
        rest.world.require(thread, "manage_threads")
    if thread.archived and archived is not False:
        raise ApiError(400, 50083)
    if archived is False:
        rest.world.open_thread(thread)
    if name:
        thread.name = name
    if archived:
        rest.world.archive_thread(thread)
    return thread.payload()


def typing(rest: Rest, call: Call) -> None:
    """Show that the bot is typing."""
    where = _channel(rest, call, "send_messages")
    rest.world.typing.append(where.id)
    rest.world.changed()


def join_thread(rest: Rest, call: Call) -> None:
    """Make the bot a member of a thread."""
    _channel(rest, call)


def thread_of_message(rest: Rest, call: Call) -> Any:
    """Open a thread under a message."""
    message = _message(rest, call, "create_public_threads")
    if message.channel.kind != 0:
        raise ApiError(400, 50024)
    if message.thread is not None:
        raise ApiError(400, 160004)
    return _thread(rest, message.channel, call.message, message)


def thread(rest: Rest, call: Call) -> Any:
    """Open a thread without a message."""
    where = _channel(rest, call, "create_public_threads")
    if where.kind != 0:
        raise ApiError(400, 50024)
    return _thread(rest, where, call.message)


def _thread(rest: Rest, where: FakeChannel, body: dict[str, Any], message: FakeMessage | None = None) -> Any:
    if not 1 <= len(body.get("name") or "") <= 100:
        raise not_in_range("name", low=1, high=100)
    made = rest.world.add_thread(where, body["name"], rest.world.bot, message)
    member = {"id": made.id, "user_id": rest.world.bot.id, "join_timestamp": "2024-05-01T10:00:00+00:00", "flags": 1}
    return made.payload() | {"member": member}


# Messages


def _message(rest: Rest, call: Call, *rights: str) -> FakeMessage:
    for message in _channel(rest, call, *rights).messages:
        if message.id == call.args["message"] and not message.deleted and not message.ephemeral:
            return message
    raise ApiError(404, 10008)


def messages(rest: Rest, call: Call) -> Any:
    """List the messages of a channel, newest first."""
    where = _channel(rest, call, "read_message_history")
    found = rest.world.messages(where)[::-1]
    if before := call.query.get("before"):
        found = [message for message in found if int(message.id) < int(before)]
    if after := call.query.get("after"):
        found = [message for message in found if int(message.id) > int(after)]
    return [message.payload() for message in found[: int(call.query.get("limit", 50))]]


def message(rest: Rest, call: Call) -> Any:
    """Return a message."""
    return _message(rest, call, "read_message_history").payload()


def send(rest: Rest, call: Call) -> Any:
    """Send a message."""
    rights = ["send_messages"]
    target = rest.world.channels.get(call.args["channel"])
    if target is not None and target.parent is not None:
        rights = ["send_messages_in_threads"]
    if call.files:
        rights.append("attach_files")
    where = _channel(rest, call, *rights)
    if where.kind == DM and where.recipients[0].dm_closed:
        raise ApiError(403, 50007)
    if where.archived and where.locked:
        raise ApiError(400, 50083)
    new = FakeMessage(where, rest.world.bot)
    if referred := call.message.get("message_reference"):
        new.reference = _referenced_message(rest, where, referred)
        new.kind = 19 if new.reference else 0
    new.flags = (call.message.get("flags") or 0) & ~(1 << 6)
    return bodies.post(rest.world, new, call.message, call.files, rest.world.attachment_size_limit).payload()


def _referenced_message(rest: Rest, where: FakeChannel, reference: dict[str, Any]) -> FakeMessage | None:
    if not rest.world.bot_may(where, "read_message_history"):
        raise ApiError(403, 160002)
    for message in where.messages:
        if message.id == str(reference["message_id"]) and not message.deleted:
            return message
    if reference.get("fail_if_not_exists", True):
        tree = {"message_reference": {"_errors": [{"code": "REPLIES_UNKNOWN_MESSAGE", "message": "Unknown message"}]}}
        raise ApiError(400, 50035, tree)
    return None


def edit(rest: Rest, call: Call) -> Any:
    """Edit a message of the bot."""
    target = _message(rest, call, *(["attach_files"] if call.files else []))
    if target.author is not rest.world.bot:
        raise ApiError(403, 50005)
    if target.channel.archived:
        raise ApiError(400, 50083)
    return bodies.edit(rest.world, target, call.message, call.files, rest.world.attachment_size_limit).payload()


def delete(rest: Rest, call: Call) -> None:
    """Delete a message."""
    target = _message(rest, call)
    if target.author is not rest.world.bot:
        if target.channel.kind == DM:
            raise ApiError(403, 50003)
        rest.world.require(target.channel, "manage_messages")
    if target.channel.archived:
        raise ApiError(400, 50083)
    rest.world.delete_message(target)


_ONE = "/channels/{channel}/messages/{message}"
ROUTES: list[Route] = [
    ("GET", "/users/@me", me),
    ("GET", "/oauth2/applications/@me", application),
    ("GET", "/applications/@me", application),
    ("GET", "/gateway", gateway),
    ("GET", "/gateway/bot", gateway_bot),
    ("GET", "/users/@me/guilds", my_guilds),
    ("POST", "/users/@me/channels", open_dm),
    ("GET", "/users/{user}", user),
    ("GET", "/guilds/{guild}", guild),
    ("GET", "/guilds/{guild}/channels", guild_channels),
    ("GET", "/guilds/{guild}/members/{user}", member),
    ("GET", "/channels/{channel}", channel),
    ("PATCH", "/channels/{channel}", change_channel),
    ("POST", "/channels/{channel}/typing", typing),
    ("POST", "/channels/{channel}/threads", thread),
    ("PUT", "/channels/{channel}/thread-members/@me", join_thread),
    ("GET", "/channels/{channel}/messages", messages),
    ("POST", "/channels/{channel}/messages", send),
    ("GET", _ONE, message),
    ("PATCH", _ONE, edit),
    ("DELETE", _ONE, delete),
    ("POST", _ONE + "/threads", thread_of_message),
]
