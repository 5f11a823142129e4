"""The fake Slack server is as strict as Slack, as seen by Slack's own SDK."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fakes.slack import FakeSlack, NotAcknowledgedError, contract
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

TITLE = {"type": "plain_text", "text": "Ask"}
PROMPT = {
    "type": "input",
    "block_id": "prompt",
    "label": {"type": "plain_text", "text": "Question"},
    "element": {"type": "plain_text_input", "action_id": "typed", "multiline": True},
}
HEAT = {
    "type": "input",
    "block_id": "temperature",
    "optional": True,
    "label": {"type": "plain_text", "text": "Temperature"},
    "element": {"type": "number_input", "action_id": "typed", "is_decimal_allowed": True, "max_value": "2"},
}
MODAL: dict[str, Any] = {"type": "modal", "title": TITLE, "submit": TITLE, "blocks": [PROMPT, HEAT]}


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as running:
        yield running


@pytest.fixture
def client(slack: FakeSlack) -> AsyncWebClient:
    return AsyncWebClient(slack.bot_token, base_url=slack.api_base, retry_handlers=[])


@pytest.fixture
async def socket(slack: FakeSlack, client: AsyncWebClient) -> AsyncIterator[SocketModeClient]:
    """Connect a bot that does nothing; `socket_mode_request_listeners` decide what it acknowledges."""
    connection = SocketModeClient(slack.app_token, web_client=client, ping_interval=1)
    await connection.connect()
    await slack.connected()
    yield connection
    await connection.close()


async def error_of(call: Any) -> str:
    """Return the error of a call."""
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


async def test_each_method_takes_only_its_kind_of_token(slack: FakeSlack, client: AsyncWebClient) -> None:
    about = await client.auth_test()
    assert about["user_id"] == slack.bot_user
    assert "chat:write" in about.headers["x-oauth-scopes"].split(",")
    assert await error_of(client.auth_test(token="xoxb-else")) == "invalid_auth"
    assert await error_of(client.apps_connections_open(app_token=slack.bot_token)) == "not_allowed_token_type"
    slack.revoke()
    assert await error_of(client.auth_test()) == "token_revoked"


async def test_a_bot_writes_only_where_it_may(slack: FakeSlack, client: AsyncWebClient) -> None:
    elsewhere, hidden = slack.add_channel("other", member=False), slack.add_channel("team", member=False, private=True)
    assert await error_of(client.chat_postMessage(channel=elsewhere, text="x")) == "not_in_channel"
    assert await error_of(client.chat_postMessage(channel=hidden, text="x")) == "channel_not_found"
    assert await error_of(client.chat_postMessage(channel=slack.channel, text="")) == "no_text"
    slack.archive(slack.channel)
    assert await error_of(client.chat_postMessage(channel=slack.channel, text="x")) == "is_archived"
    posted = await client.chat_postMessage(channel=slack.ann, text="x")
    assert posted["channel"] == slack.dm(slack.ann)


async def test_messages_of_others_cannot_be_changed(slack: FakeSlack, client: AsyncWebClient) -> None:
    said = await slack.say(slack.ann, slack.channel, "hello")
    assert await error_of(client.chat_update(channel=slack.channel, ts=said.ts, text="x")) == "cant_update_message"
    assert await error_of(client.chat_delete(channel=slack.channel, ts=said.ts)) == "cant_delete_message"
    assert await error_of(client.chat_update(channel=slack.channel, ts="1.000000", text="x")) == "message_not_found"


async def test_texts_and_blocks_have_limits(slack: FakeSlack, client: AsyncWebClient) -> None:
    posted = await client.chat_postMessage(channel=slack.channel, text="x")
    update = client.chat_update(channel=slack.channel, ts=posted["ts"], text="x" * 4001)
    assert await error_of(update) == "msg_too_long"
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 2900}}
    for blocks, error in (([section] * 51, "invalid_blocks"), ([section] * 5, "msg_blocks_too_long")):
        post = client.chat_postMessage(channel=slack.channel, text="x", blocks=blocks)
        assert await error_of(post) == error


async def test_mentions_and_unfurled_links_are_recorded(slack: FakeSlack, client: AsyncWebClient) -> None:
    await client.chat_postMessage(channel=slack.channel, text=f"<!channel> <@{slack.ann}> https://example.org")
    [message] = slack.messages(slack.channel)
    assert message.pings == ["!channel", f"@{slack.ann}"]
    assert message.unfurls == ["https://example.org"]
    await client.chat_postMessage(channel=slack.channel, text="https://x.org", unfurl_links=False, unfurl_media=False)
    assert slack.messages(slack.channel)[-1].unfurls == []


async def test_a_stream_grows_until_it_is_stopped(slack: FakeSlack, client: AsyncWebClient) -> None:
    parent = await slack.say(slack.ann, slack.channel, "hello")
    where = {"channel": slack.channel, "thread_ts": parent.ts}
    assert await error_of(client.chat_startStream(**where, markdown_text="a")) == "missing_recipient_user_id"
    whom = {"recipient_user_id": slack.ann, "recipient_team_id": slack.team}
    stream = await client.chat_startStream(**where, **whom, markdown_text="one")
    message = {"channel": slack.channel, "ts": stream["ts"]}
    assert await error_of(client.chat_update(**message, text="x")) == "streaming_state_conflict"
    await client.chat_appendStream(**message, markdown_text=" two")
    assert await error_of(client.chat_appendStream(**message, markdown_text="x" * 12_000)) == "msg_too_long"
    [shown] = slack.thread(slack.channel, parent.ts)
    assert (shown.text, shown.streaming) == ("one two", True)
    await client.chat_stopStream(**message, markdown_text=" three")
    assert await error_of(client.chat_stopStream(**message)) == "message_not_in_streaming_state"
    await client.chat_update(**message, text="anew")
    assert [text for _, text in shown.edits] == ["one", "one two", "one two three", "anew"]


async def test_calls_over_a_rate_limit_are_refused(slack: FakeSlack, client: AsyncWebClient) -> None:
    slack.rate_tiers.per_minute[2] = 2
    slack.rate_tiers.burst = 2
    for _ in range(2):
        await client.chat_postMessage(channel=slack.channel, text="x")
        await error_of(client.chat_startStream(channel=slack.channel, thread_ts="1.0"))
    with pytest.raises(SlackApiError) as caught:
        await client.chat_postMessage(channel=slack.channel, text="x")
    assert (caught.value.response.status_code, caught.value.response.headers["Retry-After"]) == (429, "1")
    await client.chat_postMessage(channel=slack.dm(slack.ann), text="another channel is free")
    assert await error_of(client.chat_startStream(channel=slack.channel, thread_ts="1.0")) == "ratelimited"
    assert [call.method for call in slack.rate_limited_calls] == ["chat.postMessage", "chat.startStream"]


async def test_a_trigger_opens_one_view_within_three_seconds(slack: FakeSlack, client: AsyncWebClient) -> None:
    command = await slack.command(slack.ann, slack.channel, "/ask")
    await client.views_open(trigger_id=command.trigger_id, view=MODAL)
    again = client.views_open(trigger_id=command.trigger_id, view=MODAL)
    assert await error_of(again) == "exchanged_trigger_id"
    slack.trigger_seconds = 0
    late = await slack.command(slack.ann, slack.channel, "/ask")
    assert await error_of(client.views_open(trigger_id=late.trigger_id, view=MODAL)) == "expired_trigger_id"
    assert await error_of(client.views_open(trigger_id="else", view=MODAL)) == "invalid_trigger_id"


async def test_forms_are_checked_by_the_client(slack: FakeSlack, client: AsyncWebClient) -> None:
    command = await slack.command(slack.ann, slack.channel, "/ask")
    await client.views_open(trigger_id=command.trigger_id, view=MODAL)
    empty = await slack.submit(slack.ann, await slack.view(slack.ann), {"prompt": "", "temperature": "9"})
    assert (set(empty.errors), empty.by_client) == ({"prompt", "temperature"}, True)


async def test_views_have_limits(slack: FakeSlack, client: AsyncWebClient) -> None:
    command = await slack.command(slack.ann, slack.channel, "/ask")
    view = MODAL | {"title": {"type": "plain_text", "text": "x" * 25}}
    assert await error_of(client.views_open(trigger_id=command.trigger_id, view=view)) == "invalid_arguments"


async def test_a_response_url_is_used_five_times(slack: FakeSlack) -> None:
    command = await slack.command(slack.ann, slack.add_channel("other", member=False), "/ask")
    hook = AsyncWebhookClient(command.response_url)
    answers = [await hook.send(text=str(number)) for number in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [404]
    assert [message.text for message in slack.ephemeral(slack.ann)] == ["0", "1", "2", "3", "4"]
    slack.response_urls.seconds = 0
    late = await slack.command(slack.ann, slack.channel, "/ask")
    assert "expired_url" in (await AsyncWebhookClient(late.response_url).send(text="late")).body


async def test_unacknowledged_events_are_repeated_and_interactions_are_lost(
    slack: FakeSlack, socket: SocketModeClient
) -> None:
    slack.courier.ack_seconds = 0.05
    slack.courier.retry_seconds = (0.0, 0.0)
    command = await slack.command(slack.ann, slack.channel, "/ask")
    with pytest.raises(NotAcknowledgedError):
        await command.acknowledged()
    attempts: list[tuple[int | None, str | None]] = []

    async def listener(connection: Any, request: SocketModeRequest) -> None:
        attempts.append((request.retry_attempt, request.payload["event_id"]))
        if request.retry_attempt:
            await connection.send_socket_mode_response(SocketModeResponse(request.envelope_id))

    socket.socket_mode_request_listeners.append(listener)
    said = await slack.say(slack.ann, slack.channel, "hello")
    [event] = said.events
    await event.acknowledged()
    assert attempts == [(0, event.event_id), (1, event.event_id)]
    assert slack.lost == [command]


@pytest.mark.skipif(not contract.is_available(), reason="the published descriptions are not here")
async def test_calls_are_checked_against_published_descriptions(slack: FakeSlack, client: AsyncWebClient) -> None:
    button = {"type": "button", "action_id": "again", "style": "secondary", "text": {"type": "plain_text", "text": "x"}}
    await client.chat_postMessage(channel=slack.channel, text="x", blocks=[{"type": "actions", "elements": [button]}])
    with pytest.raises(AssertionError, match="'secondary' is not one of"):
        await slack.__aexit__(None, None, None)
    slack.violations.clear()
