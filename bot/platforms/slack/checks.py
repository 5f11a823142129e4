"""What `tempera doctor` finds out about Slack."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.platforms.slack.api.client import connect, error_code
from bot.platforms.slack.api.errors import INVALID_TOKEN

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.config import SlackSection

    Findings = list[tuple[bool, str]]

SCOPES = (
    "app_mentions:read",
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "im:history",
    "im:write",
    "mpim:history",
    "users:read",
)
"""What the bot must be allowed; config/slack-manifest.yaml asks for the same."""
EVENTS_PATH = "/slack/events"
"""Where Slack's requests are taken without Socket Mode."""

APPS = "https://api.slack.com/apps"
PATIENCE_SECONDS = 20.0


async def examine(section: SlackSection) -> Findings:
    """One finding for each thing that set-up can get wrong: whether it is well, and a sentence about it."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), aiohttp.ClientSession() as session:
            slack = connect(section, session)
            found = await _bot(slack)
            found.append(await _socket(slack, section) if section.uses_sockets else _requests(section))
            return found
    except TimeoutError:
        return [(False, f"Slack does not answer at {section.api_base} within {PATIENCE_SECONDS:g} seconds.")]
    except (aiohttp.ClientError, OSError) as error:
        return [(False, f"Slack cannot be reached at {section.api_base}: {error}.")]


async def _bot(slack: AsyncWebClient) -> Findings:
    try:
        answer = await slack.auth_test()
    except SlackApiError as error:
        if (why := error_code(error)) in INVALID_TOKEN:
            how = f"Copy it anew from {APPS}: your app, OAuth & Permissions, Bot User OAuth Token."
            return [(False, f"Slack refuses the token TEMPERA_SLACK__BOT_TOKEN ({why}). {how}")]
        return [_unexpected(slack, error)]
    found = [(True, f"Slack knows the bot token: @{answer['user']} in the workspace “{answer['team']}”.")]
    if (granted := answer.headers.get("x-oauth-scopes")) is not None:
        found.append(_scopes(granted))
    return found


def _scopes(granted: str) -> tuple[bool, str]:
    missing = set(SCOPES) - {scope.strip() for scope in granted.split(",")}
    if not missing:
        return True, f"Slack grants all that the bot needs: {', '.join(SCOPES)}."
    how = f"Paste config/slack-manifest.yaml at {APPS}: your app, App Manifest; then Install App, Reinstall."
    return False, f"The bot lacks the scopes {', '.join(sorted(missing))}. {how}"


async def _socket(slack: AsyncWebClient, section: SlackSection) -> tuple[bool, str]:
    try:
        await slack.apps_connections_open(app_token=section.app_token.get_secret_value())
    except SlackApiError as error:
        why = error_code(error)
        how = f"Make one at {APPS}: your app, Basic Information, App-Level Tokens, with the scope connections:write."
        if why in INVALID_TOKEN:
            return False, f"Slack refuses the token TEMPERA_SLACK__APP_TOKEN ({why}). {how}"
        if why == "missing_scope":
            return False, f"The token TEMPERA_SLACK__APP_TOKEN lacks the scope connections:write. {how}"
        return _unexpected(slack, error)
    return True, "Slack lets it connect by Socket Mode."


def _requests(section: SlackSection) -> tuple[bool, str]:
    ours = f"http://{section.host}:{section.port}{EVENTS_PATH}"
    return True, f"Slack must reach {ours} by HTTPS: the Request URL at {APPS} is https://YOUR-ADDRESS{EVENTS_PATH}."


def _unexpected(slack: AsyncWebClient, error: SlackApiError) -> tuple[bool, str]:
    if why := error_code(error):
        return False, f"Slack answers at {slack.base_url} with “{why}”."
    return False, f"What answers at {slack.base_url} is not Slack; is TEMPERA_SLACK__API_BASE right?"
