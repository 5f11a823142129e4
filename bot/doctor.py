"""`tempera doctor`: checks everything that can go wrong in a set-up, and prints a sentence on each."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

from bot.core.errors import BotError, ModelUnavailable
from bot.inference.client import DOWN, ModelClient
from bot.inference.local_server import WARNING_WITHOUT_KEY
from bot.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot.app import Bot
    from bot.config.loading import Config


async def examine(load: Callable[[], Config], build: Callable[[Config], Bot], timeout_seconds: float = 10) -> int:
    """Print one line for each check; return 0 if all passed, else 1.

    `timeout_seconds` is how long the model server may take to answer.
    """
    try:
        config = load()
        bot = build(config)
    except BotError as error:
        _print_finding(False, str(error))
        return 1
    _print_finding(True, "The configuration can be read.")
    _print_finding(True, f"{len(bot.commands)} commands: " + ", ".join(f"/{command.name}" for command in bot.commands))
    findings = [
        await _check_database(config),
        _check_web_port(config),
        await _check_model_server(config, timeout_seconds),
    ]
    findings += [*await _check_discord(config, bot), *await _check_slack(config)]
    for good, text in findings:
        _print_finding(good, text)
    return 0 if all(good for good, _ in findings) else 1


def _print_finding(good: bool, text: str) -> None:
    print(f"{'ok     ' if good else 'PROBLEM'}  {text}")


async def _check_database(config: Config) -> tuple[bool, str]:
    try:
        async with Database(config.database.url) as database:
            return True, f"The database opens: {database.name}."
    except BotError as error:
        return False, str(error)


def _check_web_port(config: Config) -> tuple[bool, str]:
    if not config.web.enabled:
        return True, "The web chat is switched off."
    return _check_port("the web chat", config.web.host, config.web.port)


def _check_port(name: str, host: str, port: int) -> tuple[bool, str]:
    where, begins = f"{host}:{port}", f"{name[0].upper()}{name[1:]}"
    try:
        with socket.create_server((host, port)):
            return True, f"{begins} can listen on http://{where}."
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return False, f"{begins} cannot listen on {where}: {error.strerror}."
        return True, f"Something listens on {where} already: {name}, if Tempera is running."


async def _check_model_server(config: Config, timeout_seconds: float) -> tuple[bool, str]:
    section = config.model_server
    async with ModelClient(section.url, section.key) as client:
        try:
            async with asyncio.timeout(timeout_seconds):
                state = await client.readiness()
        except TimeoutError:
            return False, f"The model server at {section.url} takes a connection but does not answer; restart it."
        except ModelUnavailable as error:
            if str(error) != DOWN:
                return False, str(error)
            how = "Start it with “make run” or “tempera-models serve”."
            return False, f"No model server answers at {section.url}. {how}"
        if state.ready:
            unknown = (
                "" if section.key else f" If neither “make run” nor “tempera run” started it, {WARNING_WITHOUT_KEY}."
            )
            return True, f"The model server at {section.url} is ready: {', '.join(state.models)}.{unknown}"
        waiting = "; ".join(f"{name}: {what}" for name, what in state.states.items())
        return False, f"The model server at {section.url} is not ready yet. {waiting}."


async def _check_discord(config: Config, bot: Bot) -> list[tuple[bool, str]]:
    if not config.discord.token.get_secret_value().strip():
        return [(True, "Discord is not set up: TEMPERA_DISCORD__TOKEN is empty.")]
    from bot.platforms.discord import checks

    return await checks.examine(config.discord, bot.commands, direct_messages=config.access.direct_messages)


async def _check_slack(config: Config) -> list[tuple[bool, str]]:
    section = config.slack
    if not section.is_configured:
        return [(True, "Slack is not set up: TEMPERA_SLACK__BOT_TOKEN is empty.")]
    from bot.platforms.slack import checks

    findings = await checks.examine(section)
    return (
        findings if section.uses_sockets else [*findings, _check_port("the bot on Slack", section.host, section.port)]
    )
