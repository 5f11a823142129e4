"""Rooms, threads and replies of the web chat, over real sockets."""

import asyncio
from typing import Any

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.web_page import Page, Visitor, visitor

from bot.app import Bot
from bot.config.sections import WebSection
from bot.core.errors import UserError
from bot.core.messages import Attachment, Reply, User
from bot.platforms.web import WebPlatform, platform
from bot.platforms.web.chat import restoring, room
from bot.platforms.web.chat.files import Files
from bot.platforms.web.chat.room import MAX_PUBLIC_EXCHANGES, Exchange, Room
from bot.platforms.web.chat.rooms import Rooms
from bot.storage.key_value import Store


def contents(models: FakeModels) -> list[str]:
    return [turn["content"] for turn in models.requests[-1]["messages"][1:]]


async def test_messages_beyond_the_retention_time_disappear(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "PURGE_SECONDS", 0.05)
    monkeypatch.setattr(platform, "DAY_SECONDS", 0)
    async with WebPlatform(bot, WebSection(port=0)).serve() as url, visitor(url) as ann:
        async with ann.page() as page:
            await page.say("/ask hello")
            await page.until("gone")
        async with ann.page() as again:
            assert not again.exchanges


async def test_a_room_that_a_moderator_opens_has_its_own_conversation(
    teacher: Visitor, ben: Visitor, models: FakeModels
) -> None:
    async with teacher.page() as hers, ben.page() as his:
        assert (hers.received[0]["you"]["moderator"], his.received[0]["you"]["moderator"]) == (True, False)
        await his.ask("/ask in general")
        assert await hers.make_room("Lesson 1") == "lesson-1"
        assert (await his.until("rooms"))["rooms"] == ["general", "lesson-1"]
        await hers.send("enter", room="lesson-1")
        entered = await hers.until("welcome")
        assert (entered["room"], entered["exchanges"]) == ("lesson-1", [])
        assert (await hers.ask("/ask in the lesson"))["question"] == "/ask in the lesson"
        assert contents(models) == ["in the lesson"]
        assert (await his.until("spoken"))["room"] == "lesson-1"
        assert [exchange["question"] for exchange in his.exchanges.values()] == ["/ask in general"]
        # Who has left a room hears no more of it.
        await his.send("typing")
        await his.ask("/ask again in general")
        await hers.until("spoken")
        assert not [message for message in hers.received if message["type"] == "typing"]
    async with ben.page(room="lesson-1") as his:
        assert [exchange["question"] for exchange in his.exchanges.values()] == ["/ask in the lesson"]


async def test_rooms_are_sorted_by_name_and_by_the_numbers_in_it(teacher: Visitor) -> None:
    async with teacher.page() as page:
        for name in ("lesson-10", "lesson-2", "7b", "lesson", "atelier", "7a"):
            await page.make_room(name)
    async with teacher.page() as page:
        assert page.received[0]["rooms"] == [
            "general", "7a", "7b", "atelier", "lesson", "lesson-2", "lesson-10",
        ]  # fmt: skip


async def test_opening_or_closing_a_room_twice_is_carried_out_once(bot: Bot, teacher: Visitor) -> None:
    for kind, about in (("make_room", {"name": "lesson"}), ("close_room", {"room": "lesson"})):
        for _ in range(2):
            async with teacher.page("Ada") as page:
                await page.send(kind, ref=kind, **about)
                await page.send("ping")
                await page.until("pong")
                told = [message for message in page.received if message["type"] in {"taken", "refused"}]
                assert [(message["type"], message["ref"]) for message in told] == [("taken", kind)]
    found = [(row.kind, row.what, row.channel, row.actor_name) for row in await bot.audit.find("web", "web")]
    assert found == [
        ("moderation", "close room", "lesson", "Ada"),
        ("moderation", "open room", "lesson", "Ada"),
        ("moderation", "sign in", "", "Ada"),
    ]


async def test_of_two_moderators_who_open_or_close_a_room_at_once_one_is_refused(bot: Bot) -> None:
    rooms = Rooms(Files(), Store(bot.database, "web chat"))
    for change, refused in (
        (rooms.open, "There is a room “lesson” already."),
        (rooms.close, "There is no room “lesson”."),
    ):
        outcomes = await asyncio.gather(change("lesson"), change("lesson"), return_exceptions=True)
        assert [str(outcome) for outcome in outcomes if isinstance(outcome, UserError)] == [refused]
        assert sum(isinstance(outcome, BaseException) for outcome in outcomes) == 1


async def test_only_moderators_open_and_close_rooms(bot: Bot, ben: Visitor) -> None:
    async with ben.page("Ben") as page:
        for kind, about in (("make_room", {"name": "mine"}), ("close_room", {"room": "general"})):
            assert await page.refused(kind, **about) == "Only moderators can open and close rooms."
    found = {(row.kind, row.what, row.actor_name, row.reason) for row in await bot.audit.find("web", "web")}
    assert found == {("refusal", "rooms", "Ben", "moderators")}


