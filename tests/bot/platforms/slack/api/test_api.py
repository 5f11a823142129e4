"""Calls of the Web API: rate limits, exceptions for refusals, and downloads."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp.web
import pytest
from aiohttp.test_utils import TestServer
from fakes.slack import FakeSlack

from bot.config.sections import SlackSection
from bot.core.messages import Attachment
from bot.platforms.slack.api import api as web
from bot.platforms.slack.api.api import SlackApi
from bot.platforms.slack.api.budgets import RateBudgets
from bot.platforms.slack.api.client import connect
from bot.platforms.slack.api.errors import (
    ChannelClosed,
    MessageGone,
    NoFeature,
    NotInChannel,
    SlackError,
    StreamEnded,
    TokenInvalid,
)
from bot.platforms.slack.api.message_format import SlackMessage, picture_block


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as server:
        yield server


@pytest.fixture
async def api(slack: FakeSlack) -> AsyncIterator[SlackApi]:
    section = SlackSection(bot_token=slack.bot_token, app_token=slack.app_token, api_base=slack.api_base)
    async with aiohttp.ClientSession() as session:
        yield SlackApi(connect(section, session), RateBudgets())


async def test_a_429_blocks_all_calls_of_the_method(slack: FakeSlack, api: SlackApi) -> None:
    slack.refuse("users.info", retry_after=1)
    first = asyncio.create_task(api.get_user(slack.ann))
    [refused] = await slack.until(lambda: [call for call in slack.calls if call.error == "ratelimited"])
    # Until the refusal has come back, nobody can know of it.
    await slack.until(lambda: api.budgets.method_budget("users.info").delay(final=True))
    await asyncio.gather(first, api.get_user(slack.ben))
    later = [call for call in slack.calls if call.method == "users.info" and call is not refused]
    assert len(later) == 2
    assert all(call.at >= refused.at + 1 for call in later)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("not_in_channel", NotInChannel),
        ("channel_not_found", NotInChannel),
        ("message_not_found", MessageGone),
        ("is_archived", ChannelClosed),
        ("restricted_action_read_only_channel", ChannelClosed),
        ("message_not_in_streaming_state", StreamEnded),
        ("unknown_method", NoFeature),
        ("missing_scope", NoFeature),
        ("method_deprecated", NoFeature),
        ("deprecated_endpoint", NoFeature),
        ("feature_not_enabled", NoFeature),
        ("access_denied", SlackError),
        ("no_permission", SlackError),
        ("not_allowed", SlackError),
        ("team_access_not_granted", SlackError),
        ("token_revoked", TokenInvalid),
        ("fatal_error", SlackError),
    ],
)
async def test_each_refusal_has_its_exception(
    slack: FakeSlack, api: SlackApi, error: str, kind: type[SlackError]
) -> None:
    slack.refuse("chat.update", error)
    with pytest.raises(SlackError, match=error) as caught:
        await api.update(slack.channel, "1.000001", SlackMessage("x"))
    assert type(caught.value) is kind
    assert (api.missing_methods == {"chat.update"}) == (kind is NoFeature)
    assert api.token_invalid.is_set() == (kind is TokenInvalid)


async def test_a_refused_picture_does_not_switch_off_markdown_blocks(slack: FakeSlack, api: SlackApi) -> None:
    with pytest.raises(SlackError, match="invalid_blocks"):
        await api.post(slack.channel, SlackMessage("**bold**", blocks=(picture_block("F404", "A fox."),)))
    await api.post(slack.channel, SlackMessage("**bold**"))
    [posted] = slack.messages(slack.channel)
    assert [block["type"] for block in posted.blocks] == ["markdown"]


async def test_a_download_stops_at_its_limit(slack: FakeSlack, api: SlackApi) -> None:
    file = slack.file_as_json(slack.add_file(slack.ann, "a.bin", b"x" * 1000))
    assert await api.download(file["url_private"], 1000) == b"x" * 1000
    with pytest.raises(SlackError, match="too large"):
        await api.download(file["url_private"], 999)


async def test_an_html_file_is_distinguished_from_the_sign_in_page(slack: FakeSlack, api: SlackApi) -> None:
    file = slack.file_as_json(slack.add_file(slack.ann, "cells.html", b"<h1>Cells</h1>"))
    assert await api.download(file["url_private"], 1000, is_page=True) == b"<h1>Cells</h1>"
    slack.scopes.remove("files:read")
    for is_page in (False, True):
        with pytest.raises(SlackError, match="HTTP 302"):
            await api.download(file["url_private"], 1000, is_page=is_page)


@pytest.fixture
async def stranger() -> AsyncIterator[tuple[str, list[str]]]:
    """A server that is not Slack, and the Authorization headers that it was sent."""
    seen: list[str] = []

    async def record(request: aiohttp.web.Request) -> aiohttp.web.Response:
        seen.append(request.headers.get("Authorization", ""))
        return aiohttp.web.Response(body=b"x")

    app = aiohttp.web.Application()
    app.router.add_get("/{path:.*}", record)
    async with TestServer(app) as server:
        yield str(server.make_url("/")), seen


async def test_the_token_is_sent_to_slack_alone(
    slack: FakeSlack, api: SlackApi, stranger: tuple[str, list[str]]
) -> None:
    url, seen = stranger
    for address in (
        url,
        url.replace("127.0.0.1", "slack.com.localhost"),
        url.replace("127.0.0.1", "slack.com@127.0.0.1"),
        "http://files.slack.com/a",
        "https://files.slack.com:8443/a",
        "https://notslack.com/a",
        "https://slack.com.evil.example/a",
        "/files-pri/a",
        "https://[",
        "",
    ):
        with pytest.raises(SlackError, match="not one of Slack's addresses"):
            await api.download(address, 1000)
    assert seen == []


async def test_an_unknown_share_is_an_empty_list(
    slack: FakeSlack, api: SlackApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "SHARE_POLL_SECONDS", (0.01,))
    slack.refuse("files.info", "internal_error", times=-1)
    [only] = await api.share_files(slack.channel, [Attachment("a.txt", b"a", "text/plain")])
    assert only.startswith("F")
    assert await api.find_share(slack.channel, only) == []
