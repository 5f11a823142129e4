"""The checks of `tempera doctor` for Discord."""

from pathlib import Path
from typing import Any

import discord
import pytest
from fakes.discord import FakeDiscord
from fakes.discord.routes import application

from bot.commands.command import Command
from bot.config.sections import DiscordSection, PluginsSection
from bot.platforms.discord import checks
from bot.platforms.discord.checks import PERMISSIONS, examine, invite_link
from bot.platforms.discord.incoming.command_tree import Tree
from bot.platforms.discord.incoming.commands import build
from bot.platforms.discord.incoming.sync import synchronise
from bot.platforms.discord.library import configure
from bot.plugin_host import plugin

COMMANDS = [command for one in plugin.load(PluginsSection(entry_points=False)) for command in one.commands()]


def section(server: FakeDiscord, **more: Any) -> DiscordSection:
    given = {"token": server.token, "api_base": server.api_base, "gateway_url": server.gateway_url}
    return DiscordSection(**(given | more))


async def handler(*_: object) -> Any:
    raise AssertionError("Nobody uses a command here.")


async def problems(chosen: DiscordSection) -> list[str]:
    return [text for good, text in await examine(chosen, COMMANDS) if not good]


async def test_a_right_set_up_has_no_problems(server: FakeDiscord) -> None:
    found = await examine(section(server), COMMANDS)
    assert [good for good, _ in found] == [True] * len(found)
    texts = [text for _, text in found]
    assert texts[0] == "Discord knows the token: the bot tempera of the application “Tempera”."
    assert texts[1:] == [
        "It can connect 1000 more times today; Discord asks for 1 connection(s).",
        "It is in 1 server(s), with what it needs: Guild.",
        "No commands are registered everywhere yet; “tempera run” registers them.",
        f"To add the bot to a server, open {invite_link(int(server.application_id))}",
        f"To add it to your own account, open {checks.personal_link(int(server.application_id))}",
    ]
    assert server.command_writes == 0


def test_the_documented_permissions_are_those_of_the_invite() -> None:
    text = " ".join((Path(__file__).parents[4] / "docs" / "user" / "discord.md").read_text("utf-8").split())
    assert discord.Permissions(309237746688) == PERMISSIONS
    *most, last = checks.PERMISSION_NAMES.values()
    assert f"the permissions {PERMISSIONS.value}: {', '.join(most)} and {last}." in text
    assert invite_link(5) == (
        "https://discord.com/oauth2/authorize?client_id=5&scope=bot+applications.commands&permissions=309237746688"
    )
    assert checks.personal_link(5) == (
        "https://discord.com/oauth2/authorize?client_id=5&scope=applications.commands&integration_type=1"
    )


async def test_a_wrong_token_is_a_problem(server: FakeDiscord) -> None:
    (problem,) = await problems(section(server, token="wrong"))
    assert problem.startswith("Discord refuses the token TEMPERA_DISCORD__TOKEN. Get a new one at https://discord.com/")
    assert "wrong" not in problem


async def test_an_intent_that_the_portal_does_not_grant_is_a_problem(server: FakeDiscord) -> None:
    assert await problems(section(server, message_content=True)) == []
    server.message_content_allowed = False
    assert await problems(section(server)) == []
    (problem,) = await problems(section(server, message_content=True))
    assert problem.startswith("The intent Message Content is asked for, and Discord does not grant it.")
    assert "TEMPERA_DISCORD__MESSAGE_CONTENT=false" in problem


def change_application(server: FakeDiscord, **changes: Any) -> None:
    """Let Discord describe the application with these changes, once."""
    server.refuse("GET", "*/oauth2/applications/@me", 200, body=application(server.rest, None) | changes)


async def test_an_interactions_endpoint_is_a_problem(server: FakeDiscord) -> None:
    change_application(server, interactions_endpoint_url="https://old.example/hook")
    (problem,) = await problems(section(server))
    assert problem.startswith("Discord sends commands to https://old.example/hook instead: empty Interactions Endpoint")


async def test_a_private_bot_without_user_installation_is_no_problem(server: FakeDiscord) -> None:
    change_application(server, bot_public=False, integration_types_config={"0": {}})
    texts = [text for _, text in await examine(section(server), COMMANDS)]
    assert "Only its owner can invite the bot: Public Bot is switched off at Discord." in texts
    assert texts[-1].startswith("To add the bot to a server")


