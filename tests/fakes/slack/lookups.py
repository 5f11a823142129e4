"""auth.test, apps.connections.open, and methods for users, conversations, reactions and the status of a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakes.slack.calls import ApiError, Call, Method
from fakes.slack.chat import WRITE, find_channel

if TYPE_CHECKING:
    from fakes.slack.server import Server
    from fakes.slack.workspace import Channel

Json = dict[str, Any]

READ = ("channels:read", "groups:read", "im:read", "mpim:read")


async def auth_test(slack: Server, call: Call) -> Json:
    found: Json = {"url": "https://tempera-test.slack.com/", "team": slack.team_name, "team_id": slack.team}
    if call.token == slack.app_token:
        return found | {"app_name": "Tempera", "app_id": slack.app_id}
    return found | {
        "user": "tempera",
        "user_id": slack.bot_user,
        "bot_id": slack.bot_id,
        "is_enterprise_install": False,
    }


async def open_connection(slack: Server, call: Call) -> Json:
    return {"url": slack.new_socket_url()}


async def user_info(slack: Server, call: Call) -> Json:
    user = slack.workspace.users.get(call.text("user"))
    if user is None:
        raise ApiError("user_not_found")
    return {"user": user.as_json(slack.team, locale=bool(call.arguments.get("include_locale")))}


def _as_json(slack: Server, found: Channel) -> Json:
    return {
        "id": found.id,
        "name": found.name,
        "is_channel": found.type == "channel",
        "is_group": found.type == "group",
        "is_im": found.type == "im",
        "is_mpim": False,
        "is_private": found.type != "channel",
        "is_archived": found.archived,
        "is_member": slack.bot_user in found.members,
    } | ({"user": found.user} if found.user else {})


async def conversation_info(slack: Server, call: Call) -> Json:
    return {"channel": _as_json(slack, find_channel(slack, call.text("channel"), writing=False))}


async def conversations(slack: Server, call: Call) -> Json:
    """List public channels in pages; the cursor is the index of the next page's first channel."""
    if call.text("types") != "public_channel":
        raise ApiError("invalid_types")
    public = [one for one in slack.workspace.channels.values() if one.type == "channel"]
    wanted = [one for one in public if not (one.archived and call.arguments.get("exclude_archived"))]
    first, maximum = int(call.text("cursor") or 0), int(call.arguments.get("limit") or 100)
    cursor = str(first + maximum) if first + maximum < len(wanted) else ""
    page = [_as_json(slack, one) for one in wanted[first : first + maximum]]
    return {"channels": page, "response_metadata": {"next_cursor": cursor}}


async def conversation_open(slack: Server, call: Call) -> Json:
    named = [name for name in call.text("users").split(",") if name]
    if not named and (place := call.text("channel")):
        return {"channel": _as_json(slack, find_channel(slack, place, writing=False))}
    if not named:
        raise ApiError("users_list_not_supplied")
    if named[0] not in slack.workspace.users:
        raise ApiError("user_not_found")
    found = slack.workspace.dm(named[0], slack.bot_user)
    return {"channel": _as_json(slack, found) if call.arguments.get("return_im") else {"id": found.id}}


async def add_reaction(slack: Server, call: Call) -> Json:
    reactions, reaction = _reactions(slack, call)
    if reaction in reactions:
        raise ApiError("already_reacted")
    reactions.append(reaction)
    slack.notify_waiters()
    return {}


async def remove_reaction(slack: Server, call: Call) -> Json:
    reactions, reaction = _reactions(slack, call)
    if reaction not in reactions:
        raise ApiError("no_reaction")
    reactions.remove(reaction)
    slack.notify_waiters()
    return {}


def _reactions(slack: Server, call: Call) -> tuple[list[tuple[str, str]], tuple[str, str]]:
    place = find_channel(slack, call.text("channel"))
    message = slack.workspace.find(place.id, call.text("timestamp"))
    if message is None:
        raise ApiError("message_not_found")
    return message.reactions, (call.text("name"), slack.bot_user)


async def set_status(slack: Server, call: Call) -> Json:
    place = find_channel(slack, call.text("channel_id"))
    if slack.workspace.find(place.id, call.text("thread_ts")) is None:
        raise ApiError("invalid_thread_ts")
    slack.statuses[place.id, call.text("thread_ts")] = call.text("status")
    slack.notify_waiters()
    return {}


METHODS = {
    "auth.test": Method(auth_test, 5, app_token=True),
    "apps.connections.open": Method(open_connection, 3, ("connections:write",), app_token=True),
    "users.info": Method(user_info, 4, ("users:read",), ("user",)),
    "conversations.list": Method(conversations, 2, ("channels:read",)),
    "conversations.info": Method(conversation_info, 3, READ, ("channel",)),
    "conversations.open": Method(conversation_open, 3, ("im:write", "mpim:write")),
    "reactions.add": Method(add_reaction, 3, ("reactions:write",), ("channel", "name", "timestamp")),
    "reactions.remove": Method(remove_reaction, 3, ("reactions:write",), ("channel", "name", "timestamp")),
    "assistant.threads.setStatus": Method(set_status, 5, WRITE, ("channel_id", "thread_ts", "status")),
}
