"""A bot that is killed in the middle of a round ends it when it starts again, with the marks that there were."""

import asyncio
import signal
import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from fakes.discord import FakeDiscord
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import bot_with_plugins, on_discord
from fakes.platforms.slack_bot import on_slack, run_command, speed_up
from fakes.platforms.web_page import visitor
from fakes.programs.deployment import Deployment
from fakes.slack import FakeSlack

CUT_SHORT = "The bot was restarted in the middle of this round"
TRUTH = "Real: 1, 3, 5, 7, 9, 11. Forged: 2, 4, 6, 8, 10, 12."


def copy_database(source: Path, target: Path) -> None:
    """Copy a database at this moment, without the registration of its process."""
    target.mkdir()
    with (
        closing(sqlite3.connect(source / "tempera.db")) as old,
        closing(sqlite3.connect(target / "tempera.db")) as new,
    ):
        old.backup(new)
        new.execute("DELETE FROM instances")
        new.commit()


async def test_a_round_on_discord_is_ended_after_the_process_is_gone(models: FakeModels, tmp_path: Path) -> None:
    async with FakeDiscord() as discord:
        async with bot_with_plugins(models, tmp_path, ("duel",)) as bot, on_discord(bot, discord):
            sheet = await (await discord.slash(discord.ann, discord.channel, "duel", seconds=300)).message()
            await discord.until(lambda: "Vote" in sheet.buttons)
            ballot = await (await discord.press(discord.ben, sheet, "Vote")).message()
            await discord.until(lambda: "2" in ballot.buttons)
            await discord.press(discord.ben, ballot, "2")
            await discord.until(lambda: "✗ 2" in ballot.buttons)
            await asyncio.to_thread(copy_database, tmp_path, tmp_path / "after")
            # What this process does from now on, the killed one did not.
            for method in ("PATCH", "POST", "DELETE"):
                discord.refuse(method, "*", 403, code=50013, times=1000)
        discord.rest.limits.refusals.clear()
        assert "Vote" in sheet.buttons
        async with bot_with_plugins(models, tmp_path / "after", ("duel",)) as again, on_discord(again, discord):
            await discord.until(lambda: sheet.content.startswith(CUT_SHORT))
            assert "- **Ben**: 7 of 12" in sheet.content
            assert [file.description for file in sheet.attachments] == [TRUTH]
            # His private message, which is still open, knows how the round ended.
            await discord.press(discord.ben, ballot, "4")
            await discord.until(lambda: ballot.content.startswith("This round is over. You took these for forged: 2."))


async def test_a_round_on_slack_is_ended_before_the_bot_ends(
    models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeSlack() as slack:
        async with bot_with_plugins(models, tmp_path, ("duel",)) as bot, on_slack(bot, slack):
            speed_up(slack, monkeypatch)
            await run_command(slack, "/tempera", "duel seconds:300")
            await slack.until(lambda: any("Vote" in one.buttons for one in slack.workspace.messages))
        shown = [one for one in slack.workspace.messages if not one.deleted]
        assert any(one.shown.startswith(CUT_SHORT) for one in shown)
        assert [picture["alt_txt"] for one in shown for picture in one.files] == [TRUTH]
        assert not any("Vote" in one.buttons for one in shown)


@pytest.mark.processes
async def test_a_round_of_a_killed_bot_ends_with_the_marks_that_there_were(models: FakeModels, tmp_path: Path) -> None:
    made = Deployment(tmp_path, foreign_models=models.url)
    await asyncio.to_thread(made.start)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, made.end)
        ann, ben = [await stack.enter_async_context(visitor(made.web_url)) for _ in range(2)]
        for person, name in ((ann, "Ann"), (ben, "Ben")):
            async with person.page(name) as page:
                if name == "Ann":
                    await page.say("/duel seconds:300")
                sheet = next((one for one in page.exchanges.values() if one["reply"]["buttons"]), None)
                while sheet is None or not any(button["label"] == "Vote" for button in sheet["reply"]["buttons"]):
                    sheet = await page.until("exchange")
                await page.press(sheet, "Vote")
                ballot = await page.until("exchange", lambda told: told["private"])
                await page.press(ballot, "2")
                await page.until("exchange", lambda told: told["private"] and "forged: 2." in told["reply"]["text"])
        await asyncio.to_thread(made.stop, signal.SIGKILL)
        await asyncio.to_thread(made.start)
        async with ben.page("Ben") as page:
            [told] = page.exchanges.values()
            assert told["reply"]["text"].startswith(
                "The bot was restarted in the middle of this round, so it ended with the marks that there were. It "
                "does not count in the score table.\n\n**Real: 1, 3, 5, 7, 9, 11. Forged: 2, 4, 6, 8, 10, 12.**\n\n"
                "- **Ann**: 7 of 12\n- **Ben**: 7 of 12"
            )
            assert told["reply"]["status"] == "Interrupted: the bot was restarted."
            assert len(told["reply"]["pictures"]) == 1
            await page.press(told, "My marks")
            own = await page.until("exchange", lambda told: told["private"])
            assert "You were right about 7 of 12." in own["reply"]["text"]
            # There is room for another round at once.
            await page.say("/duel")
            await page.until("exchange", lambda told: any(one["label"] == "Vote" for one in told["reply"]["buttons"]))
        assert await asyncio.to_thread(made.stop) == 0
