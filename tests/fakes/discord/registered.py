"""Registered commands, and the use of one as a user's client sends it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fakes.discord.errors import ApiError, invalid
from fakes.discord.state import FakeChannel, FakeRole, FakeUser, snowflake

if TYPE_CHECKING:
    from fakes.discord.bodies import FakeAttachment
    from fakes.discord.world import World

CHAT, USER, MESSAGE = 1, 2, 3
SUBCOMMAND, GROUP, STRING, INTEGER, BOOLEAN, PERSON, CHANNEL, ROLE, MENTIONABLE, NUMBER, FILE = range(1, 12)
MOST = {CHAT: 100, USER: 5, MESSAGE: 5}
TOTAL_CHARACTERS = 8000
NAME = re.compile(r"[-_\w]{1,32}")


def replace(world: World, guild_id: str, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace all registered commands; those with an unchanged name keep their id."""
    kinds = [body.get("type") or CHAT for body in bodies]
    for kind, most in MOST.items():
        if kinds.count(kind) > most:
            raise ApiError(400, 30032)
    names = set()
    for index, body in enumerate(bodies):
        _check(body, index)
        if (own := (body.get("type") or CHAT, body["name"])) in names:
            message = "Application command names must be unique"
            raise invalid(index, code="APPLICATION_COMMANDS_DUPLICATE_NAME", message=message)
        names.add(own)
    before = {(command["type"], command["name"]): command["id"] for command in world.registered[guild_id]}
    world.registered[guild_id] = [_stored(world, guild_id, body, before) for body in bodies]
    world.command_writes += 1
    world.changed()
    return world.registered[guild_id]


def _check(body: dict[str, Any], *path: str | int) -> None:
    if _count_characters(body) > TOTAL_CHARACTERS:
        message = f"Command exceeds maximum size ({TOTAL_CHARACTERS})"
        raise invalid(*path, code="APPLICATION_COMMAND_TOO_LARGE", message=message)
    options = body.get("options") or []
    required = [bool(option.get("required")) for option in options]
    if required != sorted(required, reverse=True):
        message = "Required options must be placed before non-required options"
        raise invalid(*path, "options", code="APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", message=message)
    if len({option["name"] for option in options}) < len(options):
        message = "Option names must be unique"
        raise invalid(*path, "options", code="APPLICATION_COMMAND_OPTIONS_NAME_INVALID", message=message)
    for locale in {locale for option in options for locale in option.get("name_localizations") or {}}:
        shown = [(option.get("name_localizations") or {}).get(locale, option["name"]) for option in options]
        for index, name in enumerate(shown):
            if not NAME.fullmatch(name) or name != name.lower() or shown.count(name) > 1:
                field = (*path, "options", index, "name_localizations", locale)
                raise invalid(*field, code="APPLICATION_COMMAND_INVALID_NAME", message="Command name is invalid")
    for index, option in enumerate(options):
        if option["type"] in (SUBCOMMAND, GROUP):
            _check(option, *path, "options", index)


def _count_characters(body: dict[str, Any]) -> int:
    """Return the length of names, descriptions and values together; of translations only the longest counts."""
    total = 0
    for name in ("name", "description"):
        texts = [body.get(name) or "", *(body.get(f"{name}_localizations") or {}).values()]
        total += max(map(len, texts))
    for choice in body.get("choices") or ():
        names = [choice["name"], *(choice.get("name_localizations") or {}).values()]
        total += max(map(len, names)) + len(str(choice["value"]))
    return total + sum(_count_characters(option) for option in body.get("options") or ())


def _stored(world: World, guild_id: str, body: dict[str, Any], before: dict[tuple[int, str], str]) -> dict[str, Any]:
    kind = body.get("type") or CHAT
    rights = body.get("default_member_permissions")
    command = {
        "id": before.get((kind, body["name"])) or snowflake(),
        "application_id": world.application_id,
        "version": snowflake(),
        "type": kind,
        "name": body["name"],
        "name_localizations": body.get("name_localizations"),
        "description": body.get("description") or "",
        "description_localizations": body.get("description_localizations"),
        "default_member_permissions": None if rights is None else str(rights),
        "dm_permission": body.get("dm_permission", True),
        "contexts": body.get("contexts"),
        "integration_types": body.get("integration_types") or [0],
        "nsfw": bool(body.get("nsfw")),
    }
    if guild_id:
        command["guild_id"] = guild_id
    if body.get("options"):
        command["options"] = [_stored_option(option) for option in body["options"]]
    return command


