"""Slack as a platform: signs in, listens through a socket or by HTTP, and ends when a token becomes invalid."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient

from bot.config.sections import http_address
from bot.core.errors import BotError
from bot.platforms.listening import explain_listen_error
from bot.platforms.slack.adapter import SlackAdapter
from bot.platforms.slack.api.api import SlackApi
from bot.platforms.slack.api.budgets import RateBudgets
from bot.platforms.slack.api.client import connect, error_code, sdk_logger
from bot.platforms.slack.api.errors import INVALID_TOKEN
from bot.platforms.slack.checks import EVENTS_PATH, HEALTH_PATH, HEALTHY, NAME, VARIABLES
from bot.platforms.slack.convert.people import UserDirectory
from bot.platforms.slack.convert.requests import BotIdentity
from bot.platforms.slack.incoming.app import build
from bot.platforms.slack.outgoing.answers import SlackAnswers
from http_server.listening import LIMITS, Limits, listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from slack_bolt.async_app import AsyncApp
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.app import Bot
    from bot.config.sections import SlackSection

log = logging.getLogger(__name__)

PING_SECONDS = 5.0
"""Interval of pings on a socket; a dead socket is noticed within four of these."""
REQUEST_SECONDS = 30
RETRY_SECONDS = (1.0, 5.0, 15.0, 60.0)
MAX_REQUEST_BYTES = 2**20
"""The largest accepted request; Slack's are far smaller."""
MAX_CLOCK_SKEW_SECONDS = 300
CLOCK_WARNING_SECONDS = 600.0
SIGNATURE, TIMESTAMP = re.compile(r"v0=[0-9a-f]{64}"), re.compile(r"[0-9]{1,12}")
"""What the headers of a signed request look like."""

INVALID_APP_TOKEN = INVALID_TOKEN | {"missing_scope", "forbidden_team"}


class SlackPlatform:
    """Runs the bot in one workspace. Enter the bot as a context manager first."""

    name = "slack"

    def __init__(
        self, bot: Bot, section: SlackSection, *, ping_seconds: float = PING_SECONDS, limits: Limits = LIMITS
    ) -> None:
        self._bot = bot
        self._section = section
        self._ping_seconds = ping_seconds
        self._limits = limits

    async def run(self) -> None:
        """Serve until cancelled. If Slack refuses a token, log that and return."""
        try:
            async with self.serve() as ended:
                await ended
        except _TokenRefused as refused:
            log.error("%s", refused)  # noqa: TRY400 - a traceback would add nothing

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[asyncio.Future[None]]:
        """Serve while the context lasts. Yields a future that raises BotError once Slack refuses a token.

        Raises BotError if serving cannot begin. At the end, running answers are stopped and say so.
        """
        async with AsyncExitStack() as stack:
            timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
            session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
            api = SlackApi(connect(self._section, session), RateBudgets())
            identity = await _sign_in(api.client)
            answers = await stack.enter_async_context(SlackAnswers(self._bot, api, identity))
            users = await stack.enter_async_context(UserDirectory(api, identity.workspaces))
            stack.enter_context(self._bot.adapters.registered(self.name, SlackAdapter(api, users, identity)))
            await stack.enter_async_context(self._bot.log_channel.post_entries(self.name))
            app = build(answers, users, self._section, session)
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            watching = asyncio.create_task(_end_with_token(api.token_invalid, ended), name="slack token")
            stack.push_async_callback(_cancel, watching)
            answers.start(answers.restore(), "slack restore")
            connection = await stack.enter_async_context(self._listen(app, api.client, ended))
            if not ended.done():
                log.info(
                    "Slack: @%s is connected to the workspace “%s” %s", identity.name, identity.workspace, connection
                )
            yield ended

    @asynccontextmanager
    async def _listen(self, app: AsyncApp, client: AsyncWebClient, ended: asyncio.Future[None]) -> AsyncIterator[str]:
        if self._section.uses_sockets:
            handler = _SocketHandler(app, self._section.app_token.get_secret_value(), client, ended, self._ping_seconds)
            try:
                await handler.client.connect()  # type: ignore[no-untyped-call]
                yield "through a socket"
            finally:
                await handler.client.close()  # type: ignore[no-untyped-call]
        else:
            async with self._listen_by_http(app) as url:
                yield f"at {url}"

    @asynccontextmanager
    async def _listen_by_http(self, app: AsyncApp) -> AsyncIterator[str]:
        host, port = self._section.host, self._section.port
        server = web.Application(client_max_size=MAX_REQUEST_BYTES)
        server.add_routes([web.post(EVENTS_PATH, _HttpListener(app).handle), web.get(HEALTH_PATH, _health)])
        async with AsyncExitStack() as listener:
            try:
                bound = await listener.enter_async_context(listening(server, host, port, limits=self._limits))
            except OSError as error:
                raise BotError(explain_listen_error(error, NAME, VARIABLES, host, port)) from None
            yield f"{http_address(host, bound)}{EVENTS_PATH}"


