"""Opens workspaces: that of the configured token, and those that installed the bot, for as long as they have it."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from slack_sdk.errors import SlackApiError, SlackTokenRotationError
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator

from bot.core.background import repeated, until_stored
from bot.core.errors import BotError, DatabaseUnavailable
from bot.platforms.slack.adapter import SlackAdapter
from bot.platforms.slack.api.api import SlackApi
from bot.platforms.slack.api.budgets import RateBudgets
from bot.platforms.slack.api.client import connect, error_code
from bot.platforms.slack.api.errors import INVALID_TOKEN, NO_ANSWER, UNCERTAIN
from bot.platforms.slack.convert.people import UserDirectory
from bot.platforms.slack.convert.requests import PLATFORM, BotIdentity
from bot.platforms.slack.incoming.workspaces import Workspace, Workspaces, named_workspaces
from bot.platforms.slack.outgoing.answers import SlackAnswers
from bot.privacy.departure import delete_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from types import TracebackType

    from slack_sdk.web.async_client import AsyncWebClient

    from bot.app import Bot
    from bot.config.sections import SlackSection
    from bot.platforms.slack.installations import InstallationStore, StoredInstallation

    Json = Mapping[str, Any]

log = logging.getLogger(__name__)

RETRY_SECONDS = (1.0, 5.0, 15.0, 60.0)
REFUSED_SECONDS = (5.0, 15.0, 60.0, 120.0)
"""Pauses before Slack is asked again whether it takes a configured token that it may refuse for a while only."""
FOLLOW_SECONDS = 3.0
"""How often what other processes installed, renewed or deleted is read."""
FAILURE_SECONDS = 60.0
"""Pause after an attempt to open a workspace, or to renew its token, that failed."""
ROTATION_SECONDS = 60.0
ROTATE_BEFORE = timedelta(hours=2)
"""How long before its end a token is renewed; Slack's last for twelve hours."""
EXPIRED, USED_UP = "token_expired", "invalid_refresh_token"
"""Slack's codes for a token that can still be renewed, and for one that nothing can renew any more."""
MAX_OPENING = 8
"""Workspaces that are opened at once."""


class TokenRefused(BotError):
    """Slack refuses a token of the configuration."""

    def __init__(self, variable: str, why: str, left_out: str = "Slack") -> None:
        """`left_out` is what cannot be served without the token."""
        where = "https://api.slack.com/apps"
        rest = f"copy the valid one from {where}, and start again. {left_out} is left out until then."
        if why == UNCERTAIN:
            rest = f"look at {where} whether this machine's address is allowed there, or {rest}"
        super().__init__(f"{_refusal(variable, why)}: {rest}")


def pause_before_retry(variable: str, why: str, pauses: Iterator[float], left_out: str = "Slack") -> float:
    """Return in how many seconds a refused token is worth another attempt, the next of `pauses`, and log that.

    Raises TokenRefused if Slack refuses it for good, or all pauses are over.
    """
    pause = next(pauses, None) if why == UNCERTAIN else None
    if pause is None:
        raise TokenRefused(variable, why, left_out)
    log.warning("%s; I try again in %g s", _refusal(variable, why), pause)
    return pause


def _refusal(variable: str, why: str) -> str:
    return f"Slack does not take the token in {variable} ({why})"


@asynccontextmanager
async def _opened(bot: Bot, api: SlackApi, identity: BotIdentity, workspaces: Workspaces) -> AsyncIterator[Workspace]:
    """Serve a workspace while the context lasts. Everything that is of one workspace alone is made here."""
    api.budgets.share(bot.limits.take, identity.platform)
    async with AsyncExitStack() as stack:
        answers, users = SlackAnswers(bot, api, identity), UserDirectory(api, identity.workspaces)
        stack.push_async_callback(answers.close)
        stack.push_async_callback(users.close)
        adapter = SlackAdapter(api, users, identity)
        stack.enter_context(bot.adapters.registered(identity.platform, adapter))
        await stack.enter_async_context(bot.log_channel.post_entries(identity.platform))
        workspace = Workspace(answers, users)
        stack.enter_context(workspaces.serving(workspace))
        stack.enter_context(bot.abandoned.restored_by(identity.platform, answers.start_restoring))
        await answers.start_restoring()
        yield workspace


