"""Buttons that turn a page in the web chat: the message is changed in place."""

import asyncio
from typing import Any

import pytest
from fakes.model_server.model_api import FakeModels, look_at, png
from fakes.platforms.web_page import Page, Visitor

from bot.app import Bot
from bot.core.messages import Reply
from bot.platforms.web.chat import answers
from bot.storage.database import MessageRow


async def opened(page: Page) -> dict[str, Any]:
    """Draw a picture and return the message that shows it before its first step."""
    how = await pressed(page, await page.ask("/imagine count:1 steps:12 seed:7 a cat"), "How it was made")
    return await pressed(page, how, "Step by step ▶")


async def pressed(page: Page, exchange: dict[str, Any], label: str) -> dict[str, Any]:
    """Press a button and return the answer in a new message."""
    await page.press(exchange, label)
    return await page.until("exchange", lambda told: told["id"] > exchange["id"] and told["reply"]["final"])


async def turned(page: Page, exchange: dict[str, Any], label: str) -> dict[str, Any]:
    """Press a button and return the same message with another page."""
    ref = await page.press(exchange, label)
    assert (await page.until("taken"))["ref"] == ref
    return await page.until("exchange", lambda told: told["id"] == exchange["id"])


async def picture(visitor: Visitor, exchange: dict[str, Any]) -> bytes:
    (shown,) = exchange["reply"]["pictures"]
    async with visitor.session.get(visitor.url + shown["url"]) as response:
        return await response.read()


async def stays_away(page: Page) -> None:
    """Check that a deleted answer has not come back after a later one was shown."""
    await page.say("/help")
    await page.until("exchange", lambda told: told["question"] == "/help" and told["reply"]["final"])
    assert len(page.exchanges) == 3


def labels(exchange: dict[str, Any]) -> list[str]:
    return [button["label"] for button in exchange["reply"]["buttons"]]


async def test_turning_a_page_replaces_the_text_the_picture_and_the_buttons(
    ann: Visitor, ben: Visitor, bot: Bot, models: FakeModels
) -> None:
    async with ann.page("Ann") as hers, ben.page("Ben") as his:
        first = await opened(hers)
        count = len(hers.exchanges)
        await hers.say("/ask hello", thread=first["row"])
        await hers.until("exchange", lambda told: told["thread"] == first["row"] and told["reply"]["final"])
        seen = await his.until("exchange", lambda told: told["row"] == first["row"] and told["reply"]["final"])
        second = await turned(his, seen, "▶")
        assert second["reply"]["text"] == "After step 1 of 12."
        assert labels(second) == ["◀◀", "◀", "▶", "▶▶", "👍", "👎"]
        # It is still the message that Ann asked for, and that its thread began with.
        assert (second["row"], second["author"]["name"]) == (first["row"], "Ann")
        theirs = await hers.until("exchange", lambda told: told["id"] == first["id"])
        assert (theirs["reply"]["text"], "Delete" in labels(theirs)) == ("After step 1 of 12.", True)
        assert look_at(await picture(ben, second)) == look_at(png(7, 384, 384))
        third = await turned(hers, theirs, "▶▶")
        assert third["reply"]["text"] == "After step 6 of 12."
        assert len(hers.exchanges) == count + 1
        # Once it is drawn, the picture is read from where it is stored.
        assert look_at(await picture(ann, third)) == look_at(png(7, 384, 384))
        row = await bot.messages.get(first["row"])
        assert row is not None
        assert (row.options["step"], row.author_name) == (6, "Ann")
    async with ann.page("Ann") as again:
        assert again.exchanges[first["id"]]["reply"]["text"] == "After step 6 of 12."


async def test_the_old_page_stays_until_the_new_one_is_ready(ann: Visitor, models: FakeModels) -> None:
    async with ann.page() as page:
        first = await opened(page)
        models.place = 3
        models.gate.clear()
        ref = await page.press(first, "▶")
        assert (await page.until("taken"))["ref"] == ref
        await models.until(running=1)
        await page.press(first, "👍")
        voted = await page.until("exchange", lambda told: told["id"] == first["id"])
        assert voted["reply"]["text"] == first["reply"]["text"]
        models.gate.set()
        second = await page.until("exchange", lambda told: told["reply"]["text"] == "After step 1 of 12.")
        assert (second["id"], "👍 1" in labels(second)) == (first["id"], True)
        told = [one["reply"] for one in page.received if one["type"] == "exchange" and one["id"] == first["id"]]
        assert all(one["final"] for one in told[-2:])


async def test_an_error_is_only_shown_to_whoever_pressed(
    ann: Visitor, ben: Visitor, bot: Bot, models: FakeModels
) -> None:
    async with ann.page() as hers, ben.page() as his:
        first = await opened(hers)
        seen = await his.until("exchange", lambda told: told["row"] == first["row"] and told["reply"]["final"])
        del models.listed["fake-images"]
        await his.press(seen, "▶")
        told = await his.until("exchange", lambda told: told["reply"]["error"])
        assert (told["private"], told["id"] != first["id"]) == (True, True)
        assert told["reply"]["text"].startswith("The model “fake-images”, which drew this, is no longer there.")
        await hers.ask("/help")
        assert hers.exchanges[first["id"]]["reply"]["text"] == first["reply"]["text"]
        assert told["id"] not in hers.exchanges


async def test_a_page_that_is_deleted_meanwhile_does_not_come_back(ann: Visitor, models: FakeModels) -> None:
    async with ann.page() as page:
        first = await opened(page)
        models.place = 3
        models.gate.clear()
        await page.press(first, "▶")
        await models.until(running=1)
        await page.press(first, "Delete")
        await page.until("gone", lambda told: told["id"] == first["id"])
        # Nobody waits for the drawing any more.
        await models.until(running=0)
        models.gate.set()
        await stays_away(page)


async def test_a_page_that_is_deleted_as_it_is_shown_does_not_come_back(
    ann: Visitor, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, drawn, deleted = bot.stored.snapshot, asyncio.Event(), asyncio.Event()

    async def late(row: MessageRow, locale: str) -> Reply:
        reply = await read(row, locale)
        drawn.set()
        await deleted.wait()
        return reply

    async with ann.page() as page:
        first = await opened(page)
        monkeypatch.setattr(bot.stored, "snapshot", late)
        await page.press(first, "▶")
        await drawn.wait()
        await page.press(first, "Delete")
        await page.until("gone", lambda told: told["id"] == first["id"])
        deleted.set()
        await stays_away(page)


async def test_turning_a_page_is_refused_at_the_limit_of_answers(
    ann: Visitor, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ann.page() as page:
        first = await opened(page)
        models.gate.clear()
        await page.say("/ask hello")
        await page.until("exchange", lambda told: told["reply"]["text"] == "Paris")
        monkeypatch.setattr(answers, "MAX_ANSWERS_PER_VISITOR", 1)
        drawn = len(models.requests)
        ref = await page.press(first, "▶")
        told = await page.until("refused")
        assert (told["ref"], told["text"]) == (ref, "You have 1 answers under way; wait for one to end, or stop one.")
        await asyncio.sleep(0.05)
        assert len(models.requests) == drawn
        models.gate.set()
