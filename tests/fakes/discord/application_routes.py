"""Routes of interactions and of the application's commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakes.discord import registered
from fakes.discord.errors import ApiError

if TYPE_CHECKING:
    from fakes.discord.rest import Call, Rest
    from fakes.discord.routes import Route

# Interactions


def callback(rest: Rest, call: Call) -> Any:
    """Accept the first response to an interaction."""
    args = call.args["interaction"], call.args["token"]
    answer = rest.responses.acknowledge(*args, call.message, call.files, call.arrived)
    return answer if call.query.get("with_response") in ("1", "true") else None


def follow_up(rest: Rest, call: Call) -> Any:
    """Add a message to the responses of an interaction."""
    return rest.responses.follow_up(call.args["token"], call.message, call.files).payload()


def response(rest: Rest, call: Call) -> Any:
    """Return a message of an interaction."""
    return rest.responses.find(call.args["token"], call.args["message"]).payload()


def edit_response(rest: Rest, call: Call) -> Any:
    """Edit a message of an interaction."""
    args = call.args["token"], call.args["message"]
    return rest.responses.change(*args, call.message, call.files).payload()


def delete_response(rest: Rest, call: Call) -> None:
    """Delete a message of an interaction."""
    rest.responses.remove(call.args["token"], call.args["message"])


# Commands


def _scope(rest: Rest, call: Call) -> str:
    if call.args["application"] != rest.world.application_id:
        raise ApiError(403, 50001)
    guild_id = call.args.get("guild", "")
    if guild_id:
        where = rest.world.guilds.get(guild_id)
        if where is None or not (where.bot and where.commands_scope):
            raise ApiError(403, 50001)
    return guild_id


def list_commands(rest: Rest, call: Call) -> Any:
    """List the registered commands."""
    commands = rest.world.registered[_scope(rest, call)]
    localizations = call.query.get("with_localizations", "").lower() in ("1", "true")
    return [registered.payload(command, localizations=localizations) for command in commands]


def replace_commands(rest: Rest, call: Call) -> Any:
    """Replace all registered commands."""
    return registered.replace(rest.world, _scope(rest, call), call.body)


def add_command(rest: Rest, call: Call) -> Any:
    """Register a command, in place of the one of its name."""
    scope = _scope(rest, call)
    name, kind = call.body["name"], call.body.get("type") or 1
    others = [one for one in rest.world.registered[scope] if (one["name"], one["type"]) != (name, kind)]
    return registered.replace(rest.world, scope, [*others, call.body])[-1]


def delete_command(rest: Rest, call: Call) -> None:
    """Delete a command."""
    scope = _scope(rest, call)
    kept = [one for one in rest.world.registered[scope] if one["id"] != call.args["command"]]
    if len(kept) == len(rest.world.registered[scope]):
        raise ApiError(404, 10063)
    rest.world.registered[scope] = kept
    rest.world.command_writes += 1


_GLOBAL = "/applications/{application}/commands"
_LOCAL = "/applications/{application}/guilds/{guild}/commands"
_RESPONSE = "/webhooks/{application}/{token}/messages/{message}"
ROUTES: list[Route] = [
    ("POST", "/interactions/{interaction}/{token}/callback", callback),
    ("POST", "/webhooks/{application}/{token}", follow_up),
    ("GET", _RESPONSE, response),
    ("PATCH", _RESPONSE, edit_response),
    ("DELETE", _RESPONSE, delete_response),
    *(
        (method, path, answer)
        for path in (_GLOBAL, _LOCAL)
        for method, answer in (
            ("GET", list_commands),
            ("PUT", replace_commands),
            ("POST", add_command),
        )
    ),
    ("DELETE", _GLOBAL + "/{command}", delete_command),
    ("DELETE", _LOCAL + "/{command}", delete_command),
]