async def test_invalid_room_names_are_refused_with_a_sentence(bot: Bot, teacher: Visitor) -> None:
    async with teacher.page() as page:
        for kind, about, sentence in (
            ("make_room", {"name": "!!"}, "A room needs a name of letters or digits, such as “lesson-1”."),
            ("make_room", {"name": "General"}, "There is a room “general” already."),
            ("close_room", {"room": "general"}, "The room “general” is always there."),
            ("close_room", {"room": "attic"}, "There is no room “attic”."),
        ):
            assert await page.refused(kind, **about) == sentence
    # What is invalid is no refusal.
    assert [row.what for row in await bot.audit.find("web", "web")] == ["sign in"]


async def test_visitors_leave_a_closed_room_and_its_messages_come_back_with_it(teacher: Visitor, ben: Visitor) -> None:
    async with teacher.page() as hers:
        await hers.make_room("lesson")
        async with ben.page(room="lesson") as his:
            await his.ask("/ask hello")
            await hers.send("close_room", room="lesson")
            assert (await his.until("closed"))["room"] == "lesson"
        async with ben.page(room="lesson") as his:
            assert his.received[0]["room"] == "general"
        await hers.make_room("lesson")
        async with ben.page(room="lesson") as his:
            assert [exchange["question"] for exchange in his.exchanges.values()] == ["/ask hello"]


async def test_nobody_acts_on_answers_of_a_closed_room(bot: Bot, teacher: Visitor, ben: Visitor) -> None:
    async with teacher.page() as hers:
        await hers.make_room("lesson")
        async with ben.page(room="lesson") as his:
            row = (await his.ask("/ask hello"))["row"]
        await hers.send("close_room", room="lesson")
        await hers.until("rooms", lambda message: message["rooms"] == ["general"])
        async with ben.page() as his:
            for button in ("up", "again", "edit", "b0"):
                assert (
                    await his.refused("submit", id=f"t:{button}:{row}", fields={}, files={})
                    == "This has expired: it is no longer stored."
                )
    assert await bot.messages.count_votes(row) == (0, 0)


async def test_an_active_answer_continues_in_its_room_after_that_was_closed_and_opened_again(
    teacher: Visitor, ben: Visitor, models: FakeModels
) -> None:
    models.gate.clear()
    async with teacher.page() as hers:
        await hers.make_room("lesson")
        async with ben.page(room="lesson") as his:
            for line in ("/ask first", "/ask second"):
                await his.say(line)
                await his.until("exchange", lambda one: one["reply"]["text"] == "Paris")
        await hers.send("close_room", room="lesson")
        await hers.make_room("lesson")
        async with ben.page(room="lesson") as his:
            first, second = his.exchanges.values()
            await his.press(first, "Stop")
            stopped = await his.final()
            assert (stopped["id"], stopped["reply"]["status"]) == (first["id"], "Stopped.")
            models.gate.set()
            ended = await his.until("exchange", lambda one: one["id"] == second["id"] and one["reply"]["final"])
            assert (ended["question"], ended["reply"]["text"]) == ("/ask second", "Paris is the capital of France.")