def _stored_option(option: dict[str, Any]) -> dict[str, Any]:
    stored = {name: value for name, value in option.items() if value is not False and value not in (None, [], {})}
    stored |= {name: option.get(name) for name in ("name_localizations", "description_localizations")}
    if option.get("options"):
        stored["options"] = [_stored_option(one) for one in option["options"]]
    if option.get("choices"):
        stored["choices"] = [{"name_localizations": None, **choice} for choice in option["choices"]]
    return stored


def payload(command: dict[str, Any], *, localizations: bool) -> dict[str, Any]:
    """Return a command as a GET returns it, without translations unless `localizations`."""
    if localizations:
        return command
    kept: dict[str, Any] = {}
    for name, value in command.items():
        if name in ("options", "choices"):
            kept[name] = [payload(one, localizations=False) for one in value]
        elif not name.endswith("_localizations"):
            kept[name] = value
    return kept


def find(world: World, channel: FakeChannel, name: str, kind: int = CHAT) -> dict[str, Any]:
    """Return the command of this name that a user sees here. Raises LookupError if it is not registered."""
    guild_id = channel.guild.id if channel.guild else ""
    for scope in dict.fromkeys((guild_id, "")):
        for command in world.registered.get(scope, ()):
            if command["name"] == name and command["type"] == kind:
                return command
    raise LookupError(f"There is no command {name!r} here.")


def interaction_data(
    world: World, command: dict[str, Any], path: list[str], given: dict[str, Any], *, focused: str = ""
) -> dict[str, Any]:
    """Return the data of an interaction; the client has checked the `given` options and resolved their ids.

    `path` names the subcommand. An option of a user, channel, role or file is given as that object. With
    `focused`, that option is being typed and nothing is checked.
    """
    resolved: dict[str, dict[str, Any]] = {}
    inner = command
    for name in path:
        inner = next((option for option in inner.get("options", ()) if option["name"] == name), {})
        if inner.get("type") not in (SUBCOMMAND, GROUP):
            raise LookupError(f"/{command['name']} has no subcommand {name!r}.")
    known = {option["name"]: option for option in inner.get("options", ())}
    if any(option["type"] in (SUBCOMMAND, GROUP) for option in known.values()):
        raise LookupError(f"/{command['name']} is used with one of its subcommands: {', '.join(known)}")
    if unknown := set(given) - set(known):
        raise LookupError(f"/{command['name']} has no option {', '.join(unknown)}; it has {', '.join(known)}.")
    missing = [name for name, option in known.items() if option.get("required") and name not in given]
    if missing and not focused:
        raise LookupError(f"/{command['name']} cannot be sent without {', '.join(missing)}.")
    options: list[dict[str, Any]] = []
    for name, value in given.items():
        option = {"name": name, "type": known[name]["type"], "value": _value(known[name], value, resolved)}
        if name == focused:
            option |= {"focused": True, "value": value}
        elif not focused:
            _check_value(known[name], option["value"])
        options.append(option)
    for name, kind in reversed(list(zip(path, _kinds(command, path), strict=True))):
        options = [{"name": name, "type": kind, "options": options}]
    data = {"id": command["id"], "name": command["name"], "type": command["type"], "options": options}
    if resolved:
        data["resolved"] = resolved
    if "guild_id" in command:
        data["guild_id"] = command["guild_id"]
    return data


def _kinds(command: dict[str, Any], path: list[str]) -> list[int]:
    return [GROUP, SUBCOMMAND][-len(path) :] if path else []


def _value(option: dict[str, Any], value: Any, resolved: dict[str, dict[str, Any]]) -> Any:
    if isinstance(value, FakeUser):
        resolved.setdefault("users", {})[value.id] = value.payload()
    elif isinstance(value, FakeChannel):
        channel = value.payload() | {"permissions": "0"}
        resolved.setdefault("channels", {})[value.id] = channel
    elif isinstance(value, FakeRole):
        resolved.setdefault("roles", {})[value.id] = value.payload()
    elif option["type"] == FILE:
        file: FakeAttachment = value
        resolved.setdefault("attachments", {})[file.id] = file.payload() | {"ephemeral": True}
    else:
        return value
    return value.id


def _check_value(option: dict[str, Any], value: Any) -> None:
    types = {STRING: str, INTEGER: int, BOOLEAN: bool, NUMBER: (int, float)}.get(option["type"], str)
    fine = isinstance(value, types) and (option["type"] == BOOLEAN or not isinstance(value, bool))
    if choices := [choice["value"] for choice in option.get("choices", ())]:
        fine = fine and value in choices
    if option["type"] in (INTEGER, NUMBER) and fine:
        fine = option.get("min_value", value) <= value <= option.get("max_value", value)
    if option["type"] == STRING and fine:
        fine = option.get("min_length", 0) <= len(value) <= option.get("max_length", 6000)
    if not fine:
        raise ValueError(f"Discord's client does not send {value!r} for {option['name']}: {option}")
