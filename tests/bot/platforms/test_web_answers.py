"""How much may be under way in the web chat, and what may be pressed all the same."""

import pytest
from fakes.models import FakeModels
from fakes.page import Page, Visitor, visitor

from bot.app import Bot
from bot.platforms.web import answers
from bot.platforms.web.moderators import Moderators

TOO_MANY = "Too many people are asking at the moment; try again shortly."


async def running(page: Page, count: int) -> list[int]:
    """Ask for so many answers; the exchanges of all of them, once they grow."""
    for number in range(count):
        await page.say(f"/ask {number}")
    begun: set[int] = set()
    while len(begun) < count:
        begun.add((await page.until("exchange", lambda one: one["reply"]["text"] == "Paris"))["id"])
    return sorted(begun)


async def pressed(page: Page, exchange: int, label: str) -> None:
    """Press a button that must not be refused."""
    ref = await page.press(page.exchanges[exchange], label)
    while (told := await page.read()).get("ref") != ref:
        pass
    assert told["type"] == "taken"


async def test_who_has_all_answers_under_way_stops_votes_deletes_and_edits(ann: Visitor, models: FakeModels) -> None:
    async with ann.page() as page:
        await page.say("/ask hello")
        over = (await page.final())["id"]
        models.gate.clear()
        first, *_ = await running(page, answers.MOST_PER_VISITOR)
        await pressed(page, over, "👍")
        await pressed(page, over, "Edit")
        await pressed(page, over, "Delete")
        ref = await page.send("press", exchange=first, id="t:nothing")
        told = await page.until("refused")
        assert (told["ref"], told["text"]) == (ref, "This button has expired.")
        await pressed(page, first, "Stop")
        stopped = await page.until("exchange", lambda one: one["id"] == first and one["reply"]["final"])
        assert stopped["reply"]["status"] == "Stopped."
        await models.until(dropped=1)
        models.gate.set()


async def test_what_starts_an_answer_waits_for_one_to_end(ann: Visitor, models: FakeModels) -> None:
    async with ann.page() as page:
        await page.say("/ask hello")
        over = await page.final()
        models.gate.clear()
        await running(page, answers.MOST_PER_VISITOR)
        asked = len(models.requests)
        ref = await page.press(page.exchanges[over["id"]], "Again")
        told = await page.until("refused")
        assert told["ref"] == ref
        assert told["text"] == "You have 8 answers under way; wait for one to end, or stop one."
        assert len(models.requests) == asked
        models.gate.set()


async def test_moderators_are_let_in_where_too_many_ask(
    bot: Bot, ann: Visitor, ben: Visitor, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MOST", 1)
    async with visitor(ann.url) as teacher:
        await teacher.sign_in(await Moderators(bot.database).new_code())
        async with ann.page() as hers, ben.page() as his, teacher.page() as theirs:
            models.gate.clear()
            await running(hers, 1)
            await his.say("/ask me, too")
            assert (await his.until("refused"))["text"] == TOO_MANY
            await theirs.say("/ask in spite of them")
            await theirs.until("exchange", lambda one: one["mine"] and one["reply"]["text"] == "Paris")
            models.gate.set()