# The workspace of the configured token


@asynccontextmanager
async def opened_with_token(
    bot: Bot,
    section: SlackSection,
    session: aiohttp.ClientSession,
    workspaces: Workspaces,
    store: InstallationStore,
    ended: asyncio.Future[None],
) -> AsyncIterator[Workspace]:
    """Serve the workspace of the configured token; wait while Slack cannot be reached.

    Raises BotError if Slack refuses the token for some minutes. If it does so later, the same error is set in `ended`,
    or logged where other workspaces may add the bot.
    """
    api = SlackApi(connect(section, session), RateBudgets())
    identity = await _sign_in(api.client)
    platform = await until_stored(partial(store.name_configured, identity.team))
    identity = replace(identity, platform=platform)
    async with _opened(bot, api, identity, workspaces) as workspace:
        last = None if section.client_id else ended
        watching = asyncio.create_task(_end_with_token(api, last), name="slack token")
        try:
            yield workspace
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _sign_in(client: AsyncWebClient) -> BotIdentity:
    """Return the bot's identity; wait while Slack cannot be reached. Raises TokenRefused."""
    pauses, pauses_if_refused = iter(RETRY_SECONDS), iter(REFUSED_SECONDS)
    while True:
        try:
            return _identity(await client.auth_test())
        except SlackApiError as error:
            if (why := error_code(error)) in INVALID_TOKEN:
                variable = "TEMPERA_SLACK__BOT_TOKEN"
                await asyncio.sleep(pause_before_retry(variable, why, pauses_if_refused, "Its workspace"))
                continue
            problem = why or "what answers is not Slack; is TEMPERA_SLACK__API_BASE right?"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            problem = type(error).__name__
        pause = next(pauses, RETRY_SECONDS[-1])
        log.warning("Slack cannot be reached at %s (%s); I try again in %g s", client.base_url, problem, pause)
        await asyncio.sleep(pause)


def _identity(found: Any, platform: str = PLATFORM) -> BotIdentity:
    """Return the bot's identity from the answer of auth.test."""
    return BotIdentity(
        team=str(found["team_id"]),
        user=str(found["user_id"]),
        bot=str(found.get("bot_id", "")),
        name=str(found["user"]),
        workspace=str(found["team"]),
        enterprise=str(found.get("enterprise_id") or ""),
        platform=platform,
    )


async def _end_with_token(api: SlackApi, ended: asyncio.Future[None] | None) -> None:
    """Once Slack has refused the token, ask whether for good; set that in `ended`, or log it if there is none."""
    while True:
        await api.token_invalid.wait()
        try:
            await _sign_in(api.client)
        except TokenRefused as refused:
            if ended is None:
                log.error("%s The other workspaces are served.", refused)  # noqa: TRY400 - a traceback would add nothing
            elif not ended.done():
                ended.set_exception(refused)
            return
        api.token_invalid.clear()


# Workspaces that installed the bot


@dataclass
class _Open:
    """A workspace that is open, with the version of its installation, and what closes it."""

    api: SlackApi
    version: int
    user: str
    lifetime: AsyncExitStack


