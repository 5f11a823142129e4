"""What each request does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fakes.discord import bodies, registered
from fakes.discord.errors import ApiError, not_in_range
from fakes.discord.state import DM, FakeChannel, FakeGuild, FakeMessage

if TYPE_CHECKING:
    from fakes.discord.rest import Call, Rest
    from fakes.discord.world import World

Answer = Callable[["Rest", "Call"], Any]
MESSAGE_CONTENT_LIMITED = 1 << 19


def unknown(rest: Rest, call: Call) -> Any:
    """Nothing is here."""
    raise ApiError(404, 0)


# Who the bot is.


def me(rest: Rest, call: Call) -> Any:
    """The bot as a user."""
    return rest.world.bot.payload() | {"mfa_enabled": False, "locale": "en-US", "verified": True, "flags": 0}


def application(rest: Rest, call: Call) -> Any:
    """The bot as an application."""
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
    """Where the gateway is."""
    return {"url": rest.world.gateway_url}


def gateway_bot(rest: Rest, call: Call) -> Any:
    """Where the gateway is, in how many shards, and how often it may still be entered."""
    gate = rest.world.gateway
    left = {"total": 1000, "remaining": gate.session_starts_left, "reset_after": 14400000, "max_concurrency": 1}
    return {"url": rest.world.gateway_url, "shards": gate.shards, "session_start_limit": left}


# Servers and people.


def my_guilds(rest: Rest, call: Call) -> Any:
    """The servers that the bot is in, with its rights there; a page of them, in the order of their ids."""
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
    """A server."""
    return rest.world.guild_payload(_guild(rest, call))


def guild_channels(rest: Rest, call: Call) -> Any:
    """A server's channels."""
    return [channel.payload() for channel in _guild(rest, call).channels.values()]


def member(rest: Rest, call: Call) -> Any:
    """Somebody in a server."""
    where = _guild(rest, call)
    user = rest.world.users.get(call.args["user"])
    if user is None or user.id not in where.members:
        raise ApiError(404, 10007)
    return where.member(user) | {"user": user.payload()}


def user(rest: Rest, call: Call) -> Any:
    """Somebody."""
    if call.args["user"] not in rest.world.users:
        raise ApiError(404, 10013)
    return rest.world.users[call.args["user"]].payload()


def open_dm(rest: Rest, call: Call) -> Any:
    """The channel of direct messages with somebody."""
    recipient = rest.world.users.get(str(call.message["recipient_id"]))
    if recipient is None:
        raise ApiError(404, 10013)
    return rest.world.dm(recipient).payload()


# Channels and threads.


def _channel(rest: Rest, call: Call, *rights: str) -> FakeChannel:
    channel = rest.world.channels.get(call.args["channel"])
    if channel is None or channel.deleted:
        raise ApiError(404, 10003)
    rest.world.require(channel, *rights)
    return channel


def channel(rest: Rest, call: Call) -> Any:
    """A channel."""
    return _channel(rest, call).payload()


def change_channel(rest: Rest, call: Call) -> Any:
    """Opens, closes or renames a thread: its creator may, while it is not locked; nothing else is asked for here."""
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
    """Shows that the bot is typing."""
    where = _channel(rest, call, "send_messages")
    rest.world.typing.append(where.id)
    rest.world.changed()


def join_thread(rest: Rest, call: Call) -> None:
    """Makes the bot a member of a thread."""
    _channel(rest, call)


def thread_of_message(rest: Rest, call: Call) -> Any:
    """A thread that hangs on a message."""
    message = _message(rest, call, "create_public_threads")
    if message.channel.kind != 0:
        raise ApiError(400, 50024)
    if message.thread is not None:
        raise ApiError(400, 160004)
    return _thread(rest, message.channel, call.message, message)


def thread(rest: Rest, call: Call) -> Any:
    """A thread without a message to hang on."""
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


# Messages.


def _message(rest: Rest, call: Call, *rights: str) -> FakeMessage:
    for message in _channel(rest, call, *rights).messages:
        if message.id == call.args["message"] and not message.deleted and not message.ephemeral:
            return message
    raise ApiError(404, 10008)


def messages(rest: Rest, call: Call) -> Any:
    """What was said in a channel, the newest first."""
    where = _channel(rest, call, "read_message_history")
    found = rest.world.messages(where)[::-1]
    if before := call.query.get("before"):
        found = [message for message in found if int(message.id) < int(before)]
    if after := call.query.get("after"):
        found = [message for message in found if int(message.id) > int(after)]
    return [message.payload() for message in found[: int(call.query.get("limit", 50))]]


def message(rest: Rest, call: Call) -> Any:
    """One message."""
    return _message(rest, call, "read_message_history").payload()


