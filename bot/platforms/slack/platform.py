"""Slack as a platform: signs in, hears of what happens through a socket or by HTTP, and ends when it must."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient

from bot.core.errors import BotError
from bot.platforms.slack.adapter import SlackAdapter
from bot.platforms.slack.api.api import WORTHLESS, SlackApi
from bot.platforms.slack.api.budgets import RateBudgets
from bot.platforms.slack.api.client import connect, reason, sdk_logger
from bot.platforms.slack.checks import EVENTS_PATH
from bot.platforms.slack.convert.people import UserDirectory
from bot.platforms.slack.convert.requests import BotIdentity
from bot.platforms.slack.incoming.app import build
from bot.platforms.slack.outgoing.answers import SlackAnswers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from slack_bolt.async_app import AsyncApp
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.app import Bot
    from bot.config import SlackSection

log = logging.getLogger(__name__)

PING_SECONDS = 5.0
"""How often a socket is tried; one that is dead is noticed within four of these."""
REQUEST_SECONDS = 30
RETRY_SECONDS = (1.0, 5.0, 15.0, 60.0)
MOST_BYTES = 2**20
"""Of a request to the bot; Slack's are far smaller."""
SKEW_SECONDS = 300
COMPLAINT_SECONDS = 600.0
SHUTDOWN_SECONDS = 2.0

NO_APP = WORTHLESS | {"missing_scope", "forbidden_team"}


