"""The Web API's client, as this bot uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler, async_default_handlers
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

if TYPE_CHECKING:
    from slack_sdk.errors import SlackApiError

    from bot.config import SlackSection

RETRIES = 3
"""How often a call that Slack has refused as too many is made again, after as long as Slack said."""


def connect(section: SlackSection) -> AsyncWebClient:
    """A client that calls the configured address with the bot's token."""
    client = AsyncWebClient(
        section.bot_token.get_secret_value(),
        base_url=section.api_base,
        retry_handlers=[*async_default_handlers(), AsyncRateLimitErrorRetryHandler(max_retry_count=RETRIES)],
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
