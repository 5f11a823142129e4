"""The two ways in which events reach the bot: a socket that it opens, and HTTP requests. OAuth's pages come by HTTP."""

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
from bot.core import metrics
from bot.core.errors import BotError, DatabaseUnavailable
from bot.platforms.listening import explain_listen_error
from bot.platforms.slack.api.client import error_code, sdk_logger
from bot.platforms.slack.api.errors import INVALID_TOKEN
from bot.platforms.slack.checks import EVENTS_PATH, HEALTH_PATH, HEALTHY, NAME, VARIABLES
from bot.platforms.slack.installations import INSTALL_PATH, REDIRECT_PATH
from bot.platforms.slack.workspaces import REFUSED_SECONDS, TokenRefused, pause_before_retry
from http_server.listening import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence

    from slack_bolt.async_app import AsyncApp
    from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
    from slack_bolt.response import BoltResponse

    from bot.config.sections import SlackSection
    from http_server.listening import Limits

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 2**20
"""The largest accepted request; Slack's are far smaller."""
MAX_CLOCK_SKEW_SECONDS = 300
CLOCK_WARNING_SECONDS = 600.0
SIGNATURE, TIMESTAMP = re.compile(r"v0=[0-9a-f]{64}"), re.compile(r"[0-9]{1,12}")
"""What the headers of a signed request look like."""

INVALID_APP_TOKEN = INVALID_TOKEN | {"missing_scope", "forbidden_team"}


@asynccontextmanager
async def connected(
    app: AsyncApp, section: SlackSection, ended: asyncio.Future[None], *, ping_seconds: float, limits: Limits
) -> AsyncIterator[str]:
    """Receive events while the context lasts; yields how. Sets an error in `ended` if Slack refuses the app's token."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(_listen(app, section, limits)) if section.listens else ""
        if not section.uses_sockets:
            yield f"at {url}{EVENTS_PATH}"
            return
        handler = _SocketHandler(app, section.app_token.get_secret_value(), ended, ping_seconds)
        stack.push_async_callback(handler.client.close)
        await handler.client.connect()  # type: ignore[no-untyped-call]
        yield "through a socket"


@asynccontextmanager
async def _listen(app: AsyncApp, section: SlackSection, limits: Limits) -> AsyncIterator[str]:
    """Listen for HTTP requests while the context lasts; yields the address."""
    host, port = section.host, section.port
    server = web.Application(client_max_size=MAX_REQUEST_BYTES)
    server.add_routes([web.get(HEALTH_PATH, _health)])
    if not section.uses_sockets:
        server.add_routes([web.post(EVENTS_PATH, _HttpListener(app).handle)])
    if app.oauth_flow is not None:
        pages = _InstallPages(app.oauth_flow)
        server.add_routes([web.get(INSTALL_PATH, pages.install), web.get(REDIRECT_PATH, pages.finish)])
    async with AsyncExitStack() as listener:
        try:
            bound = await listener.enter_async_context(listening(server, host, port, limits=limits))
        except OSError as error:
            raise BotError(explain_listen_error(error, NAME, VARIABLES, host, port)) from None
        yield http_address(host, bound)


class _InstallPages:
    """The pages on which people add the bot to their workspace. Bolt checks where they come back from."""

    def __init__(self, flow: AsyncOAuthFlow) -> None:
        self._flow = flow

    async def install(self, request: web.Request) -> web.Response:
        """Show the button that leads to Slack."""
        return await _to_page(self._flow.handle_installation(_page_request(request)))

    async def finish(self, request: web.Request) -> web.Response:
        """Finish an installation that Slack sends back here."""
        return await _to_page(self._flow.handle_callback(_page_request(request)))


def _page_request(request: web.Request) -> AsyncBoltRequest:
    return AsyncBoltRequest(body="", query=request.query_string, headers=dict(request.headers))


async def _to_page(answer: Awaitable[BoltResponse]) -> web.Response:
    try:
        page = await to_aiohttp_response(await answer)
    except DatabaseUnavailable as error:
        page = web.Response(status=503, text=error.sentence.in_language("en"))
    # The address holds a code and a state, which no other site shall see.
    page.headers["Referrer-Policy"] = "no-referrer"
    page.headers["Cache-Control"] = "no-store"
    return page


class _SocketHandler(AsyncSocketModeHandler):
    """Bolt's handler around a socket that gives up when Slack refuses its token."""

    def __init__(self, app: AsyncApp, token: str, ended: asyncio.Future[None], ping_seconds: float) -> None:
        self.app = app
        self.app_token = token
        self.client = _Socket(
            ended, app_token=token, logger=sdk_logger(), web_client=app.client, ping_interval=ping_seconds
        )
        self.client.proxy = None
        self.client.socket_mode_request_listeners.append(self.handle)  # type: ignore[arg-type]


class _Socket(SocketModeClient):
    """The SDK's socket, which reconnects by itself, but not for ever with a token that Slack refuses."""

    def __init__(self, ended: asyncio.Future[None], **options: Any) -> None:
        super().__init__(**options)
        self._ended = ended
        # An address is good for one attempt, but the SDK would try it again until it succeeds.
        tracing = aiohttp.TraceConfig()
        tracing.on_request_start.append(self._forget_address)
        tracing.freeze()
        self.aiohttp_client_session.trace_configs.append(tracing)

    async def _forget_address(self, *_: object) -> None:
        self.wss_uri = None

    async def issue_new_wss_url(self) -> str:
        """Return an address to connect to. Raises SlackApiError."""
        metrics.CONNECTIONS.labels("slack").inc()
        pauses = iter(REFUSED_SECONDS)
        while True:
            try:
                return await super().issue_new_wss_url()
            except SlackApiError as error:
                if (why := error_code(error)) not in INVALID_APP_TOKEN:
                    raise
                try:
                    pause = pause_before_retry("TEMPERA_SLACK__APP_TOKEN", why, pauses)
                except TokenRefused as refused:
                    self.closed = True
                    if not self._ended.done():
                        self._ended.set_exception(refused)
                    raise error from None
            await asyncio.sleep(pause)


class _HttpListener:
    """Receives Slack's HTTP requests. Bolt checks their signatures; the log warns of refused timestamps."""

    def __init__(self, app: AsyncApp) -> None:
        self._app = app
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
        now = time.time()
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