class SlackPlatform:
    """One bot in one workspace. The bot must be entered before it runs."""

    name = "slack"

    def __init__(self, bot: Bot, section: SlackSection, *, ping_seconds: float = PING_SECONDS) -> None:
        self._bot = bot
        self._section = section
        self._ping_seconds = ping_seconds

    async def run(self) -> None:
        """Serve until cancelled, or until Slack takes the tokens no more: then the log says so, and this returns."""
        try:
            async with self.serve() as ended:
                await ended
        except _Refused as refused:
            log.error("%s", refused)  # noqa: TRY400 - the sentence says it all

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[asyncio.Future[None]]:
        """Serve for as long as the context lasts; yields what raises BotError once Slack takes a token no more.

        Raises BotError if it cannot begin. At the end running answers are stopped, and say so.
        """
        async with AsyncExitStack() as ending:
            timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
            session = await ending.enter_async_context(aiohttp.ClientSession(timeout=timeout))
            api = SlackApi(connect(self._section, session), RateBudgets())
            me = await _sign_in(api.client)
            answers = await ending.enter_async_context(SlackAnswers(self._bot, api, me))
            people = await ending.enter_async_context(UserDirectory(api))
            ending.enter_context(self._bot.adapters.registered(self.name, SlackAdapter(api, people, me)))
            await ending.enter_async_context(self._bot.log_channel.post_entries(self.name))
            app = build(answers, people, self._section, session)
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            watching = asyncio.create_task(_watch(api.worthless, ended), name="slack token")
            ending.push_async_callback(_end, watching)
            answers.start(answers.restore(), "slack restore")
            how = await ending.enter_async_context(self._listening(app, api.client, ended))
            if not ended.done():
                log.info("Slack: @%s is in the workspace “%s”, and hears of it %s", me.name, me.workspace, how)
            yield ended

    @asynccontextmanager
    async def _listening(
        self, app: AsyncApp, client: AsyncWebClient, ended: asyncio.Future[None]
    ) -> AsyncIterator[str]:
        if self._section.uses_sockets:
            handler = _Handler(app, self._section.app_token.get_secret_value(), client, ended, self._ping_seconds)
            try:
                await handler.client.connect()  # type: ignore[no-untyped-call]
                yield "through a socket"
            finally:
                await handler.client.close()  # type: ignore[no-untyped-call]
        else:
            async with self._requests(app) as url:
                yield f"at {url}"

    @asynccontextmanager
    async def _requests(self, app: AsyncApp) -> AsyncIterator[str]:
        host, port = self._section.host, self._section.port
        server = web.Application(client_max_size=MOST_BYTES)
        server.add_routes([web.post(EVENTS_PATH, _HttpListener(app).handle), web.get("/health", _health)])
        runner = web.AppRunner(server, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                why = error.strerror or "no reason was given"
                where = f"Slack's requests cannot be listened for on {host}, port {port}"
                raise BotError(f"{where}: {why}. Set TEMPERA_SLACK__HOST or TEMPERA_SLACK__PORT.") from None
            bound = runner.addresses[0][1]
            yield f"http://[{host}]:{bound}{EVENTS_PATH}" if ":" in host else f"http://{host}:{bound}{EVENTS_PATH}"
        finally:
            await runner.cleanup()


class _Refused(BotError):
    """Slack does not take a token."""

    def __init__(self, variable: str, why: str) -> None:
        rest = "copy the valid one from https://api.slack.com/apps, and start again. Slack is left out until then."
        super().__init__(f"Slack does not take the token in {variable} ({why}): {rest}")


async def _sign_in(client: AsyncWebClient) -> BotIdentity:
    """Who the bot is. Raises BotError if Slack does not take its token; waits for a Slack that cannot be reached."""
    pauses = iter(RETRY_SECONDS)
    while True:
        try:
            found = await client.auth_test()
        except SlackApiError as error:
            if (why := reason(error)) in WORTHLESS:
                raise _Refused("TEMPERA_SLACK__BOT_TOKEN", why) from None
            problem = why or "what answers is not Slack; is TEMPERA_SLACK__API_BASE right?"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            problem = type(error).__name__
        else:
            return BotIdentity(
                team=str(found["team_id"]),
                user=str(found["user_id"]),
                bot=str(found.get("bot_id", "")),
                name=str(found["user"]),
                workspace=str(found["team"]),
            )
        pause = next(pauses, RETRY_SECONDS[-1])
        log.warning("Slack cannot be reached at %s (%s); I try again in %g s", client.base_url, problem, pause)
        await asyncio.sleep(pause)


async def _watch(worthless: asyncio.Event, ended: asyncio.Future[None]) -> None:
    await worthless.wait()
    if not ended.done():
        ended.set_exception(_Refused("TEMPERA_SLACK__BOT_TOKEN", "it was revoked"))


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class _Handler(AsyncSocketModeHandler):
    """Bolt's handler around a socket that gives up on a token that Slack does not take."""

    def __init__(
        self, app: AsyncApp, token: str, client: AsyncWebClient, ended: asyncio.Future[None], ping_seconds: float
    ) -> None:
        self.app = app
        self.app_token = token
        self.client = _Socket(
            ended, app_token=token, logger=sdk_logger(), web_client=client, ping_interval=ping_seconds
        )
        self.client.proxy = None
        self.client.socket_mode_request_listeners.append(self.handle)  # type: ignore[arg-type]


class _Socket(SocketModeClient):
    """The SDK's socket; it connects anew by itself, and would do so for ever."""

    def __init__(self, ended: asyncio.Future[None], **about: Any) -> None:
        super().__init__(**about)
        self._ended = ended

    async def issue_new_wss_url(self) -> str:
        """An address to connect to. Raises SlackApiError."""
        try:
            return await super().issue_new_wss_url()
        except SlackApiError as error:
            if (why := reason(error)) in NO_APP:
                self.closed = True
                if not self._ended.done():
                    self._ended.set_exception(_Refused("TEMPERA_SLACK__APP_TOKEN", why))
            raise


class _HttpListener:
    """Takes Slack's HTTP requests. Bolt checks their signatures; what is refused for its time is told to the log."""

    def __init__(self, app: AsyncApp, clock: Callable[[], float] = time.time) -> None:
        self._app = app
        self._clock = clock
        self._complain_at = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request: 401 for a wrong signature or an old one."""
        try:
            asked = await to_bolt_request(request)
        except ValueError:
            return web.Response(status=400, text="This is none of Slack's requests.")
        answer = await self._app.async_dispatch(asked)
        if answer.status == 401:
            self._complain(request.headers.get("X-Slack-Request-Timestamp", ""))
        return await to_aiohttp_response(answer)

    def _complain(self, timestamp: str) -> None:
        now = self._clock()
        if not timestamp.isdecimal() or abs(now - int(timestamp)) <= SKEW_SECONDS or now < self._complain_at:
            return
        self._complain_at = now + COMPLAINT_SECONDS
        log.warning("A request was refused, as it is %+.0f s old. Is this machine's clock right?", now - int(timestamp))


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"ok": True})
