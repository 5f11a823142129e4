"""Answers of the web chat: limits of answers under way, forms that are sent twice, and deleted users."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.core.settings import WEB, put
from fakes.model_server.gateway import eventually
from fakes.model_server.model_api import FakeModels
from fakes.platforms.teachers_page import become_teacher
from fakes.platforms.web_page import Page, Visitor, visitor

from bot.app import Bot
from bot.config.sections import WebSection
from bot.core.button_ids import ButtonId
from bot.core.errors import UserError
from bot.core.messages import Attachment, Form, User
from bot.platforms.web import WebPlatform
from bot.platforms.web.access.known import KnownVisitors
from bot.platforms.web.access.people import People
from bot.platforms.web.access.teachers import WebModerators
from bot.platforms.web.adapter import WebAdapter
from bot.platforms.web.chat import answers, sent_forms
from bot.platforms.web.chat.answers import WebAnswers
from bot.platforms.web.chat.files import Files
from bot.platforms.web.chat.incoming import Submit
from bot.platforms.web.chat.room import room_place
from bot.platforms.web.chat.rooms import Rooms
from bot.platforms.web.chat.sent_forms import SentForms
from bot.safety import checks
from bot.storage.key_value import Store

TOO_MANY = "Too many people are asking at the moment; try again shortly."

ANN = User("a", "Ann")


async def running(page: Page, count: int) -> list[int]:
    """Start so many answers and return the ids of their exchanges, once all of them grow."""
    for number in range(count):
        await page.say(f"/ask {number}")
    begun: set[int] = set()
    while len(begun) < count:
        told = await page.read()
        if told["type"] == "refused":
            # A finished answer may still count for a moment.
            await page.say("/ask once more")
        elif told["type"] == "exchange" and told["mine"] and told["reply"]["text"] == "Paris":
            begun.add(told["id"])
    return sorted(begun)


async def pressed(page: Page, exchange: int, label: str) -> None:
    """Press a button and check that the press is accepted."""
    ref = await page.press(page.exchanges[exchange], label)
    while (told := await page.read()).get("ref") != ref:
        pass
    assert told["type"] == "taken"


async def test_at_the_limit_nothing_is_asked_but_a_visitor_still_stops_votes_deletes_and_edits(
    ann: Visitor, models: FakeModels
) -> None:
    async with ann.page() as page:
        over = (await page.ask("/ask hello"))["id"]
        models.gate.clear()
        first, *_ = await running(page, answers.MAX_ANSWERS_PER_VISITOR)
        asked = len(models.requests)
        for ref in (await page.say("/ask one more"), await page.press(page.exchanges[over], "Again")):
            told = await page.until("refused")
            sentence = "You have 8 answers under way; wait for one to end, or stop one."
            assert (told["ref"], told["text"]) == (ref, sentence)
        assert len(models.requests) == asked
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


async def test_a_stop_does_not_wait_for_the_check_of_another_answer(
    bot: Bot, ann: Visitor, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "CLASSIFIER_TIMEOUT_SECONDS", None)
    async with ann.page() as page:
        over = await page.ask("/ask hello")
        models.gate.clear()
        [growing] = await running(page, 1)
        await put(bot.settings, "safety.level", "standard", WEB)
        models.moderation_gate.clear()
        monkeypatch.setattr(answers, "MAX_ANSWERS_PER_VISITOR", 2)
        again = await page.press(over, "Again")
        # What waits for its check counts as under way.
        form = await page.send("submit", id="c:ask", fields={"prompt": "hello"}, files={})
        assert (await page.until("refused"))["ref"] == form
        stop = await page.press(page.exchanges[growing], "Stop")
        assert (await page.until("taken"))["ref"] == stop
        stopped = await page.until("exchange", lambda one: one["id"] == growing and one["reply"]["final"])
        assert stopped["reply"]["status"] == "Stopped."
        models.moderation_gate.set()
        models.gate.set()
        assert (await page.until("taken"))["ref"] == again


async def test_what_was_pressed_is_done_although_the_page_closes(bot: Bot, ann: Visitor) -> None:
    async with ann.page() as page:
        over = await page.ask("/ask hello")
        await page.press(over, "👍")
    up = next(ButtonId.parse(button["id"]) for button in over["reply"]["buttons"] if button["label"] == "👍")
    assert up is not None

    async def is_counted() -> bool:
        return await bot.messages.count_votes(up.row) == (1, 0)

    await eventually(is_counted)


async def test_a_private_window_does_not_evade_the_limit_of_the_address(bot: Bot, models: FakeModels) -> None:
    await put(bot.settings, "limits.address.hour", 3, WEB)
    used_up = "The limit here is 3 per hour for all who share your IP address, and it is used up. Ask again in "
    async with (
        WebPlatform(bot, WebSection(port=0, proxies=("127.0.0.1",))).serve() as url,
        visitor(url, "2001:db8::1") as stranger,
        visitor(url, "2001:db8::2") as window,
        visitor(url, "2001:db8:0:1::1") as pupil,
    ):
        async with stranger.page() as page:
            first = await page.ask("/ask hello")
            await page.press(first, "Again")
            await page.until("exchange", lambda told: told["id"] != first["id"] and told["reply"]["final"])
            await page.send("submit", id="c:ask", fields={"prompt": "hello"}, files={})
            await page.until("exchange", lambda told: told["id"] > first["id"] + 1 and told["reply"]["final"])
        async with window.page() as page:
            assert (await page.ask("/ask hello"))["reply"]["text"].startswith(used_up)
            told = await page.refused("submit", id="c:ask", fields={"prompt": "hello"}, files={})
            assert told.startswith(used_up)
        async with pupil.page() as page:
            assert (await page.ask("/ask hello"))["reply"]["text"].startswith("Paris")


async def test_private_windows_at_one_address_leave_room_for_others(
    bot: Bot, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MAX_ANSWERS_PER_ADDRESS", 2)
    async with (
        WebPlatform(bot, WebSection(port=0, proxies=("127.0.0.1",))).serve() as url,
        visitor(url, "198.51.100.7") as first,
        visitor(url, "198.51.100.7") as second,
        visitor(url, "192.0.2.1") as pupil,
        first.page() as one,
        second.page() as other,
        pupil.page() as his,
    ):
        models.gate.clear()
        await running(one, 1)
        await running(other, 1)
        ref = await other.say("/ask one more")
        told = await other.until("refused")
        sentence = "Too many people at your IP address are asking at the moment; try again shortly."
        assert (told["ref"], told["text"]) == (ref, sentence)
        await running(his, 2)
        models.gate.set()


async def test_moderators_may_ask_beyond_the_common_limit(
    bot: Bot, ann: Visitor, ben: Visitor, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MAX_ANSWERS", 1)
    async with visitor(ann.url) as teacher:
        await become_teacher(bot, teacher)
        async with ann.page() as hers, ben.page() as his, teacher.page() as theirs:
            models.gate.clear()
            await running(hers, 1)
            assert await his.refused("say", text="/ask me, too") == TOO_MANY
            await theirs.say("/ask in spite of them")
            await theirs.until("exchange", lambda one: one["mine"] and one["reply"]["text"] == "Paris")
            models.gate.set()


async def test_an_answer_deleted_during_a_vote_does_not_come_back(
    bot: Bot, ann: Visitor, ben: Visitor, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, counting, gate = bot.messages.count_votes, asyncio.Event(), asyncio.Event()

    async def votes(row_id: int) -> tuple[int, int]:
        counting.set()
        await gate.wait()
        return await count(row_id)

    async with ann.page() as hers, ben.page() as his:
        answer = await hers.ask("/ask hello")
        await his.final()
        monkeypatch.setattr(bot.messages, "count_votes", votes)
        await his.press(answer, "👍")
        await counting.wait()
        await hers.press(answer, "Delete")
        await hers.until("gone")
        gate.set()
        await his.until("taken")
        for page in (hers, his):
            await page.send("ping")
            await page.until("pong")
            assert not page.exchanges


@pytest.fixture
def rooms(bot: Bot) -> Rooms:
    return Rooms(Files(), Store(bot.database, "web chat"))


@pytest.fixture
async def asking(bot: Bot, rooms: Rooms) -> AsyncIterator[WebAnswers]:
    async with WebAnswers(bot, rooms) as under_way:
        yield under_way


def sending(asking: WebAnswers, rooms: Rooms, prompt: str) -> asyncio.Task[Form | None]:
    """Start sending a form as Ann."""
    form = Submit(type="submit", id="c:ask", fields={"prompt": prompt}, files={}, ref="mine")
    sent = asking.submit(ANN, rooms.get("general"), form, {}, "")
    return asyncio.create_task(sent)


async def test_copies_of_a_form_sent_at_once_have_one_outcome(
    bot: Bot, asking: WebAnswers, rooms: Rooms, models: FakeModels
) -> None:
    await put(bot.settings, "safety.level", "standard", WEB)
    models.scores = {"banana": {"hate": 0.99}}
    copies = [sending(asking, rooms, "a banana") for _ in range(3)]
    first, *others = await asyncio.gather(*copies, return_exceptions=True)
    assert isinstance(first, UserError)
    assert [str(other) for other in others] == [str(first)] * 2
    assert models.moderated == ["a banana"]
    assert await asyncio.gather(*(sending(asking, rooms, "Why?") for _ in range(2))) == [None, None]
    assert models.moderated == ["a banana", "Why?"]


async def test_a_cancelled_form_is_carried_out_by_its_next_copy(
    asking: WebAnswers, rooms: Rooms, models: FakeModels
) -> None:
    copies = [sending(asking, rooms, "Why?") for _ in range(3)]
    await asyncio.sleep(0)
    copies[0].cancel()
    first, *others = await asyncio.gather(*copies, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert others == [None, None]
    assert len(rooms.get("general").exchanges) == 1


async def test_only_the_newest_forms_are_remembered_and_nobody_pushes_out_those_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sent_forms, "MAX_REMEMBERED_FORMS", 3)
    forms, done = SentForms(), list[str]()

    async def send(user: str, ref: str) -> None:
        async def act() -> None:
            done.append(f"{user} {ref}")

        await forms.run_once(User(user, user), ref, act)

    await send("ann", "first")
    for number in range(10):
        await send("ben", str(number))
    await send("ann", "first")
    assert (done.count("ann first"), len(done)) == (1, 11)
    for ref, count in (("9", 11), ("0", 12)):
        await send("ben", ref)
        assert len(done) == count


async def test_forms_and_uploads_of_a_deleted_user_are_forgotten(bot: Bot, asking: WebAnswers, rooms: Rooms) -> None:
    uploads, file = Files(), Attachment("cells.txt", b"Cells divide.", "text/plain")
    hers, his = uploads.keep(file, "a"), uploads.keep(file, "c")
    about = {"rooms": rooms, "answers": asking, "uploads": uploads, "people": People()}
    stored = {"known": KnownVisitors(bot.database), "moderators": WebModerators(bot.database)}
    services: Any = SimpleNamespace(**about, **stored)
    adapter = WebAdapter(services)
    for deleted, begun in (("b", 1), ("a", 1), ("a", 2)):
        await sending(asking, rooms, "Why?")
        assert rooms.get("general").exchanges[-1].id == begun
        await adapter.forget_user(deleted, ())
    assert (uploads.get(hers, "a"), uploads.get(his, "c")) == (None, file)


async def test_a_line_is_confirmed_only_once_it_is_stored(bot: Bot, ann: Visitor) -> None:
    async with ann.page() as page, ann.page() as other:
        # Nothing can be stored meanwhile.
        async with bot.database.writing() as session:
            await session.connection()
            await page.say("/ask hello", ref="first")
            await page.until("exchange")
            await other.say("/ask hello", ref="first")
            # Longer than storing takes anywhere. The pages can do other things.
            await asyncio.sleep(1.2)
            for one in (page, other):
                await one.send("ping")
                await one.until("pong")
                assert "taken" not in [message["type"] for message in one.received]
            # What comes next waits for the line, so that lines keep their order.
            await page.say("/ask again", ref="second")
            await page.send("enter", room="general")
        told = [(await one.until("taken"))["ref"] for one in (other, page, page)]
        await page.until("welcome")
    rows = await bot.messages.recent(room_place("general"), 5)
    assert (told, [row.text for row in rows if row.role == "user"]) == (
        ["first", "first", "second"],
        ["hello", "again"],
    )


async def test_a_line_that_was_taken_is_stored_and_known_to_a_new_process(bot: Bot) -> None:
    async with visitor("") as ann:
        async with WebPlatform(bot, WebSection(port=0)).serve() as ann.url, ann.page() as page:
            await page.say("/ask hello", ref="same")
            await page.until("taken")
            assert [row.text for row in await bot.messages.recent(room_place("general"), 5)][:1] == ["hello"]
        async with WebPlatform(bot, WebSection(port=0)).serve() as ann.url, ann.page() as page:
            await page.say("/ask hello", ref="same")
            await page.until("taken")
            assert len(page.exchanges) == 1
    assert [row.role for row in await bot.messages.recent(room_place("general"), 5)] == ["user", "assistant"]