class Installed:
    """Keeps the workspaces open that installed the bot. As a context manager, it closes them at its end."""

    def __init__(
        self,
        bot: Bot,
        section: SlackSection,
        session: aiohttp.ClientSession,
        workspaces: Workspaces,
        store: InstallationStore,
    ) -> None:
        self._bot = bot
        self._section = section
        self._session = session
        self._workspaces = workspaces
        self._store = store
        self._open: dict[str, _Open] = {}
        self._failures: dict[str, tuple[int, float]] = {}
        """Which version of an installation could not be opened, and until when it is left alone."""
        self._leaving: dict[str, float] = {}
        """Who is said to have removed the bot, and when Slack is asked about that."""
        self._lock = asyncio.Lock()
        self._turns = asyncio.Semaphore(MAX_OPENING)
        self._background = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await until_stored(self.follow)
        except BaseException:
            await self._close_all()
            raise
        self._store.on_change = self._workspaces.look_again = self.follow
        await self._background.enter_async_context(repeated(self.follow, FOLLOW_SECONDS))
        await self._background.enter_async_context(repeated(self._rotate, ROTATION_SECONDS, at_once=True))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.on_change = self._workspaces.look_again = None
        await self._background.aclose()
        async with self._lock:
            await self._close_all()

    async def follow(self) -> None:
        """Open the workspaces that were installed, close those that were removed, and take over renewed tokens."""
        async with self._lock:
            versions = await self._store.versions()
            # Whose token is refused is opened again below, where Slack says why it cannot be.
            refused = [name for name, opened in self._open.items() if opened.api.token_invalid.is_set()]
            for name in {*refused, *(self._open.keys() - versions.keys())}:
                await self._close(name)
            # Versions begin anew where an installation was removed.
            self._failures = {name: failure for name, failure in self._failures.items() if name in versions}
            await self._delete_leaving()
            found = []
            for name, version in versions.items():
                if self._is_new(name, version):
                    if (stored := await self._store.get(name)) is not None:
                        found.append(stored)
                    else:
                        # It is gone, or cannot be read.
                        self._failures[name] = version, time.monotonic() + FAILURE_SECONDS
            await asyncio.gather(*map(self._open_one, [stored for stored in found if not await self._renew(stored)]))

    def _is_new(self, name: str, version: int) -> bool:
        """Return whether this version of an installation is still to be opened."""
        if (opened := self._open.get(name)) is not None:
            return opened.version != version
        failed, until = self._failures.get(name, (0, 0.0))
        is_left_alone = failed == version and time.monotonic() < until
        # The workspace of the configured token is served already.
        return not is_left_alone and not self._workspaces.serves(name)

    async def _renew(self, stored: StoredInstallation) -> bool:
        """Let an open workspace go on with its new token; return False if it has to be opened."""
        if (opened := self._open.get(stored.id)) is None:
            return False
        if opened.user != stored.installation.bot_user_id:
            await self._close(stored.id)
            return False
        opened.api.client.token, opened.version = stored.installation.bot_token, stored.version
        return True

    async def _open_one(self, stored: StoredInstallation) -> None:
        """Open a workspace. A failure is logged, and tried again later."""
        installation = stored.installation
        client = connect(self._section, self._session, installation.bot_token or "")
        async with self._turns:
            found, why = await _try_sign_in(client)
        if found is None:
            # A token that has only expired, as while the bot did not run, can still be renewed.
            is_over = why in INVALID_TOKEN and why not in (EXPIRED, UNCERTAIN)
            self._failures[stored.id] = stored.version, math.inf if is_over else time.monotonic() + FAILURE_SECONDS
            outlook = ", and is left out until it adds me again" if is_over else ""
            log.warning("The workspace %s cannot be served%s: %s", stored.id, outlook, why)
            return
        identity = _identity(found, stored.platform)
        if installation.is_enterprise_install:
            # The organisation with all its workspaces is one server then.
            identity = replace(identity, team=stored.id, enterprise=stored.id)
        api, lifetime = SlackApi(client, RateBudgets()), AsyncExitStack()
        await lifetime.enter_async_context(_opened(self._bot, api, identity, self._workspaces))
        self._open[stored.id] = _Open(api, stored.version, identity.user, lifetime)
        log.info("Slack: @%s serves the workspace “%s”", identity.name, identity.workspace)

    async def _close(self, name: str) -> None:
        if (opened := self._open.pop(name, None)) is not None:
            await opened.lifetime.aclose()

    async def _close_all(self) -> None:
        await asyncio.gather(*map(self._close, tuple(self._open)))

    # The end of tokens, and of installations

    async def _rotate(self) -> None:
        """Renew the tokens that end soon, each in one process only."""
        client = connect(self._section, self._session)
        client.token = None
        secret = self._section.client_secret.get_secret_value()
        rotator = AsyncTokenRotator(client_id=self._section.client_id, client_secret=secret, client=client)
        for stored in await self._store.find_expiring(datetime.now(UTC) + ROTATE_BEFORE):
            if self._failures.get(stored.id) == (stored.version, math.inf):
                continue
            attempt = f"rotation:{stored.id}:{stored.version}:{int(time.time() // FAILURE_SECONDS)}"
            if await self._bot.database.claim_event(stored.platform, attempt):
                await self._rotate_one(rotator, stored)
        await self.follow()

    async def _rotate_one(self, rotator: AsyncTokenRotator, stored: StoredInstallation) -> None:
        minutes = int(ROTATE_BEFORE.total_seconds() // 60)
        try:
            renewed = await rotator.perform_token_rotation(
                installation=stored.installation, minutes_before_expiration=minutes
            )
        except SlackTokenRotationError as error:
            why = error_code(error.api_error) or NO_ANSWER
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            why = type(error).__name__
        else:
            if renewed is not None:
                # Slack gives these tokens once. So they are stored also while the database is away, or the bot ends.
                await asyncio.shield(asyncio.create_task(until_stored(partial(self._store.renew, stored, renewed))))
            return
        if why == USED_UP:
            self._failures[stored.id] = stored.version, math.inf
        log.warning("The token of the workspace %s could not be renewed: %s", stored.id, why)

    async def leave(self, body: Json) -> None:
        """Delete what is stored of a workspace that removed the bot, as an event of Slack says."""
        event = body.get("event") or {}
        if event.get("type") == "tokens_revoked" and not (event.get("tokens") or {}).get("bot"):
            return
        async with self._lock:
            for name in named_workspaces(body):
                if await self._store.get(name) is not None:
                    self._leaving[name] = -math.inf
            await self._delete_leaving()

    async def _delete_leaving(self) -> None:
        """Delete what is of those who removed the bot; what cannot be done now is tried again later."""
        for name in [name for name, asked in self._leaving.items() if asked <= time.monotonic()]:
            self._leaving[name] = time.monotonic() + FAILURE_SECONDS
            try:
                stored = await self._store.get(name)
                if stored is None or await self._delete(stored):
                    del self._leaving[name]
            except DatabaseUnavailable as error:
                log.warning("What is stored of the workspace %s could not be deleted yet: %s", name, error)

    async def _delete(self, stored: StoredInstallation) -> bool:
        """Delete what is of a workspace, if Slack says that it removed the bot; return False if Slack says nothing."""
        client = connect(self._section, self._session, stored.installation.bot_token or "")
        _, why = await _try_sign_in(client)
        if not why:
            # Most likely the event came late, and the workspace has added the bot again meanwhile.
            log.warning("The workspace %s is said to have removed the bot, but Slack takes its token", stored.id)
            return True
        if why not in INVALID_TOKEN or why == UNCERTAIN:
            log.warning("Whether the workspace %s removed the bot could not be asked: %s", stored.id, why)
            return False
        if (opened := self._open.get(stored.id)) is not None:
            opened.api.token_invalid.set()
        await self._close(stored.id)
        count = await delete_server(self._bot.database, stored.platform, stored.id)
        # The versions of an installation begin anew if the workspace adds the bot again.
        self._failures.pop(stored.id, None)
        log.info("Slack: the workspace %s removed the bot, and its %d messages are deleted", stored.id, count)
        return True


async def _try_sign_in(client: AsyncWebClient) -> tuple[Any, str]:
    """Return the answer of auth.test, or None with the reason."""
    try:
        return (await client.auth_test()).data, ""
    except SlackApiError as error:
        return None, error_code(error) or NO_ANSWER
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return None, type(error).__name__