async def test_a_stopped_answer_says_so_after_a_vote_and_a_restart(bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    async with WebPlatform(bot, WebSection(port=0)).serve() as url, visitor(url) as ann, ann.page() as page:
        await page.say("/ask hello")
        await page.press(await page.until("exchange", lambda one: one["reply"]["text"] == "Paris"), "Stop")
        await page.press(await page.final(), "👍")
        voted = await page.until("exchange", lambda one: "👍 1" in str(one["reply"]["buttons"]))
        assert (voted["reply"]["text"], voted["reply"]["status"]) == ("Paris", "Stopped.")
        await models.until(dropped=1)
    async with WebPlatform(bot, WebSection(port=0)).serve() as url, visitor(url) as ben, ben.page(locale="de") as page:
        [kept] = page.exchanges.values()
        assert (kept["reply"]["text"], kept["reply"]["status"]) == ("Paris", "Gestoppt.")


async def test_a_thread_in_use_stays_however_much_is_asked_in_its_room(
    ann: Visitor, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MAX_PUBLIC_EXCHANGES", 3)
    async with ann.page() as page:
        root = (await page.ask("/ask root"))["row"]
        for number in range(5):
            assert (await page.ask(f"/ask deeper {number}", thread=root))["thread"] == root
            await page.ask(f"/ask beside {number}")
        assert {one["row"] for one in page.exchanges.values()} >= {root}
        for number in range(5, 10):
            await page.ask(f"/ask beside {number}")
        assert root not in {one["row"] for one in page.exchanges.values()}


async def test_a_thread_begins_with_the_same_answer_after_a_restart(
    bot: Bot, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "MAX_RESTORED_MESSAGES", 2)
    async with WebPlatform(bot, WebSection(port=0)).serve() as url, visitor(url) as ann, ann.page() as page:
        before = (await page.ask("/ask before"))["row"]
        root = (await page.ask("/ask root", parent=before))["row"]
        await page.ask("/ask beside")
        await page.ask("/ask deeper", thread=root)
    async with WebPlatform(bot, WebSection(port=0)).serve() as url, visitor(url) as ben, ben.page() as page:
        shown = [(one["question"], one["thread"], one["parent"]) for one in page.exchanges.values()]
        assert shown == [("/ask root", 0, before), ("/ask deeper", root, 0)]
        assert (await page.ask("/ask deepest", thread=root))["thread"] == root


async def test_who_reads_what_was_said_before(ann: Visitor, ben: Visitor, models: FakeModels) -> None:
    """In a room each question begins afresh; a reply reads its chain, and a thread what it hangs under."""
    async with ann.page("Ann") as hers, ben.page("Ben") as his:
        named: dict[str, dict[str, Any]] = {}

        async def act(page: Page, what: str, about: str = "", text: str = "") -> dict[str, Any]:
            if what in ("say", "reply", "thread"):
                where = {} if what == "say" else {"parent" if what == "reply" else "thread": named[about]["row"]}
                await page.say(text, **where)
            elif what in ("edit", "continue", "fork"):
                fields = {"at": "1", "choice": "1"} if what == "fork" else {"prompt": text}
                await page.send("submit", id=f"t:{what}:{named[about]['row']}", fields=fields, files={})
            else:
                await page.press(page.exchanges[named[about]["id"]], what)
            known = {one["row"] for one in named.values()}
            return await page.until("exchange", lambda one: one["reply"]["final"] and one["row"] not in known)

        for name, page, what, about, text, read in (
            ("owl", hers, "say", "", "owl", ["owl"]),
            ("fox", his, "say", "", "fox", ["fox"]),
            ("reply", his, "reply", "owl", "and?", ["owl", "and?"]),
            ("again", his, "Again", "reply", "", ["owl", "and?"]),
            ("edited", his, "edit", "reply", "or?", ["owl", "or?"]),
            ("forked", hers, "fork", "reply", "", ["owl", "and?"]),
            ("afresh", hers, "Again", "owl", "", ["owl"]),
            ("continued", hers, "continue", "owl", "so?", ["owl", "so?"]),
            ("deep", hers, "thread", "reply", "deep", ["owl", "and?", "deep"]),
            ("deeper", his, "thread", "reply", "deeper", ["owl", "and?", "deep", "deeper"]),
            ("warmer", hers, "Warmer", "deep", "", ["owl", "and?", "deep"]),
            ("new", hers, "thread", "reply", "/new", None),
            ("mine", hers, "thread", "reply", "mine", ["mine"]),
            ("his", his, "thread", "reply", "his", ["owl", "and?", "deep", "deeper", "mine", "his"]),
            ("more", his, "reply", "his", "more", ["owl", "and?", "deep", "deeper", "mine", "his", "more"]),
        ):
            named[name] = await act(page, what, about, text)
            if read is not None:
                assert contents(models)[::2] == read, name
        assert {named[name]["thread"] for name in ("deep", "deeper", "warmer", "his")} == {named["reply"]["row"]}


async def test_private_and_deleted_answers_cannot_be_replied_to(ann: Visitor, ben: Visitor) -> None:
    async with ann.page() as hers, ben.page() as his:
        hidden = (await hers.ask("/help"))["row"]
        for page, sentence in (
            (hers, "Only you can see that answer, so nobody can reply to it; ask again instead."),
            (his, "What you reply to is no longer here."),
        ):
            assert await page.refused("say", text="/ask and?", parent=hidden) == sentence
            assert await page.refused("say", text="/ask and?", thread=hidden) == sentence
        assert await hers.refused("say", text="/ask and?", parent=999) == "What you reply to is no longer here."


async def test_the_others_are_told_who_is_writing(ann: Visitor, ben: Visitor) -> None:
    async with ann.page("Ann") as hers, ben.page() as his:
        await hers.send("typing")
        assert (await his.until("typing"))["who"]["name"] == "Ann"
        await his.say("/ask hello")
        await hers.final()
        assert not [message for message in hers.received if message["type"] == "typing"]


def test_exchanges_that_are_shown_keep_their_pictures() -> None:
    files = Files()
    room = Room(files)
    for number in range(MAX_PUBLIC_EXCHANGES + 1):
        exchange = room.open_exchange(Exchange(User("ann", "Ann"), "draw", private=False))
        room.show(exchange, Reply(attachments=(Attachment(f"{number}.png", b"x"),), final=True))
    room.open_exchange(Exchange(User("ann", "Ann"), "more", private=False))
    names = [name for known in room.exchanges for _, name in known.files]
    assert len(names) == MAX_PUBLIC_EXCHANGES
    assert all(files.get(name) is not None for name in names)


async def test_closing_a_room_drops_its_pictures_from_memory(teacher: Visitor, models: FakeModels) -> None:
    async with teacher.page() as page:
        await page.make_room("lesson")
        await page.send("enter", room="lesson")
        await page.until("welcome", lambda message: message["room"] == "lesson")
        [picture] = (await page.ask("/imagine a red apple"))["reply"]["pictures"]
        assert (await teacher.get(picture["url"])).status == 200
        await page.send("close_room", room="lesson")
        await page.until("closed")
        assert (await teacher.get(picture["url"])).status == 404