def send(rest: Rest, call: Call) -> Any:
    """A new message of the bot."""
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
        new.reference = _referred(rest, where, referred)
        new.kind = 19 if new.reference else 0
    new.flags = (call.message.get("flags") or 0) & ~(1 << 6)
    return bodies.post(rest.world, new, call.message, call.files, rest.world.attachment_size_limit).payload()


def _referred(rest: Rest, where: FakeChannel, reference: dict[str, Any]) -> FakeMessage | None:
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
    """A change to a message of the bot."""
    target = _message(rest, call, *(["attach_files"] if call.files else []))
    if target.author is not rest.world.bot:
        raise ApiError(403, 50005)
    if target.channel.archived:
        raise ApiError(400, 50083)
    return bodies.edit(rest.world, target, call.message, call.files, rest.world.attachment_size_limit).payload()


def delete(rest: Rest, call: Call) -> None:
    """A message goes."""
    target = _message(rest, call)
    if target.author is not rest.world.bot:
        if target.channel.kind == DM:
            raise ApiError(403, 50003)
        rest.world.require(target.channel, "manage_messages")
    if target.channel.archived:
        raise ApiError(400, 50083)
    rest.world.delete_message(target)


# Interactions.


def callback(rest: Rest, call: Call) -> Any:
    """The first response to an interaction."""
    args = call.args["interaction"], call.args["token"]
    answer = rest.responses.acknowledge(*args, call.message, call.files, call.arrived)
    return answer if call.query.get("with_response") in ("1", "true") else None


def follow_up(rest: Rest, call: Call) -> Any:
    """One more message for an interaction."""
    return rest.responses.follow_up(call.args["token"], call.message, call.files).payload()


def response(rest: Rest, call: Call) -> Any:
    """A message of an interaction."""
    return rest.responses.find(call.args["token"], call.args["message"]).payload()


def edit_response(rest: Rest, call: Call) -> Any:
    """A change to a message of an interaction."""
    args = call.args["token"], call.args["message"]
    return rest.responses.change(*args, call.message, call.files).payload()


def delete_response(rest: Rest, call: Call) -> None:
    """A message of an interaction goes."""
    rest.responses.remove(call.args["token"], call.args["message"])


# Commands.


def _scope(rest: Rest, call: Call) -> str:
    if call.args["application"] != rest.world.application_id:
        raise ApiError(403, 50001)
    guild_id = call.args.get("guild", "")
    if guild_id:
        where = rest.world.guilds.get(guild_id)
        if where is None or not (where.bot and where.commands_scope):
            raise ApiError(403, 50001)
    return guild_id


def commands(rest: Rest, call: Call) -> Any:
    """The registered commands."""
    found = rest.world.registered[_scope(rest, call)]
    localizations = call.query.get("with_localizations", "").lower() in ("1", "true")
    return [registered.shown(command, localizations=localizations) for command in found]


def replace_commands(rest: Rest, call: Call) -> Any:
    """Other commands in place of all that were registered."""
    return registered.replace(rest.world, _scope(rest, call), call.body)


def add_command(rest: Rest, call: Call) -> Any:
    """One more command, or another in place of that of its name."""
    scope = _scope(rest, call)
    name, kind = call.body["name"], call.body.get("type") or 1
    others = [one for one in rest.world.registered[scope] if (one["name"], one["type"]) != (name, kind)]
    return registered.replace(rest.world, scope, [*others, call.body])[-1]


def delete_command(rest: Rest, call: Call) -> None:
    """A command goes."""
    scope = _scope(rest, call)
    kept = [one for one in rest.world.registered[scope] if one["id"] != call.args["command"]]
    if len(kept) == len(rest.world.registered[scope]):
        raise ApiError(404, 10063)
    rest.world.registered[scope] = kept
    rest.world.command_writes += 1


_GLOBAL = "/applications/{application}/commands"
_LOCAL = "/applications/{application}/guilds/{guild}/commands"
_RESPONSE = "/webhooks/{application}/{token}/messages/{message}"
_ONE = "/channels/{channel}/messages/{message}"
ROUTES: list[tuple[str, str, Answer]] = [
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
    ("POST", "/interactions/{interaction}/{token}/callback", callback),
    ("POST", "/webhooks/{application}/{token}", follow_up),
    ("GET", _RESPONSE, response),
    ("PATCH", _RESPONSE, edit_response),
    ("DELETE", _RESPONSE, delete_response),
    *(
        (method, path, answer)
        for path in (_GLOBAL, _LOCAL)
        for method, answer in (
            ("GET", commands),
            ("PUT", replace_commands),
            ("POST", add_command),
        )
    ),
    ("DELETE", _GLOBAL + "/{command}", delete_command),
    ("DELETE", _LOCAL + "/{command}", delete_command),
]
