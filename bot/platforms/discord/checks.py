"""The checks of `tempera doctor` for Discord, and the links that add the bot to a server or an account."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import discord

from bot.core.errors import BotError
from bot.platforms.discord.incoming.command_tree import Tree
from bot.platforms.discord.incoming.commands import build
from bot.platforms.discord.incoming.sync import compare_all
from bot.platforms.discord.library import configure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bot.commands.command import Command
    from bot.config.sections import DiscordSection
    from bot.platforms.discord.incoming.sync import CommandScope

    Findings = list[tuple[bool, str]]

PERMISSION_NAMES = {
    "view_channel": "View Channels",
    "send_messages": "Send Messages",
    "send_messages_in_threads": "Send Messages in Threads",
    "create_public_threads": "Create Public Threads",
    "attach_files": "Attach Files",
    "read_message_history": "Read Message History",
}
"""The permissions that the bot needs, by discord.py's names, with the names in Discord's interface."""
PERMISSIONS = discord.Permissions(**dict.fromkeys(PERMISSION_NAMES, True))
SCOPES = ("bot", "applications.commands")

PORTAL = "https://discord.com/developers/applications"
TIMEOUT_SECONDS = 20.0
SERVERS_PER_PAGE = 200


def invite_link(application_id: int) -> str:
    """Return the link that adds the bot to a server with the permissions that it needs."""
    return discord.utils.oauth_url(application_id, permissions=PERMISSIONS, scopes=SCOPES)


def personal_link(application_id: int) -> str:
    """Return the link that adds the bot to somebody's account, to use it in any server and in direct messages."""
    return discord.utils.oauth_url(application_id, scopes=SCOPES[1:]) + "&integration_type=1"


async def examine(
    section: DiscordSection, commands: Sequence[Command] | None, *, direct_messages: bool = True
) -> Findings:
    """Return a finding for each part of the set-up: True if it is right, and a sentence about it.

    Without `commands`, which could not be loaded, it is not checked whether they are registered.
    """
    configure(section)
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS), _client(section) as client:
            application = client.application or await client.application_info()
            return [
                (True, f"Discord knows the token: the bot {client.user} of the application “{application.name}”."),
                *_application(application, section),
                await _gateway(client, section),
                *await _servers(client),
                *(
                    []
                    if commands is None
                    else await _commands(client, section, commands, direct_messages=direct_messages)
                ),
                *_links(application),
            ]
    except discord.LoginFailure:
        how = f"Get a new one at {PORTAL}: your application, Bot, Reset Token."
        return [(False, f"Discord refuses the token TEMPERA_DISCORD__TOKEN. {how}")]
    except TimeoutError:
        return [(False, f"Discord does not answer at {section.api_base} within {TIMEOUT_SECONDS:g} seconds.")]
    except discord.HTTPException as error:
        return [(False, f"Discord answers at {section.api_base}: {' '.join(str(error).split())}.")]
    except (aiohttp.ClientError, OSError) as error:
        return [(False, f"Discord cannot be reached at {section.api_base}: {error}.")]


@asynccontextmanager
async def _client(section: DiscordSection) -> AsyncIterator[discord.Client]:
    """A client that is logged in and receives no events."""
    async with discord.Client(intents=discord.Intents(guilds=True)) as client:
        await client.login(section.token.get_secret_value())
        yield client


def _application(application: discord.AppInfo, section: DiscordSection) -> Findings:
    findings: Findings = []
    if application.interactions_endpoint_url:
        where = f"empty Interactions Endpoint URL on the application's page at {PORTAL}"
        findings.append((False, f"Discord sends commands to {application.interactions_endpoint_url} instead: {where}."))
    flags = application.flags
    if section.message_content and not (flags.gateway_message_content or flags.gateway_message_content_limited):
        how = (
            f"Switch it on at {PORTAL}: Bot, Privileged Gateway Intents; or set TEMPERA_DISCORD__MESSAGE_CONTENT=false."
        )
        findings.append((False, f"The intent Message Content is asked for, and Discord does not grant it. {how}"))
    if not application.bot_public:
        findings.append((True, "Only its owner can invite the bot: Public Bot is switched off at Discord."))
    return findings


def _links(application: discord.AppInfo) -> Findings:
    findings: Findings = [(True, f"To add the bot to a server, open {invite_link(application.id)}")]
    if application.user_integration_config is not None:
        findings.append((True, f"To add it to your own account, open {personal_link(application.id)}"))
    return findings


async def _gateway(client: discord.Client, section: DiscordSection) -> tuple[bool, str]:
    shards, _, limit = await client.http.get_bot_gateway()
    hours = limit["reset_after"] / 3_600_000
    if not limit["remaining"]:
        return False, f"The bot has started too often today; Discord lets it connect again in {hours:.1f} hours."
    text = f"It can connect {limit['remaining']} more times today; Discord asks for {shards} connection(s)."
    if (plan := section.shard_plan) is not None and plan.ids is not None:
        text += f" This process has {section.shards}. If it ends, the others take its shards."
    return True, text


async def _servers(client: discord.Client) -> Findings:
    servers: list[Any] = []
    while True:
        after = int(servers[-1]["id"]) if servers else None
        page = await client.http.get_guilds(SERVERS_PER_PAGE, after=after, with_counts=False)
        servers += page
        if len(page) < SERVERS_PER_PAGE:
            break
    if not servers:
        return [(True, "The bot is in no server yet.")]
    findings = []
    for server in servers:
        allowed = discord.Permissions(int(server["permissions"]))
        missing = [
            name for flag, name in PERMISSION_NAMES.items() if not (allowed.administrator or getattr(allowed, flag))
        ]
        if missing:
            how = "give its role these permissions, or invite it again"
            findings.append((False, f"In the server “{server['name']}” the bot lacks {', '.join(missing)}: {how}."))
    names = [server["name"] for server in servers]
    return findings or [(True, f"It is in {len(servers)} server(s), with what it needs: {', '.join(names)}.")]


async def _commands(
    client: discord.Client, section: DiscordSection, commands: Sequence[Command], *, direct_messages: bool
) -> Findings:
    tree, never = Tree(client), _never_called
    try:
        tree.replace_commands(
            build(commands, run=never, run_on_message=never, complete=never, direct_messages=direct_messages)
        )
        scopes = await compare_all(tree, section)
    except BotError as error:
        return [(False, str(error))]
    if not scopes:
        return [(True, "Commands are not registered: discord.sync is “off”.")]
    return [(True, _registered(scope)) for scope in scopes]


def _registered(scope: CommandScope) -> str:
    if not scope.differs:
        return f"{len(scope.present)} commands are registered {scope}."
    if not scope.present:
        return f"No commands are registered {scope} yet; “tempera run” registers them."
    return f"Not the right commands are registered {scope}; “tempera run” changes that."


async def _never_called(*_: Any) -> Any:
    raise AssertionError("This client receives no events.")
