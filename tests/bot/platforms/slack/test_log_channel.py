"""The log channel on Slack: its lines, and the channels that are refused."""

from collections.abc import AsyncIterator

import pytest
from fakes.platforms.slack_bot import on_slack, run_command, speed_up
from fakes.slack import FakeSlack

from bot.app import Bot
from bot.moderation import log_channel
from bot.platforms.slack.api import api

HELLO = "From now on I tell here what moderators change and do, what is refused, and who appeals against it."


@pytest.fixture
async def slack(toy_bot: Bot, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSlack]:
    monkeypatch.setattr(log_channel, "ROUND_SECONDS", 0.02)
    async with FakeSlack() as server:
        speed_up(server, monkeypatch)
        async with on_slack(toy_bot, server):
            yield server


async def run_as_admin(slack: FakeSlack, line: str) -> str:
    """Run a command as an admin of the workspace, and return the answer."""
    before = len(slack.ephemeral(slack.admin))
    await run_command(slack, "/tempera", line, user=slack.admin)
    return (await slack.until(lambda: slack.ephemeral(slack.admin)[before:]))[0].shown


async def wait_for_lines(slack: FakeSlack, channel: str, count: int) -> list[str]:
    def told() -> list[str]:
        return [line for one in slack.messages(channel) for line in one.shown.splitlines() if line]

    await slack.until(lambda: len(told()) >= count)
    return told()


async def test_the_chosen_channel_gets_the_log(slack: FakeSlack) -> None:
    log = slack.add_channel("log", private=True)
    assert f"→ {log}" in await run_as_admin(slack, f"config set audit.channel <#{log}|log>")
    await run_as_admin(slack, "config set toys.enabled no")
    await run_command(slack, "/tempera", "whisper text:hello")
    name = slack.workspace.users[slack.admin].name
    assert await wait_for_lines(slack, log, 4) == [
        HELLO,
        f"⚙️ **{name}** set `audit.channel`: – → `{log}`",
        f"⚙️ **{name}** set `toys.enabled`: – → `no`",
        f"⛔ **Ann** was refused `whisper` (channel `{slack.channel}`) (off)",
    ]
    assert [message.pings for message in slack.messages(log) if message.pings] == []


async def test_a_channel_that_cannot_be_written_to_is_refused(slack: FakeSlack) -> None:
    foreign, archived, refused = (slack.add_channel(name, member=name != "foreign") for name in ("foreign", "old", "x"))
    slack.archive(archived)
    for channel, reason in (
        (foreign, "I am not in that channel; somebody there has to invite @tempera."),
        (archived, "nobody can write there."),
        # Posting to the id of a person would send a direct message.
        (slack.ann, "there is no such channel."),
        (refused, "Slack cannot be reached right now."),
    ):
        if channel == refused:
            slack.refuse("chat.postMessage", "internal_error")
        said = await run_as_admin(slack, f"config set audit.channel {channel}")
        assert f"I cannot write to {channel}: {reason}" in said
        assert slack.messages(slack.dm(slack.ann) if channel == slack.ann else channel) == []


async def test_a_channel_is_found_by_its_name(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "CHANNELS_PER_PAGE", 2)
    for number in range(4):
        slack.add_channel(f"other-{number}")
    log = slack.add_channel("log")
    slack.archive(slack.add_channel("log"))
    assert f"→ {log}" in await run_as_admin(slack, "config set audit.channel #Log")
    said = await run_as_admin(slack, "config set audit.channel #attic")
    assert "I know no channel “attic” here. Pick it from the list that appears, or give its id." in said


async def test_without_the_scope_for_channels_the_bot_says_what_to_do(slack: FakeSlack) -> None:
    slack.scopes -= {"channels:read"}
    said = await run_as_admin(slack, "config set audit.channel #log")
    assert "I could not look up the channel “log”. Pick it from the list that appears, or give its id." in said