async def test_too_many_starts_are_a_problem(server: FakeDiscord) -> None:
    server.gateway.session_starts_left = 0
    (problem,) = await problems(section(server))
    assert problem == "The bot has started too often today; Discord lets it connect again in 4.0 hours."


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"sync": "off"}, "Commands are not registered: discord.sync is “off”."),
        ({"shards": "0-1/4"}, "This process has 0-1/4. If it ends, the others take its shards."),
    ],
)
async def test_what_is_configured_is_told(server: FakeDiscord, more: dict[str, str], told: str) -> None:
    assert any(text.endswith(told) for _, text in await examine(section(server, **more), COMMANDS))


async def test_missing_permissions_are_named(server: FakeDiscord) -> None:
    other = server.add_guild("Other")
    other.roles[next(iter(other.members[server.bot.id]))].permissions &= ~(
        discord.Permissions.attach_files.flag | discord.Permissions.view_channel.flag
    )
    admin = server.add_guild("Admin")
    admin.roles[next(iter(admin.members[server.bot.id]))].permissions = discord.Permissions.administrator.flag
    (problem,) = await problems(section(server))
    assert problem.startswith("In the server “Other” the bot lacks View Channels, Attach Files: ")


async def test_commands_that_discord_does_not_list_are_a_problem(server: FakeDiscord) -> None:
    server.refuse("GET", "*/guilds/7/commands", 403, body={"code": 50001, "message": "Missing Access"})
    (problem,) = await problems(section(server, sync="guilds", guilds=(7,)))
    assert problem.startswith("Discord does not tell which commands are registered in server 7: invite the bot again")


@pytest.mark.parametrize(
    ("offered", "found"),
    [
        (COMMANDS, "{count} commands are registered everywhere."),
        (COMMANDS[:-1], "Not the right commands are registered everywhere; “tempera run” changes that."),
    ],
)
async def test_the_state_of_the_registered_commands_is_reported(
    offered: list[Command], found: str, server: FakeDiscord
) -> None:
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        configure(section(server))
        await client.login(server.token)
        tree = Tree(client)
        tree.replace_commands(build(COMMANDS, run=handler, run_on_message=handler, complete=handler))
        await synchronise(tree, section(server))
    texts = [text for _, text in await examine(section(server), offered)]
    assert found.format(count=len(server.registered[""])) in texts


async def test_many_servers_are_listed_page_by_page(server: FakeDiscord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "SERVERS_PER_PAGE", 2)
    for name in ("B", "C", "D"):
        server.add_guild(name)
    texts = [text for _, text in await examine(section(server), COMMANDS)]
    assert "It is in 4 server(s), with what it needs: Guild, B, C, D." in texts


async def test_a_bot_without_servers_is_no_problem(server: FakeDiscord) -> None:
    server.remove_bot(server.guild)
    texts = [text for _, text in await examine(section(server), COMMANDS)]
    assert "The bot is in no server yet." in texts


async def test_an_unreachable_discord_is_a_problem(server: FakeDiscord, unused_tcp_port: int) -> None:
    base = f"http://127.0.0.1:{unused_tcp_port}"
    (problem,) = await problems(section(server, api_base=base))
    assert problem.startswith(f"Discord cannot be reached at {base}: ")


async def test_an_http_error_is_a_problem(server: FakeDiscord) -> None:
    server.refuse("GET", "*/users/@me", 404, body={"message": "404: Not Found", "code": 0})
    (problem,) = await problems(section(server))
    assert problem.startswith(f"Discord answers at {server.api_base}: 404 Not Found")


async def test_a_slow_discord_is_a_problem(server: FakeDiscord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "TIMEOUT_SECONDS", 0.2)
    wait = {"message": "You are being rate limited.", "retry_after": 900, "global": False}
    server.refuse("GET", "*/users/@me", 429, body=wait, headers={"Via": "1.1 google", "Retry-After": "900"})
    assert await problems(section(server)) == [f"Discord does not answer at {server.api_base} within 0.2 seconds."]
