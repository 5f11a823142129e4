"""Messages over the WebSocket: copies are handled once, and replies are in the reader's language."""

from typing import Any

from fakes.model_server.model_api import FakeModels
from fakes.platforms.teachers_page import become_teacher
from fakes.platforms.web_page import Visitor, visitor

from bot.app import Bot
from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform

HERE = WebSection(port=0)


async def test_a_form_sent_twice_is_carried_out_once_and_a_refused_one_again(ann: Visitor, models: FakeModels) -> None:
    async with ann.page() as page:
        await page.say("/ask")
        form = (await page.until("form"))["id"]
        for prompt, told in ((" ", "refused"), ("Why?", "taken")):
            await page.send("submit", id=form, fields={"prompt": prompt}, files={}, ref="mine")
            await page.until(told, lambda one: one["ref"] == "mine")
        await page.final()
    async with ann.page() as page:
        await page.send("submit", id=form, fields={"prompt": "Why?"}, files={}, ref="mine")
        await page.until("taken", lambda one: one["ref"] == "mine")
        await page.ask("/ask the last one")
        assert [one["reply"]["quote"] for one in page.exchanges.values()] == ["Why?", "the last one"]
    assert len(models.requests) == 2


def told(exchange: dict[str, Any]) -> list[str]:
    """Return the status and the first button labels of an exchange."""
    reply = exchange["reply"]
    return [reply["status"], *(button["label"] for button in reply["buttons"][:2])]


async def test_stored_answers_are_in_each_readers_language(bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    async with WebPlatform(bot, HERE).serve() as url, visitor(url) as ann, ann.page() as page:
        await page.say("/ask hello")
        await page.until("exchange", lambda message: message["reply"]["text"] == "Paris")
    models.gate.set()
    english = ["Interrupted: the bot was restarted.", "Again", "Cooler"]
    german = ["Unterbrochen: Der Bot wurde neu gestartet.", "Noch einmal", "Kühler"]
    async with WebPlatform(bot, HERE).serve() as url, visitor(url) as ann, visitor(url) as ben:
        await become_teacher(bot, ann)
        await become_teacher(bot, ben)
        async with ann.page(locale="de") as hers, ben.page() as his:
            assert [told(page.received[0]["exchanges"][0]) for page in (hers, his)] == [german, english]
            await hers.press(hers.received[0]["exchanges"][0], "👍")
            assert told(await hers.until("exchange")) == german
            assert told(await his.until("exchange")) == english
