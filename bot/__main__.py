"""The command line of `tempera`: `run`, `chat`, `doctor` …"""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import os
import secrets
import signal
import sys
import threading
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from bot.config.log_lines import log_to_stderr
from bot.core.errors import BotError, PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bot.app import Bot
    from bot.config.loading import Config
    from bot.provenance.certificates import Identity

log = logging.getLogger("bot")

SWITCH_SECONDS = 0.001
"""How long a thread may compute before another one that waits has its turn."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status: 0 for success, 1 for an error, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        # Where the locale's encoding lacks a character, "?" stands for it instead of ending the program.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        try:
            options = _make_parser().parse_args(arguments)
            return int(options.action(options))
        finally:
            # Flushed here, as a closed pipe at the interpreter's exit could not be handled.
            sys.stdout.flush()
    except BotError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has closed it, as `head` does; Python would report that again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tempera", description="A chat bot that shows how language models, diffusion and GANs work."
    )
    parser.set_defaults(config=None, preset=[])
    parser.add_argument("--version", action="version", version=f"Tempera {version('tempera-bot')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="serve the web chat, and start the model server on this machine")
    run.add_argument("--no-models", action="store_true", help="do not start a model server; use the one configured")
    run.set_defaults(action=_run)

    chat = commands.add_parser("chat", help="talk to the bot in this terminal")
    chat.add_argument("--server", metavar="URL", help="the model server's address")
    chat.add_argument("--out", metavar="DIR", type=Path, default=Path("tempera-pictures"), help="where pictures go")
    chat.add_argument("line", nargs="*", metavar="/command …", help="run this one command and exit")
    chat.set_defaults(action=_chat)

    doctor = commands.add_parser(
        "doctor", help="check the configuration, the database, the ports, the model server and the platforms"
    )
    doctor.set_defaults(action=_doctor)

    listing = commands.add_parser("commands", help="print what the plugins offer, as JSON")
    listing.set_defaults(action=_commands)

    link = commands.add_parser("teacher-link", help="print a link that makes a moderator of the web chat, once")
    link.set_defaults(action=_teacher_link)

    backup = commands.add_parser("backup", help="write the database into a file, while the bot runs or not")
    backup.add_argument("file", metavar="FILE", type=Path, help="the new file, such as tempera.backup")
    backup.set_defaults(action=_backup)

    restore = commands.add_parser("restore", help="put a backup in the place of the database, while the bot is stopped")
    restore.add_argument("file", metavar="FILE", type=Path, help="a file that “tempera backup” has written")
    restore.set_defaults(action=_restore)

    for command in (run, chat, doctor, listing, link, backup, restore):
        command.add_argument("--config", metavar="FILE", type=Path, help="a configuration file")
        command.add_argument(
            "--preset", metavar="NAME", action="append", default=[], help="lay a preset over it, such as classroom"
        )
    return parser


def _load_config(options: argparse.Namespace) -> Config:
    from bot.config import loading as config

    return config.load(options.config, options.preset)


def _make_bot(configuration: Config, key: str = "", left_out: Mapping[str, str] | None = None) -> Bot:
    """Return the bot without the plugins that are `left_out`: the name of each by its module."""
    from bot.app import Bot
    from bot.inference.connecting import connect_all
    from bot.platforms.capabilities import PLATFORMS
    from bot.plugin_host import plugin
    from bot.storage.database import Database

    left_out = left_out or {}
    # Nobody declares the settings of a plugin that is left out.
    settings = {
        name: value for name, value in configuration.settings.items() if name.split(".")[0] not in left_out.values()
    }
    return Bot(
        connect_all(configuration.model_server, configuration.upstreams, key),
        plugin.load(configuration.plugins, left_out),
        Database(configuration.database.url),
        settings=settings,
        retention_days=configuration.database.retention_days,
        audit_days=configuration.database.audit_days,
        sections={"explain": configuration.explain},
        web_url=configuration.web.address,
        limits=configuration.limits.storage.get_secret_value(),
        direct_messages=configuration.access.direct_messages,
        platforms=PLATFORMS,
        identity=_load_identity(configuration),
    )


def _load_identity(configuration: Config) -> Identity | None:
    certificate, key = configuration.pictures.certificate, configuration.pictures.key
    if certificate is None or key is None:
        return None
    # Only who has a certificate waits for the libraries that try it out.
    from bot.provenance.given_certificate import load_identity

    return load_identity(certificate, key)


def _run(options: argparse.Namespace) -> int:
    from http_server.tracing import set_up_tracing

    configuration = _load_config(options)
    _set_up_logging(configuration.log.level, as_json=configuration.log.format == "json")
    for warning in configuration.warnings:
        log.warning("%s", warning)
    set_up_tracing("tempera-bot")
    # A thread that computes, such as one of the database, else keeps the event loop waiting 5 ms whenever it sends.
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        asyncio.run(_serve(configuration, own_models=not options.no_models))
    except* BotError as group:
        # The first error ended the other tasks.
        raise _first_error(group) from None
    except* asyncio.CancelledError:
        # A signal ended everything in order.
        pass
    return 0


def _set_up_logging(level: str, *, as_json: bool = False) -> None:
    log_to_stderr(level.upper(), as_json=as_json)
    if as_json:
        # For the model server that this process may start.
        os.environ["TEMPERA_LOG__FORMAT"] = "json"
    # Alembic logs each step of a migration.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for library in ("aiosqlite", "discord"):
        # Below INFO these log what people write, and tokens, which are parts of addresses.
        logging.getLogger(library).setLevel(max(logging.getLogger().level, logging.INFO))


def _first_error(group: BaseExceptionGroup[BotError]) -> BotError:
    first = group.exceptions[0]
    return _first_error(first) if isinstance(first, BaseExceptionGroup) else first


async def _serve(configuration: Config, *, own_models: bool) -> None:
    from bot.config.loading import NOTHING_TO_RUN
    from bot.core.garbage import searched_when_idle
    from bot.core.watchdog import Watchdog
    from bot.inference.local_server import LocalServer
    from bot.platforms.web import WebPlatform

    key = secrets.token_hex(16)
    bot = _make_bot(configuration, key)
    watchdog = Watchdog(bot.registry.find_code)
    if (task := asyncio.current_task()) is not None:
        endings = set[asyncio.Task[None]]()

        async def drain(seconds: float) -> None:
            try:
                await bot.drain(seconds)
            finally:
                task.cancel()

        watchdog.end_on_signals(lambda seconds: endings.add(asyncio.create_task(drain(seconds))))
    watchdog.start()
    async with bot, searched_when_idle(lambda: not bot.runs.ids), asyncio.TaskGroup() as tasks:
        running = []
        if own_models and configuration.starts_models:
            server = LocalServer(configuration.model_server, key)
            running.append(tasks.create_task(server.run(), name="model server"))
        if configuration.web.enabled:
            # Where the output is no terminal, it is kept: in a journal, or in a file that others can read.
            announce = partial(print, flush=True) if sys.stdout.isatty() else None
            web = WebPlatform(bot, configuration.web, announce=announce)
            running.append(tasks.create_task(web.run(), name="web"))
        if configuration.discord.token.get_secret_value():
            from bot.platforms.discord import DiscordPlatform

            running.append(tasks.create_task(DiscordPlatform(bot, configuration.discord).run(), name="discord"))
        if configuration.slack.is_configured:
            from bot.platforms.slack import SlackPlatform

            running.append(tasks.create_task(SlackPlatform(bot, configuration.slack).run(), name="slack"))
        if not running:
            raise BotError(NOTHING_TO_RUN)
        if configuration.monitoring.port:
            from bot.monitoring import Monitoring

            tasks.create_task(Monitoring(bot, configuration.monitoring).run(), name="monitoring")


def _chat(options: argparse.Namespace) -> int:
    from bot.platforms.terminal import Terminal

    configuration = _load_config(options)
    if options.server:
        section = configuration.model_server.with_url(options.server)
        configuration = configuration.model_copy(update={"model_server": section})
    log_to_stderr("ERROR")
    line = " ".join(options.line)

    def chat(bot: Bot) -> int:
        terminal = Terminal(bot, options.out)
        return asyncio.run(terminal.run_line(line) if line else terminal.converse())

    return _without_broken_plugins(configuration, chat)


def _without_broken_plugins(configuration: Config, run: Callable[[Bot], int]) -> int:
    """Run a bot without those plugins that are broken and not named by the configuration, and say which these are."""
    from bot.plugin_host.plugin import builtin_module

    named = set(map(builtin_module, configuration.plugins.enabled))
    left_out: dict[str, str] = {}
    while True:
        try:
            return run(_make_bot(configuration, left_out=left_out))
        except PluginError as error:
            if not error.module or error.module in named | left_out.keys():
                raise
            print(f"{error} The chat goes on without “{error.plugin}”.", file=sys.stderr)
            left_out[error.module] = error.plugin


def _doctor(options: argparse.Namespace) -> int:
    from bot.doctor import examine

    # What it finds is in its lines.
    logging.basicConfig(level="CRITICAL", stream=sys.stderr)
    return asyncio.run(examine(lambda: _load_config(options), _make_bot))


def _teacher_link(options: argparse.Namespace) -> int:
    from bot.platforms.web.access.teachers import WebModerators, teacher_link
    from bot.storage.database import Database

    configuration = _load_config(options)
    if not configuration.web.enabled:
        raise BotError("The web chat is switched off; set web.enabled to true.")

    async def new_code() -> str:
        async with Database(configuration.database.url) as database:
            return await WebModerators(database).create_code()

    print(teacher_link(configuration.web.address, asyncio.run(new_code())))
    return 0


def _exit_when_terminated() -> None:
    """Let a signal to end be an exception, so that what was begun is cleared up."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def _backup(options: argparse.Namespace) -> int:
    from bot.backup import back_up

    _exit_when_terminated()
    print(back_up(_load_config(options).database.url, options.file))
    return 0


def _restore(options: argparse.Namespace) -> int:
    from bot.backup import restore

    _exit_when_terminated()
    print(restore(_load_config(options).database.url, options.file))
    return 0


def _commands(options: argparse.Namespace) -> int:
    from bot.commands.command import as_json

    print(as_json(_make_bot(_load_config(options)).registry.commands))
    return 0


if __name__ == "__main__":
    sys.exit(main())
