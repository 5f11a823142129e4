"""Checks the Slack configuration for `tempera doctor`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.platforms.listening import check_port
from bot.platforms.slack.api.client import connect, error_code
from bot.platforms.slack.api.errors import INVALID_TOKEN
from bot.platforms.slack.installations import INSTALL_PATH, REDIRECT_PATH

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

    from bot.config.sections import SlackSection

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
"""The OAuth scopes that the bot asks for; config/slack-manifest.yaml requests the same."""
OPTIONAL_SCOPES = {
    "channels:history": "in channels",
    "groups:history": "in private channels",
    "im:history": "in direct messages",
    "mpim:history": "in group messages",
}
"""Those that a workspace may refuse, each with where the bot then reads only what mentions it."""
EVENTS_PATH = "/slack/events"
"""The path for Slack's requests without Socket Mode."""

HEALTH_PATH, HEALTHY = "/health", b'{"ok": true}'
"""What answers to everybody while the bot listens for those requests."""
NAME, VARIABLES = "The bot on Slack", "TEMPERA_SLACK__"

APPS_URL = "https://api.slack.com/apps"
TIMEOUT_SECONDS = 20.0


async def examine(section: SlackSection) -> Findings:
    """Return a finding for each part of the set-up: whether it is right, and a sentence about it."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS), aiohttp.ClientSession() as session:
            slack = connect(section, session)
            findings = await _check_bot_token(slack) if section.bot_token.get_secret_value() else []
            findings.append(await _check_socket(slack, section) if section.uses_sockets else _request_url(section))
            if section.client_id:
                findings.append(await _check_client(slack, section))
            return findings
    except TimeoutError:
        return [(False, f"Slack does not answer at {section.api_base} within {TIMEOUT_SECONDS:g} seconds.")]
    except (aiohttp.ClientError, OSError) as error:
        return [(False, f"Slack cannot be reached at {section.api_base}: {error}.")]


async def examine_port(section: SlackSection, timeout_seconds: float) -> tuple[bool, str]:
    """Return whether the bot can listen for Slack's requests without Socket Mode, or answers there already."""
    return await check_port(
        NAME, VARIABLES, section.host, section.port, HEALTH_PATH, lambda answer: answer == HEALTHY, timeout_seconds
    )


async def _check_bot_token(slack: AsyncWebClient) -> Findings:
    try:
        answer = await slack.auth_test()
    except SlackApiError as error:
        if (why := error_code(error)) in INVALID_TOKEN:
            how = f"Copy it anew from {APPS_URL}: your app, OAuth & Permissions, Bot User OAuth Token."
            return [(False, f"Slack refuses the token TEMPERA_SLACK__BOT_TOKEN ({why}). {how}")]
        return [_unexpected_answer(slack, error)]
    findings = [(True, f"Slack knows the bot token: @{answer['user']} in the workspace “{answer['team']}”.")]
    if (granted := answer.headers.get("x-oauth-scopes")) is not None:
        findings.append(_check_scopes(granted))
    return findings


def _check_scopes(granted: str) -> tuple[bool, str]:
    missing = set(SCOPES) - {scope.strip() for scope in granted.split(",")}
    if not missing:
        return True, f"Slack grants all that the bot needs: {', '.join(SCOPES)}."
    if missing <= OPTIONAL_SCOPES.keys():
        where = ", ".join(place for scope, place in OPTIONAL_SCOPES.items() if scope in missing)
        lost = f"Without {', '.join(sorted(missing))}, it reads only commands and what mentions it {where}"
        return True, f"Slack grants all that the bot cannot do without. {lost}."
    how = f"Paste config/slack-manifest.yaml at {APPS_URL}: your app, App Manifest; then Install App, Reinstall."
    return False, f"The bot lacks the scopes {', '.join(sorted(missing))}. {how}"


async def _check_socket(slack: AsyncWebClient, section: SlackSection) -> tuple[bool, str]:
    try:
        await slack.apps_connections_open(app_token=section.app_token.get_secret_value())
    except SlackApiError as error:
        why = error_code(error)
        how = (
            f"Make one at {APPS_URL}: your app, Basic Information, App-Level Tokens, with the scope connections:write."
        )
        if why in INVALID_TOKEN:
            return False, f"Slack refuses the token TEMPERA_SLACK__APP_TOKEN ({why}). {how}"
        if why == "missing_scope":
            return False, f"The token TEMPERA_SLACK__APP_TOKEN lacks the scope connections:write. {how}"
        return _unexpected_answer(slack, error)
    return True, "Slack lets it connect by Socket Mode."


async def _check_client(slack: AsyncWebClient, section: SlackSection) -> tuple[bool, str]:
    """Check the client id and its secret with a code that does not exist, which Slack looks at after them."""
    slack.token = None
    secret = section.client_secret.get_secret_value()
    try:
        await slack.oauth_v2_access(client_id=section.client_id, client_secret=secret, code="none")
    except SlackApiError as error:
        if (why := error_code(error)) in ("bad_client_secret", "invalid_client_id"):
            how = f"Copy both anew from {APPS_URL}: your app, Basic Information, App Credentials."
            return False, f"Slack refuses TEMPERA_SLACK__CLIENT_ID or TEMPERA_SLACK__CLIENT_SECRET ({why}). {how}"
        if why != "invalid_code":
            return _unexpected_answer(slack, error)
    address = f"http://{section.host}:{section.port}"
    told = (
        f"Workspaces add the bot at https://YOUR-ADDRESS{INSTALL_PATH}, which must lead to {address} by HTTPS; the "
        f"Redirect URL at {APPS_URL} is https://YOUR-ADDRESS{REDIRECT_PATH}."
    )
    return True, told


def _request_url(section: SlackSection) -> tuple[bool, str]:
    address = f"http://{section.host}:{section.port}{EVENTS_PATH}"
    return (
        True,
        f"Slack must reach {address} by HTTPS: the Request URL at {APPS_URL} is https://YOUR-ADDRESS{EVENTS_PATH}.",
    )


def _unexpected_answer(slack: AsyncWebClient, error: SlackApiError) -> tuple[bool, str]:
    if why := error_code(error):
        return False, f"Slack answers at {slack.base_url} with “{why}”."
    return False, f"What answers at {slack.base_url} is not Slack; is TEMPERA_SLACK__API_BASE right?"
