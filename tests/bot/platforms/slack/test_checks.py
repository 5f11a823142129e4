"""The findings of `tempera doctor` about Slack."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from fakes.model_server.broken_api import crooked, plainly
from fakes.slack import FakeSlack

from bot.config.sections import SlackSection
from bot.platforms.slack import checks
from bot.platforms.slack.checks import SCOPES, examine


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as running:
        yield running


def section(slack: FakeSlack, **more: Any) -> SlackSection:
    given = {"bot_token": slack.bot_token, "app_token": slack.app_token, "api_base": slack.api_base}
    return SlackSection(**(given | more))


async def find_problems(chosen: SlackSection) -> list[str]:
    found = [text for good, text in await examine(chosen) if not good]
    secrets = (chosen.bot_token, chosen.app_token, chosen.signing_secret)
    assert not any(one.get_secret_value() in text for one in secrets if one for text in found)
    return found


async def test_a_right_configuration_has_no_problems(slack: FakeSlack) -> None:
    assert await examine(section(slack)) == [
        (True, "Slack knows the bot token: @tempera in the workspace “Tempera test”."),
        (True, f"Slack grants all that the bot needs: {', '.join(SCOPES)}."),
        (True, "Slack lets it connect by Socket Mode."),
    ]
    assert {call.method for call in slack.calls} == {"auth.test", "apps.connections.open"}


async def test_without_socket_mode_it_names_the_request_url(slack: FakeSlack) -> None:
    chosen = section(slack, app_token="", signing_secret=slack.signing_secret, port=3210)
    *_, (good, text) = await examine(chosen)
    assert good
    assert "reach http://127.0.0.1:3210/slack/events by HTTPS" in text
    assert text.endswith("is https://YOUR-ADDRESS/slack/events.")
    assert {call.method for call in slack.calls} == {"auth.test"}


@pytest.mark.parametrize("error", ["invalid_auth", "token_revoked", "account_inactive"])
async def test_an_invalid_bot_token_is_a_problem(slack: FakeSlack, error: str) -> None:
    slack.revoke(error=error)
    (problem,) = await find_problems(section(slack))
    assert problem == (
        f"Slack refuses the token TEMPERA_SLACK__BOT_TOKEN ({error}). Copy it anew from https://api.slack.com/apps: "
        "your app, OAuth & Permissions, Bot User OAuth Token."
    )


async def test_an_invalid_app_token_is_a_problem(slack: FakeSlack) -> None:
    slack.revoke(error="invalid_auth", app_token=True)
    (problem,) = await find_problems(section(slack))
    assert problem.startswith("Slack refuses the token TEMPERA_SLACK__APP_TOKEN (invalid_auth). Make one at ")
    assert problem.endswith("App-Level Tokens, with the scope connections:write.")


async def test_the_client_of_oauth_is_checked(slack: FakeSlack) -> None:
    client = {"client_id": slack.oauth.client_id, "client_secret": slack.oauth.client_secret}
    (socket, address) = await examine(section(slack, bot_token="", **client))
    assert (socket[0], address[0]) == (True, True)
    assert "https://YOUR-ADDRESS/slack/install, which must lead to http://127.0.0.1:3000 by HTTPS" in address[1]
    (problem,) = await find_problems(section(slack, **client | {"client_secret": "wr0ng"}))
    assert problem.startswith("Slack refuses TEMPERA_SLACK__CLIENT_ID or TEMPERA_SLACK__CLIENT_SECRET (bad_client")


async def test_an_app_token_without_its_scope_is_a_problem(slack: FakeSlack) -> None:
    slack.refuse("apps.connections.open", "missing_scope")
    (problem,) = await find_problems(section(slack))
    assert problem.startswith("The token TEMPERA_SLACK__APP_TOKEN lacks the scope connections:write. Make one at ")


async def test_missing_scopes_are_named(slack: FakeSlack) -> None:
    slack.scopes -= {"files:write", "users:read"}
    (problem,) = await find_problems(section(slack))
    assert problem.startswith("The bot lacks the scopes files:write, users:read. Paste config/slack-manifest.yaml at ")
    assert problem.endswith("Install App, Reinstall.")


async def test_what_is_lost_without_an_optional_scope_is_told(slack: FakeSlack) -> None:
    slack.scopes -= {"channels:history", "im:history"}
    told = [finding for finding in await examine(section(slack)) if "Without" in finding[1]]
    lost = "Without channels:history, im:history, it reads only commands and what mentions it"
    sentence = f"Slack grants all that the bot cannot do without. {lost} in channels, in direct messages."
    assert told == [(True, sentence)]


async def test_an_unexpected_error_of_slack_is_shown(slack: FakeSlack) -> None:
    slack.refuse("auth.test", "internal_error")
    slack.refuse("apps.connections.open", "forbidden_team")
    assert await find_problems(section(slack)) == [
        f"Slack answers at {slack.api_base} with “{error}”." for error in ("internal_error", "forbidden_team")
    ]


async def test_a_rate_limit_is_waited_for(slack: FakeSlack) -> None:
    slack.refuse("auth.test", retry_after=1)
    assert await find_problems(section(slack)) == []
    assert len(slack.called("auth.test")) == 2


async def test_an_unreachable_server_is_a_problem(slack: FakeSlack, unused_tcp_port: int) -> None:
    base = f"http://127.0.0.1:{unused_tcp_port}/api/"
    (problem,) = await find_problems(section(slack, api_base=base))
    assert problem.startswith(f"Slack cannot be reached at {base}: ")


@pytest.mark.parametrize(("body", "status"), [(b"<html>Sign in</html>", 200), (b"", 502), (b"[1]", 200)])
async def test_another_server_is_a_problem(slack: FakeSlack, body: bytes, status: int) -> None:
    async with crooked(plainly(body, status), "/auth.test") as base:
        (problem, *_) = await find_problems(section(slack, api_base=base, app_token="", signing_secret="5eed"))
    assert problem == f"What answers at {base}/ is not Slack; is TEMPERA_SLACK__API_BASE right?"


async def test_a_server_that_does_not_answer_is_a_problem(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("never")

    monkeypatch.setattr(checks, "TIMEOUT_SECONDS", 0.2)
    async with crooked(hang, "/auth.test") as base:
        (problem,) = await find_problems(section(slack, api_base=base))
    assert problem == f"Slack does not answer at {base}/ within 0.2 seconds."
