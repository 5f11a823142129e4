"""The Web API's client, as this bot uses it."""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp
    from slack_sdk.errors import SlackApiError

    from bot.config import SlackSection

log = logging.getLogger(__name__)

REQUEST_SECONDS = 30
RETRIES = 5
"""How often a call is made again after a 429, each time when Slack allows it."""

SECRET = re.compile(r"\b(xox[a-z]|xapp)-[\w-]+|(?<=ticket=)[^&\s'\"]+|(?<=hooks\.slack\.com/)[^\s'\"]+")

on_limit: ContextVar[Callable[[float], None]] = ContextVar("on_limit")
"""What hears for how long Slack wants no more calls of the kind that is being made."""


class RetryAfterHandler(AsyncRateLimitErrorRetryHandler):
    """The SDK's own waiting after a 429; all others that would make the same call wait with it."""

    async def prepare_for_next_attempt_async(
        self, *, state: Any, request: Any, response: Any = None, error: Any = None
    ) -> None:
        """Wait as long as Slack says."""
        headers = {} if response is None else {name.lower(): value for name, value in response.headers.items()}
        seconds = float((headers.get("retry-after") or ["1"])[0])
        if (block := on_limit.get(None)) is not None:
            block(seconds)
        log.info("Slack asks to wait %g s with %s", seconds, request.url.rpartition("/")[2])
        await super().prepare_for_next_attempt_async(state=state, request=request, response=response, error=error)


class _Discreet(logging.Filter):
    """Keeps secrets and traces of Slack's libraries out of the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = SECRET.sub("…", record.getMessage()), ()
        record.exc_info = record.exc_text = None
        return True


def sdk_logger() -> logging.Logger:
    """What Slack's libraries write to: their warnings alone, since they would write every payload."""
    logger = logging.getLogger(f"{__package__}.sdk")
    logger.setLevel(logging.WARNING)
    if not logger.filters:
        logger.addFilter(_Discreet())
    return logger


def connect(section: SlackSection, session: aiohttp.ClientSession) -> AsyncWebClient:
    """A client that calls the configured address with the bot's token."""
    client = AsyncWebClient(
        section.bot_token.get_secret_value(),
        base_url=section.api_base,
        session=session,
        timeout=REQUEST_SECONDS,
        logger=sdk_logger(),
        # Connections that broke are not tried again by themselves: the message may have been posted.
        retry_handlers=[RetryAfterHandler(max_retry_count=RETRIES)],
    )
    # The SDK takes one from the environment; another address is set by api_base alone.
    client.proxy = None
    return client


def reason(error: SlackApiError) -> str:
    """Slack's own word for why it refused a call, such as "not_in_channel"; "" if the answer was not Slack's."""
    response = error.response
    if isinstance(response, AsyncSlackResponse) and isinstance(response.data, dict):
        return str(response.data.get("error") or "")
    return ""
