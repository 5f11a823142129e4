"""Commands are registered on Discord once, and the use of an outdated one is explained."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import discord
import pytest
from fakes.discord import FakeDiscord

from bot.commands.command import Command
from bot.commands.option import KINDS, Option
from bot.config.sections import DiscordSection, PluginsSection
from bot.core.messages import Reply
from bot.platforms.discord.incoming import sync
from bot.platforms.discord.incoming.command_tree import Tree
from bot.platforms.discord.incoming.commands import build
from bot.platforms.discord.incoming.sync import synchronise
from bot.platforms.discord.library import configure
from bot.plugin_host import plugin

Section = Callable[..., DiscordSection]


@pytest.fixture
def section(server: FakeDiscord) -> Section:
    """`section(sync="guilds")` returns a configuration for the server."""

    def configured(**more: Any) -> DiscordSection:
        found = DiscordSection(token=server.token, api_base=server.api_base, gateway_url=server.gateway_url, **more)
        configure(found)
        return found

    return configured


@asynccontextmanager
async def logged_in(section: DiscordSection) -> AsyncIterator[Tree]:
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        await client.login(section.token.get_secret_value())
        yield Tree(client)


async def handler(*_: object) -> AsyncIterator[Reply]:
    yield Reply()


async def complete(*_: object) -> list[str]:
    return ["one", "two"]


def made(name: str, *options: Option, **more: Any) -> Command:
    return Command(name=name, description=f"About {name}.", options=options, handler=handler, plugin="toys", **more)


def built_in() -> list[Command]:
    return [command for one in plugin.load(PluginsSection(entry_points=False)) for command in one.commands()]


async def run(interaction: discord.Interaction, command: str, options: Any) -> None:
    await interaction.response.send_message(f"{command} {options}", ephemeral=True)


async def fail(interaction: discord.Interaction, command: str, options: Any) -> None:
    raise ZeroDivisionError


def offered(commands: list[Command], run: Any = run) -> list[Any]:
    return build(commands, run=run, run_on_message=run, complete=complete)


def names(server: FakeDiscord, guild: str = "") -> list[str]:
    return [command["name"] for command in server.registered[guild]]


async def register(section: DiscordSection, *commands: Command) -> None:
    async with logged_in(section) as tree:
        tree.replace_commands(offered(list(commands)))
        await synchronise(tree, section)


EVERY_KIND = made(
    "every kind",
    *(Option(name=kind.__name__.lower(), type=kind) for kind in KINDS),
    Option(name="bounded", type=float, minimum=0, maximum=0.5, required=False),
    Option(name="whole", type=int, minimum=0, maximum=2**60, required=False),
    Option(name="line", minimum=0, maximum=9000, required=False),
    Option(name="style", choices=("plain", "rhyme"), required=False),
    Option(name="edge", type=int, choices=(0, 64), required=False),
    Option(name="part", type=float, choices=(0.0, 0.5), required=False),
    Option(name="word", complete=complete, required=False),
    Option(name="size", description="long " * 60, type=float, minimum=-1e300, required=False),
    threads=True,
)  # fmt: skip


async def test_commands_are_registered_once(
    server: FakeDiscord, section: Section, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot")
    commands = [*built_in(), EVERY_KIND, made("purge", moderator=True, in_messages="Purge this")]
    await register(section(), *commands)
    assert server.command_writes == 1
    assert {"ask", "plugins", "every", "purge", "Explain this", "Purge this"} <= set(names(server))
    await register(section(), *commands)
    assert server.command_writes == 1
    first, second = (record.getMessage() for record in caplog.records if record.name == sync.__name__)
    assert first == f"Discord: {len(names(server))} commands are now registered everywhere."
    assert second == f"Discord: the {len(names(server))} commands registered everywhere are the right ones."


@pytest.mark.parametrize(
    "changed",
    [
        made("play", Option(name="size", type=int, minimum=1)),
        made("play", Option(name="size", type=int, description="Another.", minimum=0)),
        made("play", Option(name="size", type=int, minimum=0, required=False)),
        made("play", Option(name="size", type=float, minimum=0)),
        made("play", Option(name="size", type=int, minimum=0), moderator=True),
        made("play", Option(name="size", type=int, minimum=0), in_messages="Play this"),
        made("play", Option(name="size", type=int, minimum=0), Option(name="more", required=False)),
        made("play more", Option(name="size", type=int, minimum=0)),
    ],
)
async def test_every_change_is_registered(changed: Command, server: FakeDiscord, section: Section) -> None:
    await register(section(), made("play", Option(name="size", type=int, minimum=0)))
    await register(section(), changed)
    assert server.command_writes == 2


async def test_a_new_translation_is_registered(server: FakeDiscord, section: Section) -> None:
    await register(section(), *built_in())
    (face,) = (command for command in server.registered[""] if command["name"] == "face")
    assert [option["name_localizations"] for option in face["options"]][1]["de"] == "anzahl"
    face["options"][1]["name_localizations"]["de"] = "anders"
    await register(section(), *built_in())
    assert server.command_writes == 2


async def test_the_order_of_options_counts_and_that_of_commands_and_contexts_does_not(
    server: FakeDiscord, section: Section
) -> None:
    first, second = Option(name="a"), Option(name="b")
    await register(section(), made("play", first, second), made("sing"))
    server.registered[""][0]["contexts"].reverse()
    await register(section(), made("sing"), made("play", first, second))
    assert server.command_writes == 1
    await register(section(), made("sing"), made("play", second, first))
    assert server.command_writes == 2


async def test_commands_move_between_servers_and_all_places(server: FakeDiscord, section: Section) -> None:
    other = server.add_guild("Other")
    await register(section(), made("play"))
    guilds = (int(server.guild.id), int(other.id))
    await register(section(sync="guilds", guilds=guilds), made("play"))
    assert [names(server, guild) for guild in ("", server.guild.id, other.id)] == [[], ["play"], ["play"]]
    assert server.command_writes == 4
    assert server.registered[other.id][0]["contexts"] is None
    await register(section(sync="guilds", guilds=guilds), made("play"))
    assert server.command_writes == 4
    await register(section(guilds=guilds[:1]), made("play"))
    assert [names(server, guild) for guild in ("", server.guild.id, other.id)] == [["play"], [], ["play"]]


async def test_sync_off_changes_nothing(server: FakeDiscord, section: Section) -> None:
    await register(section(), made("play"))
    await register(section(sync="off", guilds=(int(server.guild.id),)), made("sing"))
    assert names(server) == ["play"]


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (403, {"code": 50001, "message": "Missing Access"}, "invite the bot again with the link that “tempera doctor”"),
        (400, {"code": 50035, "message": "Invalid Form Body"}, "it answers 400 Bad Request (error code: 50035)"),
    ],
)
async def test_a_refusal_for_one_server_is_logged_and_the_next_gets_its_commands(
    status: int, body: Any, reason: str, server: FakeDiscord, section: Section, caplog: pytest.LogCaptureFixture
) -> None:
    other = server.add_guild("Other")
    server.refuse("PUT", f"*/guilds/{server.guild.id}/commands", status, body=body)
    guilds = (int(server.guild.id), int(other.id))
    await register(section(sync="guilds", guilds=guilds), made("play"))
    (record,) = [record for record in caplog.records if record.name == sync.__name__]
    assert record.getMessage().startswith(
        f"Discord did not register the commands in server {server.guild.id}: {reason}"
    )
    assert record.exc_info is None
    assert names(server, other.id) == ["play"]


async def test_a_limit_that_ends_tomorrow_is_not_waited_for(
    server: FakeDiscord, section: Section, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "TIMEOUT_SECONDS", 0.2)
    limit = {"message": "Max number of daily application command creates has been reached", "retry_after": 80_000}
    server.refuse("PUT", "*/commands", 429, body=limit, headers={"Via": "1.1 google", "Retry-After": "80000"})
    await register(section(), made("play"))
    assert "takes no more of them today; the next start tries again" in caplog.text


async def test_an_unreachable_discord_is_logged_as_a_sentence(
    server: FakeDiscord, section: Section, caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    async with logged_in(section()) as tree:
        tree.replace_commands(offered([made("play")]))
        away = DiscordSection(api_base=f"http://127.0.0.1:{unused_tcp_port}")
        configure(away)
        await synchronise(tree, away)
    assert "Discord does not tell which commands are registered everywhere: it cannot be reached" in caplog.text
    assert "Traceback" not in caplog.text


# Use of the commands


@asynccontextmanager
async def connected(server: FakeDiscord, section: DiscordSection, *commands: Command, run: Any = run) -> Any:
    """Run a bot that answers each command with its options."""
    client = discord.AutoShardedClient(intents=discord.Intents(guilds=True))
    tree = Tree(client)
    tree.replace_commands(offered(list(commands), run))
    async with client:
        await client.login(section.token.get_secret_value())
        await synchronise(tree, section)
        connection = asyncio.create_task(client.connect())
        try:
            await server.connected()
            yield tree
        finally:
            await client.close()
            connection.cancel()
            with suppress(asyncio.CancelledError):
                await connection


async def test_a_command_of_one_server_arrives(server: FakeDiscord, section: Section) -> None:
    chosen = section(sync="guilds", guilds=(int(server.guild.id),))
    async with connected(server, chosen, made("lesson play", Option(name="size", type=int))):
        used = await server.slash(server.ann, server.channel, "lesson play", size=3)
        acknowledged = await used.acknowledged()
    assert (acknowledged.kind, acknowledged.private) == ("message", True)
    assert acknowledged.data["content"] == "lesson play {'size': 3}"


async def test_suggestions_that_come_too_late_are_one_line_in_the_log(
    server: FakeDiscord, section: Section, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot")
    async with connected(server, section(), made("play", Option(name="word", complete=complete))):
        server.refuse("POST", "*/callback", 404, body={"code": 10062, "message": "Unknown interaction"}, times=2)
        typing = asyncio.create_task(server.autocomplete(server.ann, server.channel, "play", "word", "o"))
        await server.until(lambda: "came too late" in caplog.text)
        typing.cancel()
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("name", ["play", "lesson play"])
async def test_a_command_that_is_gone_says_so(name: str, server: FakeDiscord, section: Section) -> None:
    async with connected(server, section(), made(name)) as tree:
        tree.replace_commands(offered([made("sing")]))
        used = await server.slash(server.add_user("Uta", locale="de"), server.channel, name)
        acknowledged = await used.acknowledged()
    assert acknowledged.private
    root = name.split()[0]
    assert acknowledged.data["content"].startswith(f"„{root}“ gibt es nicht mehr.")


async def test_a_command_that_has_changed_says_so(server: FakeDiscord, section: Section) -> None:
    async with connected(server, section(), made("play")) as tree:
        tree.replace_commands(offered([made("play", Option(name="size"))]))
        used = await server.slash(server.ann, server.channel, "play")
        acknowledged = await used.acknowledged()
    assert acknowledged.private
    assert acknowledged.data["content"] == "“play” has changed. Restart Discord to see it as it is now."


async def test_an_unexpected_error_has_a_number_and_a_traceback_in_the_log(
    server: FakeDiscord, section: Section, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(server, section(), made("play"), run=fail):
        used = await server.slash(server.ann, server.channel, "play")
        acknowledged = await used.acknowledged()
    number = acknowledged.data["content"].partition("(error ")[2][:8]
    assert acknowledged.private
    assert f"Error {number} in “play”" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_an_interaction_that_another_process_acknowledged_is_one_line_in_the_log(
    server: FakeDiscord, section: Section, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bot")
    async with connected(server, section(), made("play")):
        server.refuse("POST", "*/callback", 400, body={"code": 40060, "message": "Already acknowledged"})
        await server.slash(server.ann, server.channel, "play")
        await server.until(lambda: "was not acknowledged by this process" in caplog.text)
    assert "Traceback" not in caplog.text
