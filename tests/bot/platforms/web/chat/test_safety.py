"""Visibility of a question in the web chat until it has passed the safety checks."""

import pytest
from fakes.core.settings import WEB, put
from fakes.model_server.model_api import FakeModels
from fakes.platforms.teachers_page import become_teacher
from fakes.platforms.web_page import Page, Visitor

from bot.app import Bot
from bot.safety import checks

LINE = "/ask something that no list knows"


@pytest.fixture(autouse=True)
async def checked(bot: Bot, models: FakeModels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the classifier check questions, without a time limit."""
    monkeypatch.setattr(checks, "CLASSIFIER_TIMEOUT_SECONDS", None)
    await put(bot.settings, "safety.level", "standard", WEB)
    models.moderation_gate.clear()


async def caught_up(page: Page) -> list[str]:
    """Return the questions of others that a page has received."""
    # What has changed is sent after the answer to the page itself, and before the next one.
    for _ in range(2):
        await page.send("name", name="Ben")
        await page.until("you")
    sent = [message for message in page.received if message["type"] == "exchange"]
    return [one["question"] for one in sent if not one["mine"]]


async def test_only_the_asker_sees_a_question_until_it_has_passed(
    ann: Visitor, ben: Visitor, models: FakeModels
) -> None:
    async with ann.page("Ann") as hers, ben.page() as his:
        await hers.say(LINE)
        asked = await hers.until("exchange")
        assert (asked["question"], asked["private"]) == (LINE, False)
        assert await caught_up(his) == []
        async with ben.page() as late:
            assert LINE not in str(late.received)
        models.moderation_gate.set()
        shown = await his.until("exchange", lambda one: one["id"] == asked["id"])
        assert (shown["question"], shown["private"]) == (LINE, False)
        assert (await hers.final())["reply"]["text"] == "Paris is the capital of France."
    async with ben.page() as late:
        assert [one["question"] for one in late.exchanges.values() if not one["mine"]] == [LINE]
        assert min(late.exchanges) == asked["id"]


async def test_a_refused_question_was_never_shown_to_others(ann: Visitor, ben: Visitor, models: FakeModels) -> None:
    models.scores = {"no list knows": {"hate": 0.99}}
    async with ann.page("Ann") as hers, ben.page() as his:
        await hers.say(LINE)
        await hers.until("exchange")
        assert await caught_up(his) == []
        models.moderation_gate.set()
        refused = await hers.final()
        assert (refused["reply"]["error"], refused["private"]) == (True, True)
        assert await caught_up(his) == []


async def test_other_rooms_are_told_of_a_question_once_it_has_passed(
    bot: Bot, ann: Visitor, ben: Visitor, models: FakeModels
) -> None:
    await become_teacher(bot, ann)
    async with ann.page("Ann") as hers:
        await hers.make_room("lesson")
        async with ben.page(room="lesson") as his:
            await hers.say(LINE)
            await hers.until("exchange")
            await caught_up(his)
            assert "spoken" not in [message["type"] for message in his.received]
            models.moderation_gate.set()
            assert (await his.until("spoken"))["room"] == "general"
