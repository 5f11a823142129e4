"""Creates the SDK's Web API client with the settings that this bot needs."""

from __future__ import annotations

import logging
import os
import re
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import aiohttp
    from slack_sdk.errors import SlackApiError

    from bot.config.sections import SlackSection

log = logging.getLogger(__name__)

REQUEST_SECONDS = 30
RETRIES = 5
"""Most repetitions of a call after HTTP status 429, each at the time that Slack allows."""

SECRET = re.compile(
    r"\b(xox[a-z]|xapp)-[\w-]+|(?<=ticket=)[^&\s'\"]+|(?<=hooks\.slack\.com/)[^\s'\"]+|(?<=with code: )\S+"
)

on_rate_limit: ContextVar[Callable[[float], None]] = ContextVar("on_rate_limit")
"""Called with the Retry-After of the current call, in seconds."""


class RetryAfterHandler(AsyncRateLimitErrorRetryHandler):
    """Waits after HTTP status 429 as the SDK does, and blocks the budget that other calls of this kind share."""

    async def prepare_for_next_attempt_async(
        self, *, state: Any, request: Any, response: Any = None, error: Any = None
    ) -> None:
        """Wait for as long as the Retry-After header says."""
        headers = {} if response is None else {name.lower(): value for name, value in response.headers.items()}
        seconds = float((headers.get("retry-after") or ["1"])[0])
        if (block := on_rate_limit.get(None)) is not None:
            block(seconds)
        log.info("Slack asks to wait %g s before the next call of %s", seconds, request.url.rpartition("/")[2])
        await super().prepare_for_next_attempt_async(state=state, request=request, response=response, error=error)


class _SecretFilter(logging.Filter):
    """Keeps secrets, and tracebacks of Slack's libraries, out of the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = SECRET.sub("…", record.getMessage()), ()
        record.exc_info = record.exc_text = None
        return True


def sdk_logger() -> logging.Logger:
    """Return the logger for Slack's libraries. It lets only warnings through: below that they log every payload."""
    logger = logging.getLogger(f"{__package__}.sdk")
    logger.setLevel(logging.WARNING)
    if not logger.filters:
        logger.addFilter(_SecretFilter())
    return logger


def connect(section: SlackSection, session: aiohttp.ClientSession, token: str | None = None) -> AsyncWebClient:
    """Return a client that calls the configured address with `token`, by default the configured one of the bot."""
    client = AsyncWebClient(
        section.bot_token.get_secret_value() if token is None else token,
        base_url=section.api_base,
        session=session,
        timeout=REQUEST_SECONDS,
        logger=sdk_logger(),
        # No retries after a broken connection: the message may have been posted.
        retry_handlers=[RetryAfterHandler(max_retry_count=RETRIES)],
    )
    # The SDK would take a proxy from the environment, but only api_base sets another address.
    client.proxy = None
    return client


@contextmanager
def hide_slack_variables() -> Iterator[None]:
    """Hide the environment variables that Bolt would read: they belong to other apps, and some change its behaviour."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SLACK_")}
    try:
        yield
    finally:
        os.environ.update(hidden)


def error_code(error: SlackApiError) -> str:
    """Return the code of a refusal, such as "not_in_channel"; "" if the answer was not one of Slack's."""
    response = error.response
    if isinstance(response, AsyncSlackResponse) and isinstance(response.data, dict):
        return str(response.data.get("error") or "")
    return ""
