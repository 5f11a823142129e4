"""The log channel on Slack: its lines, and the channels that are refused."""

from collections.abc import AsyncIterator

import pytest
from fakes.platforms.slack_bot import on_slack, run_command, speed_up
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


async def test_a_channel_without_the_bot_is_refused(slack: FakeSlack) -> None:
    log = slack.add_channel("log", member=False)
    said = await run_as_admin(slack, f"config set audit.channel <#{log}|log>")
    assert (
        f"audit.channel: I cannot write to {log}: I am not in that channel; somebody there has to invite @tempera."
        in said
    )
    assert slack.messages(log) == []


async def test_an_archived_channel_is_refused(slack: FakeSlack) -> None:
    log = slack.add_channel("log")
    slack.archive(log)
    assert f"I cannot write to {log}: nobody can write there." in await run_as_admin(
        slack, f"config set audit.channel {log}"
    )


async def test_a_user_id_is_refused_as_a_channel(slack: FakeSlack) -> None:
    said = await run_as_admin(slack, f"config set audit.channel {slack.ann}")
    assert f"I cannot write to {slack.ann}: there is no such channel." in said
    assert slack.messages(slack.dm(slack.ann)) == []


async def test_a_refusal_of_slack_is_reported(slack: FakeSlack) -> None:
    log = slack.add_channel("log")
    slack.refuse("chat.postMessage", "internal_error")
    assert "Slack cannot be reached right now." in await run_as_admin(slack, f"config set audit.channel {log}")


async def test_a_channel_is_found_by_its_name(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "CHANNELS_PER_PAGE", 2)
    for number in range(4):
        slack.add_channel(f"other-{number}")
    log = slack.add_channel("log")
    slack.archive(slack.add_channel("log"))
    assert f"→ {log}" in await run_as_admin(slack, "config set audit.channel #Log")
    said = await run_as_admin(slack, "config set audit.channel #attic")
    assert "I know no channel “attic” here. Pick it from the list that appears, or give its id." in said


async def test_a_channel_is_an_option_by_its_name_too(slack: FakeSlack, toy_bot: Bot) -> None:
    log = slack.add_channel("log")
    await run_as_admin(slack, "config set toys.enabled no channel:#log")
    assert toy_bot.settings.scopes.values_at(Scope("slack", slack.team, log)) == {"toys.enabled": False}


async def test_without_the_scope_for_channels_the_bot_says_what_to_do(slack: FakeSlack) -> None:
    slack.scopes -= {"channels:read"}
    said = await run_as_admin(slack, "config set audit.channel #log")
    assert "I could not look up the channel “log”. Pick it from the list that appears, or give its id." in said
