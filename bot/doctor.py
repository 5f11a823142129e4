"""`tempera doctor`: checks everything that can go wrong in a set-up, and prints a sentence on each.

It changes nothing. What the start of the bot refuses is checked by the same functions.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import aiohttp

from bot.access import rate_limits
from bot.config.loading import NOTHING_TO_RUN
from bot.core.errors import BotError, ModelError, UserError
from bot.core.text import cut
from bot.inference.client import ModelClient
from bot.inference.connecting import connect_all
from bot.inference.key_proof import UNPROVEN
from bot.inference.local_server import WARNING_WITHOUT_KEY, check_packages
from bot.inference.responses import BROKEN, DOWN, KEY_REFUSED
from bot.inference.trial import try_out
from bot.inference.upstreams.upstream import Upstream
from bot.storage import inspection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from bot.app import Bot
    from bot.config.loading import Config
    from bot.config.sections import ModelServerSection
    from bot.config.upstreams import UpstreamSection
    from bot.core.model_events import Readiness

    Findings = Iterable[tuple[bool | None, str]]
    """Whether something is right, and a sentence about it; None for what is accepted but most likely a mistake."""

LABELS = {True: "ok     ", None: "warning", False: "PROBLEM"}
LONGEST_FINDING = 4000
FOREIGN_LESSONS = (
    "The embedding model that comes along knows English. Lessons in other languages are found better with "
    "`tempera-models serve --catalogue languages` and TEMPERA_EXPLAIN__EMBEDDINGS=multilingual-e5-small."
)
WITHOUT_CLASSIFIER = (
    "No local server classifies texts: where safety.level is classroom, nothing is answered, and where it is standard, "
    "the word lists check alone. Enable [model_server], or name a model for “moderations” in a local upstream."
)
REFUSED_HINT = (
    "What this server does not take can be named in its [[upstreams]], with leave_out or system_turn "
    "(docs/operate/upstreams.md)."
)
API_KEY, TRUSTED_KEY = "TEMPERA_MODEL_SERVER__API_KEY", "TEMPERA_MODEL_SERVER__TRUSTED_KEY"


async def examine(load: Callable[[], Config], build: Callable[[Config], Bot], timeout_seconds: float = 10) -> int:
    """Print one line for each check, those after a failed one as well; return 0 if none failed, else 1.

    `timeout_seconds` is how long the model server, or a bot that runs already, may take to answer.
    """
    report = _Report()
    try:
        config = load()
    except BotError as error:
        report.add([(False, str(error))])
        return report.status
    report.add([(True, "The configuration can be read."), *((None, warning) for warning in config.warnings)])
    bot = None
    try:
        bot = build(config)
    except BotError as error:
        report.add([(False, str(error))])
    if bot is not None:
        names = ", ".join(f"/{command.name}" for command in bot.registry.commands)
        report.add([(True, f"{len(bot.registry.commands)} commands: {names}")])
    await report.run("the lessons", _check_lessons(config))
    await report.run("the database", _told(inspection.inspect(config.database.url)))
    await report.run("the rate limits", _told(rate_limits.ping(config.limits.storage.get_secret_value())))
    if not config.has_platform and not config.starts_models:
        report.add([(False, NOTHING_TO_RUN)])
    await report.run("the web chat", _check_web(config, timeout_seconds))
    if config.model_server.enabled:
        await report.run("the model server", _check_model_server(config.model_server, timeout_seconds))
    elif not config.upstreams:
        report.add([(False, "There are no models: [model_server] is not enabled, and there are no [[upstreams]].")])
    elif not any(upstream.is_local and upstream.models.get("moderations") for upstream in config.upstreams):
        report.add([(None, WITHOUT_CLASSIFIER)])
    for upstream in config.upstreams:
        await report.run(f"the upstream {upstream.name}", _check_upstream(upstream, timeout_seconds))
    await report.run("Discord", _check_discord(config, bot))
    await report.run("Slack", _check_slack(config, timeout_seconds))
    return report.status


class _Report:
    """Prints findings as they come, each once."""

    def __init__(self) -> None:
        self.status = 0
        self._printed: set[str] = set()

    def add(self, findings: Findings) -> None:
        for good, text in findings:
            if good is False:
                self.status = 1
            if text not in self._printed:
                self._printed.add(text)
                # Parts of it may be what another program answered, which must not control the terminal.
                shown = "".join(character if character.isprintable() else "�" for character in text)
                print(f"{LABELS[good]}  {cut(shown, LONGEST_FINDING)}")

    async def run(self, subject: str, check: Awaitable[Findings]) -> None:
        try:
            self.add(await check)
        except BotError as error:
            self.add([(False, str(error))])
        except Exception as error:  # noqa: BLE001 - the checks after it are of use all the same
            self.add([(False, f"The check of {subject} failed unexpectedly ({type(error).__name__}).")])


async def _check_lessons(config: Config) -> Findings:
    missing = [str(path) for path in config.explain.files if not await asyncio.to_thread(path.is_file)]
    findings: list[tuple[bool | None, str]] = [
        (None, f"The lesson {path} is not there, so /explain leaves it out.") for path in missing
    ]
    language = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "en")
    if not config.explain.embeddings and language.split(".")[0] not in ("C", "POSIX") and language[:2] != "en":
        findings.append((True, FOREIGN_LESSONS))
    return findings


async def _told(sentence: Awaitable[str]) -> Findings:
    return [(True, await sentence)]


async def _check_web(config: Config, timeout_seconds: float) -> Findings:
    from bot.platforms.web import checks

    return await checks.examine(config.web, timeout_seconds)


async def _check_model_server(section: ModelServerSection, timeout_seconds: float) -> Findings:
    where = f"The model server at {section.url}"
    async with connect_all(section) as client:
        try:
            async with asyncio.timeout(timeout_seconds):
                state = await client.readiness()
        except TimeoutError:
            return [(False, _describe_silence(section))]
        except UserError as error:
            return [(False, _explain_failure(section, error)), *_check_packages(section)]
    if state.ready:
        unknown = (
            f" If neither “make run” nor “tempera run” started it, {WARNING_WITHOUT_KEY}." if not section.key else ""
        )
        return [(True, f"{where} is ready: {', '.join(state.models)}.{unknown}"), *_describe_models(state)]
    waiting = "; ".join(f"{name}: {what}" for name, what in state.states.items())
    return [(False, f"{where} is not ready yet. {waiting}."), *_describe_models(state)]


async def _check_upstream(section: UpstreamSection, timeout_seconds: float) -> Findings:
    """Try an upstream with tiny requests, and return what it can do."""
    where = f"The upstream “{section.name}” at {section.url}"
    async with ModelClient.over([Upstream(section)]).reaching(remote=True) as client:
        try:
            trial = await try_out(client, timeout_seconds)
        except TimeoutError:
            return [(False, f"{where} takes a connection but does not answer in time.")]
        except UserError as error:
            cause = error.__cause__
            reason = (
                f"does not answer: {_describe(cause)}." if isinstance(cause, OSError) else f"cannot be used: {error}"
            )
            hint = f" {REFUSED_HINT}" if isinstance(error, ModelError) and error.status in (400, 422) else ""
            return [(False, f"{where} {reason}{hint}")]
    if not trial.models:
        return [(False, f"{where} answers, but has no model that the bot could use.")]
    kind = "local" if section.is_local else "remote: only servers that allow it send there"
    models = "; ".join(f"{task}: {', '.join(names)}" for task, names in trial.models.items())
    findings: list[tuple[bool | None, str]] = [(True, f"{where} ({kind}) has models for {models}.")]
    if trial.tried:
        seeds = "gave the same text for the same seed" if trial.repeats else "gave other text for the same seed"
        odds = f"tells the {trial.likely} most probable tokens" if trial.likely else "tells no probabilities of tokens"
        beginning = "goes on with the beginning of an answer" if trial.goes_on else "cannot go on with a beginning"
        tokens = "tells how many tokens there were" if trial.counts else "does not tell how many tokens there were"
        findings.append((True, f"{trial.tried} {seeds}, {odds}, {beginning}, and {tokens}."))
    if trial.seeing:
        name = trial.seeing
        seen = (
            (None, f"{name} is said to read pictures, but: {trial.blind}")
            if trial.blind
            else (True, f"{name} reads pictures.")
        )
        findings.append(seen)
    return findings


def _describe(cause: OSError) -> str:
    """Return why there is no connection, without the address and the class of an error."""
    inner = cause.os_error if type(cause) is aiohttp.ClientConnectorError else cause
    return os.strerror(inner.errno) if isinstance(inner, ConnectionError) and inner.errno else str(cause)


def _describe_models(state: Readiness) -> Findings:
    """Yield what the model server says about the choice of its models, and of one that is still to come."""
    yield from ((True, note) for note in state.notes)
    for one in state.alternatives:
        yield None if one.chosen and one.lacks else True, one.describe().in_language("en")
    for name, what in state.coming.items():
        has_failed = what.startswith("failed")
        yield (
            None if has_failed else True,
            f"A smaller model answers until {name} is ready. {name}: {what.rstrip('.')}.",
        )


def _explain_failure(section: ModelServerSection, error: UserError) -> str:
    """Return why the state of the model server could not be read, and what would be right."""
    cause = error.__cause__
    if str(error) in (UNPROVEN, KEY_REFUSED):
        return _explain_key(section, is_unproven=str(error) == UNPROVEN)
    if isinstance(cause, TimeoutError) and not isinstance(cause, aiohttp.ClientError):
        return _describe_silence(section)
    if isinstance(cause, OSError):
        return f"No model server answers at {section.url}. Start it with “make run” or “tempera-models serve”."
    why = "" if str(error) in (DOWN, BROKEN) else f" ({str(error).rstrip('.')})"
    return (
        f"What answers at {section.url} is no model server of Tempera{why}. Stop that program, or set another address "
        "in TEMPERA_MODEL_SERVER__URL."
    )


def _describe_silence(section: ModelServerSection) -> str:
    return f"The model server at {section.url} takes a connection but does not answer; restart it."


def _explain_key(section: ModelServerSection, *, is_unproven: bool) -> str:
    if not section.key:
        return f"The model server at {section.url} needs a key: set {API_KEY} to the value that it has on the server."
    variable = API_KEY if section.api_key.get_secret_value() else TRUSTED_KEY
    if is_unproven:
        return (
            f"What answers at {section.url} does not know the key in {variable}, so the bot sends nothing to it. Set "
            f"the same value in {variable} where that server is started, and start it again. For a server by others, "
            "which cannot prove that it knows a key, set TEMPERA_MODEL_SERVER__VERIFY=false."
        )
    return (
        f"The model server at {section.url} refuses the key in {variable}. Set the value here that {API_KEY} has where "
        "that server is started."
    )


def _check_packages(section: ModelServerSection) -> Findings:
    """Return what keeps the bot from starting a model server; nothing if it can, or if it would start none."""
    try:
        if section.is_local:
            check_packages()
    except BotError as error:
        return [(False, str(error))]
    return []


async def _check_discord(config: Config, bot: Bot | None) -> Findings:
    if not config.discord.token.get_secret_value().strip():
        return [(True, "Discord is not set up: TEMPERA_DISCORD__TOKEN is empty.")]
    from bot.platforms.discord import checks

    commands = None if bot is None else bot.registry.commands
    return await checks.examine(config.discord, commands, direct_messages=config.access.direct_messages)


async def _check_slack(config: Config, timeout_seconds: float) -> Findings:
    if not config.slack.is_configured:
        return [(True, "Slack is not set up: TEMPERA_SLACK__BOT_TOKEN is empty.")]
    from bot.platforms.slack import checks

    findings = await checks.examine(config.slack)
    return [*findings, await checks.examine_port(config.slack, timeout_seconds)] if config.slack.listens else findings
