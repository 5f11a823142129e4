"""A round with ten voters on Discord, on Slack and in the web chat, over real sockets."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from fakes.core.settings import WEB, put
from fakes.discord import FakeDiscord
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import bot_with_plugins, finished, on_discord
from fakes.platforms.slack_bot import on_slack, run_command, speed_up
from fakes.platforms.web_page import Page, visitor
from fakes.slack import FakeSlack

from bot.config.sections import WebSection
from bot.platforms.discord.outgoing import answer_view
from bot.platforms.web import WebPlatform

NAMES = [f"Voter {number}" for number in range(9)]
FORGED = (2, 4, 6, 8, 10, 12)
TRUTH = "**Real: 1, 3, 5, 7, 9, 11. Forged: 2, 4, 6, 8, 10, 12.**"
SUMMARY = "All of you together, by majority, were right about 12 of 12."
SCORES = ["- **Ann**: 12 of 12", *(f"- **{name}**: 12 of 12" for name in NAMES[1:]), "- **Voter 0**: 10 of 12"]
"""Ann, who began, and eight others find all; Voter 0 marks two faces twice, which takes the marks back."""


def marks_of(name: str) -> tuple[int, ...]:
    """Return the buttons that somebody presses, one after the other."""
    return (2, 4, 6, 8, 10, 12, 2, 4) if name == "Voter 0" else FORGED


async def test_discord(models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_view, "PACE_SECONDS", 0.01)
    async with bot_with_plugins(models, tmp_path, ("duel",)) as bot, FakeDiscord() as discord, on_discord(bot, discord):
        asked = await discord.slash(discord.ann, discord.channel, "duel", seconds=300)
        sheet = await asked.message()
        await discord.until(lambda: "Vote" in sheet.buttons)
        assert [file.description for file in sheet.attachments] == [
            "12 numbered faces, half of them real emoji and half forged."
        ]
        # Discord's own clock counts down, so that no edit is needed for it.
        assert "The truth comes <t:" in sheet.content

        async def vote(user: Any) -> None:
            pressed = await discord.press(user, sheet, "Vote")
            assert (await pressed.acknowledged()).private
            ballot = await pressed.message()
            await discord.until(lambda: "12" in ballot.buttons)
            for number in marks_of(user.name):
                label = next(label for label in (str(number), f"✗ {number}") if label in ballot.buttons)
                before = list(ballot.buttons)
                change = await discord.press(user, ballot, label)
                assert (await change.acknowledged()).kind == "defer_update"
                await discord.until(lambda before=before: list(ballot.buttons) != before)
            ballots[user.name] = ballot

        ballots: dict[str, Any] = {}
        people = [discord.ann, *(discord.add_user(name) for name in NAMES)]
        # One opens the private message and leaves.
        await discord.press(discord.ben, sheet, "Vote")
        for user in people[1:]:
            discord.guild.join(user)
        await asyncio.gather(*map(vote, people))
        await discord.until(lambda: "10 have voted." in sheet.content)
        assert "Voter" not in sheet.content
        assert ballots["Voter 0"].content == "You take these for forged: 6, 8, 10, 12."
        assert "Show the truth now" not in ballots["Voter 1"].buttons
        await discord.press(discord.ann, ballots["Ann"], "Show the truth now")
        await finished(discord, sheet)
        assert TRUTH in sheet.content
        assert SUMMARY in sheet.content
        assert [line for line in sheet.content.splitlines() if line.startswith("- ")] == SCORES
        assert sheet.attachments[0].description == TRUTH.strip("*")
        own = await discord.press(discord.ben, sheet, "My marks")
        told = await own.message()
        await discord.until(lambda: told.content == "This round is over. You have marked nothing.")


async def test_slack(models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        bot_with_plugins(models, tmp_path, ("duel",)) as bot,
        FakeSlack() as slack,
        on_slack(bot, slack, http=True),
    ):
        speed_up(slack, monkeypatch)
        await run_command(slack, "/tempera", "duel seconds:300")

        def find_sheet() -> Any:
            shown = [one for one in slack.workspace.messages if not one.deleted and "Vote" in one.buttons]
            return shown[-1] if shown else None

        sheet = await slack.until(find_sheet)
        assert [block["alt_text"] for block in sheet.blocks if block["type"] == "image"] == [
            "12 numbered faces, half of them real emoji and half forged."
        ]

        async def vote(user: str, name: str) -> None:
            await (await slack.press(user, find_sheet(), "Vote")).acknowledged()
            # Whoever waits for long is offered a Stop, too.
            [ballot] = await slack.until(lambda: [one for one in slack.ephemeral(user) if "12" in one.buttons])
            for number in marks_of(name):
                label = next(label for label in (str(number), f"✗ {number}") if label in ballot.buttons)
                before = list(ballot.buttons)
                await (await slack.press(user, ballot, label)).acknowledged()
                # Each press changes the same message.
                await slack.until(lambda before=before: list(ballot.buttons) != before)

        people = {slack.ann: "Ann"} | {slack.add_user(name): name for name in NAMES}
        await (await slack.press(slack.ben, sheet, "Vote")).acknowledged()
        await asyncio.gather(*(vote(user, name) for user, name in people.items()))
        await slack.until(lambda: "10 have voted." in find_sheet().shown)
        await slack.press(slack.ann, slack.ephemeral(slack.ann)[-1], "Show the truth now")
        told = await slack.until(lambda: next((one for one in slack.workspace.messages if SUMMARY in one.shown), None))
        assert TRUTH in told.shown
        assert [line for line in told.shown.splitlines() if line.startswith("- ")] == SCORES
        await slack.until(lambda: any("My marks" in one.buttons for one in slack.workspace.messages))
        # Only the sheet with the truth is left.
        pictures = [picture for one in slack.workspace.messages if not one.deleted for picture in one.files]
        assert [picture["alt_txt"] for picture in pictures] == [TRUTH.strip("*")]


async def test_web_chat(models: FakeModels, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        bot = await stack.enter_async_context(bot_with_plugins(models, tmp_path, ("duel",)))
        url = await stack.enter_async_context(WebPlatform(bot, WebSection(port=0)).serve())

        async def open_page(name: str) -> Page:
            return await stack.enter_async_context((await stack.enter_async_context(visitor(url))).page(name))

        ann, leaver = await open_page("Ann"), await open_page("Leaver")
        pages = [ann, *[await open_page(name) for name in NAMES]]
        await ann.say("/duel seconds:300")

        def has_sheet(told: dict[str, Any]) -> bool:
            return any(button["label"] == "Vote" for button in told["reply"]["buttons"]) and not told["private"]

        async def vote(page: Page, name: str) -> dict[str, Any]:
            sheet = await page.until("exchange", has_sheet)
            await page.press(sheet, "Vote")
            ballot = await page.until("exchange", lambda told: told["private"] and told["reply"]["final"])
            for number in marks_of(name):
                labels = [button["label"] for button in ballot["reply"]["buttons"]]
                before, ident = ballot["reply"]["text"], ballot["id"]
                await page.press(ballot, str(number) if str(number) in labels else f"✗ {number}")
                ballot = await page.until(
                    "exchange",
                    lambda told, before=before, ident=ident: told["id"] == ident and told["reply"]["text"] != before,
                )
            return ballot

        await leaver.press(await leaver.until("exchange", has_sheet), "Vote")
        await leaver.socket.close()
        ballots = await asyncio.gather(*(vote(page, name) for page, name in zip(pages, ["Ann", *NAMES], strict=True)))
        await ann.press(ballots[0], "Show the truth now")
        told = await pages[1].until("exchange", lambda told: told["reply"]["final"] and not told["private"])
        assert told["reply"]["text"].startswith(TRUTH)
        assert SUMMARY in told["reply"]["text"]
        assert [line for line in told["reply"]["text"].splitlines() if line.startswith("- ")] == SCORES
        assert told["reply"]["pictures"][0]["alt"] == TRUTH.strip("*")
        # The others' marks are on nobody's page.
        assert [one["mine"] for one in pages[1].exchanges.values() if one["private"]] == [True]


async def test_a_private_sheet_in_the_web_chat_stays_beside_its_choices(models: FakeModels, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        bot = await stack.enter_async_context(bot_with_plugins(models, tmp_path, ("duel",)))
        await put(bot.settings, "answers.private", True, WEB)
        url = await stack.enter_async_context(WebPlatform(bot, WebSection(port=0)).serve())
        page = await stack.enter_async_context((await stack.enter_async_context(visitor(url))).page("Ann"))
        await page.say("/duel")
        sheet = await page.until("exchange", lambda told: told["reply"]["final"])
        await page.press(sheet, "Vote")
        ballot = await page.until("exchange", lambda told: told["id"] != sheet["id"] and told["reply"]["final"])
        assert (sheet["private"], ballot["private"]) == (True, True)
        await page.press(ballot, "2")
        marked = await page.until("exchange", lambda told: "forged: 2." in told["reply"]["text"])
        assert marked["id"] == ballot["id"]
        shown = page.exchanges[sheet["id"]]["reply"]
        assert (len(shown["pictures"]), shown["buttons"][0]["label"]) == (1, "Vote")