class _TokenRefused(BotError):
    """Slack refuses a token."""

    def __init__(self, variable: str, why: str) -> None:
        rest = "copy the valid one from https://api.slack.com/apps, and start again. Slack is left out until then."
        super().__init__(f"Slack does not take the token in {variable} ({why}): {rest}")


async def _sign_in(client: AsyncWebClient) -> BotIdentity:
    """Return the bot's identity; wait while Slack cannot be reached. Raises BotError if Slack refuses the token."""
    pauses = iter(RETRY_SECONDS)
    while True:
        try:
            found = await client.auth_test()
        except SlackApiError as error:
            if (why := error_code(error)) in INVALID_TOKEN:
                raise _TokenRefused("TEMPERA_SLACK__BOT_TOKEN", why) from None
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
                enterprise=str(found.get("enterprise_id") or ""),
            )
        pause = next(pauses, RETRY_SECONDS[-1])
        log.warning("Slack cannot be reached at %s (%s); I try again in %g s", client.base_url, problem, pause)
        await asyncio.sleep(pause)


async def _end_with_token(token_invalid: asyncio.Event, ended: asyncio.Future[None]) -> None:
    await token_invalid.wait()
    if not ended.done():
        ended.set_exception(_TokenRefused("TEMPERA_SLACK__BOT_TOKEN", "it was revoked"))


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class _SocketHandler(AsyncSocketModeHandler):
    """Bolt's handler around a socket that gives up when Slack refuses its token."""

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
    """The SDK's socket, which reconnects by itself, but not for ever with a token that Slack refuses."""

    def __init__(self, ended: asyncio.Future[None], **options: Any) -> None:
        super().__init__(**options)
        self._ended = ended

    async def issue_new_wss_url(self) -> str:
        """Return an address to connect to. Raises SlackApiError."""
        try:
            return await super().issue_new_wss_url()
        except SlackApiError as error:
            if (why := error_code(error)) in INVALID_APP_TOKEN:
                self.closed = True
                if not self._ended.done():
                    self._ended.set_exception(_TokenRefused("TEMPERA_SLACK__APP_TOKEN", why))
            raise


class _HttpListener:
    """Receives Slack's HTTP requests. Bolt checks their signatures; the log warns of refused timestamps."""

    def __init__(self, app: AsyncApp, clock: Callable[[], float] = time.time) -> None:
        self._app = app
        self._clock = clock
        self._next_warning_at = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request; the status is 401 if the signature is wrong or too old."""
        try:
            # Slack sends UTF-8; another encoding that a stranger names may not exist, or take long.
            body = (await request.read()).decode()
            # Bolt looks into the body before it checks the signature, and fails at headers that are none.
            headers: dict[str, str | Sequence[str]] = dict(request.headers) if _is_signed(request) else {}
            bolt_request = AsyncBoltRequest(body=body, query=request.query_string, headers=headers)
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
            return web.Response(status=400, text="This is none of Slack's requests.")
        answer = await self._app.async_dispatch(bolt_request)
        if answer.status == 401 and _is_signed(request):
            self._warn_about_clock(int(_timestamp(request)))
        return await to_aiohttp_response(answer)

    def _warn_about_clock(self, timestamp: int) -> None:
        now = self._clock()
        if abs(now - timestamp) <= MAX_CLOCK_SKEW_SECONDS or now < self._next_warning_at:
            return
        self._next_warning_at = now + CLOCK_WARNING_SECONDS
        log.warning("A request was refused, as it is %+.0f s old. Is this machine's clock right?", now - timestamp)


def _is_signed(request: web.Request) -> bool:
    """Return whether a request has what looks like a signature and its time."""
    signature = request.headers.get("X-Slack-Signature", "")
    return bool(SIGNATURE.fullmatch(signature) and TIMESTAMP.fullmatch(_timestamp(request)))


def _timestamp(request: web.Request) -> str:
    return request.headers.get("X-Slack-Request-Timestamp", "")


async def _health(request: web.Request) -> web.Response:
    return web.Response(body=HEALTHY, content_type="application/json")
