"""The log channel on Slack: what its lines look like there, and what keeps it from being one."""

from collections.abc import AsyncIterator

import pytest
from fakes.platforms.slack_bot import command, hurry, on_slack
from fakes.slack import FakeSlack

from bot.app import Bot
from bot.moderation import log_channel
from bot.platforms.slack.api import api
from bot.settings.setting import Scope

HELLO = "From now on I tell here what moderators change and do, what is refused, and who appeals against it."


@pytest.fixture
async def slack(toy_bot: Bot, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSlack]:
    monkeypatch.setattr(log_channel, "ROUND_SECONDS", 0.02)
    async with FakeSlack() as server:
        hurry(server, monkeypatch)
        async with on_slack(toy_bot, server):
            yield server


async def moderate(slack: FakeSlack, line: str) -> str:
    """What an admin of the workspace is answered."""
    before = len(slack.ephemeral(slack.admin))
    await command(slack, "/tempera", line, user=slack.admin)
    return (await slack.until(lambda: slack.ephemeral(slack.admin)[before:]))[0].shown


async def lines(slack: FakeSlack, channel: str, count: int) -> list[str]:
    def told() -> list[str]:
        return [line for one in slack.messages(channel) for line in one.shown.splitlines() if line]

    await slack.until(lambda: len(told()) >= count)
    return told()


async def test_what_happens_is_told_in_the_channel_that_is_mentioned(slack: FakeSlack) -> None:
    log = slack.add_channel("log", private=True)
    assert f"→ {log}" in await moderate(slack, f"config set audit.channel <#{log}|log>")
    await moderate(slack, "config set toys.enabled no")
    await command(slack, "/tempera", "whisper text:hello")
    name = slack.workspace.users[slack.admin].name
    assert await lines(slack, log, 4) == [
        HELLO,
        f"⚙️ **{name}** set `audit.channel`: – → `{log}`",
        f"⚙️ **{name}** set `toys.enabled`: – → `no`",
        f"⛔ **Ann** was refused `whisper` (channel `{slack.channel}`) (off)",
    ]
    assert [message.pings for message in slack.messages(log) if message.pings] == []


async def test_a_channel_that_the_bot_is_not_in_is_not_taken(slack: FakeSlack) -> None:
    log = slack.add_channel("log", member=False)
    said = await moderate(slack, f"config set audit.channel <#{log}|log>")
    assert (
        f"audit.channel: I cannot write to {log}: I am not in that channel; somebody there has to invite @tempera."
        in said
    )
    assert slack.messages(log) == []


async def test_a_closed_channel_is_not_taken(slack: FakeSlack) -> None:
    log = slack.add_channel("log")
    slack.archive(log)
    assert f"I cannot write to {log}: nobody can write there." in await moderate(
        slack, f"config set audit.channel {log}"
    )


async def test_a_person_is_no_channel(slack: FakeSlack) -> None:
    said = await moderate(slack, f"config set audit.channel {slack.ann}")
    assert f"I cannot write to {slack.ann}: there is no such channel." in said
    assert slack.messages(slack.dm(slack.ann)) == []


async def test_a_slack_that_refuses_is_told(slack: FakeSlack) -> None:
    log = slack.add_channel("log")
    slack.refuse("chat.postMessage", "internal_error")
    assert "Slack cannot be reached right now." in await moderate(slack, f"config set audit.channel {log}")


async def test_a_channel_that_is_typed_by_its_name_is_found(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "PAGE", 2)
    for number in range(4):
        slack.add_channel(f"other-{number}")
    log = slack.add_channel("log")
    slack.archive(slack.add_channel("log"))
    assert f"→ {log}" in await moderate(slack, "config set audit.channel #Log")
    said = await moderate(slack, "config set audit.channel #attic")
    assert "I know no channel “attic” here. Pick it from the list that appears, or give its id." in said


async def test_a_channel_is_an_option_by_its_name_too(slack: FakeSlack, toy_bot: Bot) -> None:
    log = slack.add_channel("log")
    await moderate(slack, "config set toys.enabled no channel:#log")
    assert toy_bot.settings.scopes.values_at(Scope("slack", slack.team, log)) == {"toys.enabled": False}


async def test_an_app_that_may_not_look_up_channels_says_what_to_do(slack: FakeSlack) -> None:
    slack.scopes -= {"channels:read"}
    said = await moderate(slack, "config set audit.channel #log")
    assert "I could not look up the channel “log”. Pick it from the list that appears, or give its id." in said
