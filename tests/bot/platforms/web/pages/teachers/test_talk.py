"""A pinned task, announcements and transcripts: who sees them, what is kept, and who may make them."""

from collections.abc import Callable

from fakes.platforms.teachers_page import ordered, seen
from fakes.platforms.web_page import Visitor, visitor

from bot.app import Bot
from bot.config.sections import WebSection
from bot.core.caller import Caller
from bot.core.messages import Place, User
from bot.platforms.web import WebPlatform
from bot.storage.audit import MODERATION, AuditFilter


async def test_a_pinned_task_is_seen_until_it_is_taken_down(teacher: Visitor, ben: Visitor) -> None:
    async with ben.page() as his:
        assert await ordered(teacher, "/settings/data", "general", name="room.task", value="Ask **why**") == (200, "")
        assert (await his.until("offers"))["rules"]["task"] == "Ask **why**"
        async with ben.page() as later:
            assert later.received[-1]["rules"]["task"] == "Ask **why**"
        assert (await seen(teacher, "general"))["rules"]["task"] == "Ask **why**"
        await ordered(teacher, "/settings/data", "general", name="room.task", value=None)
        assert (await his.until("offers"))["rules"]["task"] == ""
    status, sentence = await ordered(teacher, "/settings/data", name="room.task", value="x" * 601)
    assert (status, "600" in sentence) == (422, True)


async def test_an_announcement_is_said_in_the_room_and_not_answered(
    bot: Bot, teacher: Visitor, ben: Visitor, make_bot: Callable[..., Bot]
) -> None:
    async with teacher.page("Ada") as hers, ben.page("Ben") as his:
        await hers.make_room("lesson-1")
        assert await ordered(teacher, "/class/announcement", "general", text=" Five minutes left. ") == (200, "")
        shown = await his.final()
        assert (shown["question"], shown["announcement"], shown["author"]["name"]) == (
            "Five minutes left.",
            True,
            "Ada",
        )
        assert (shown["reply"]["text"], shown["reply"]["buttons"], shown["private"]) == ("", [], False)
        await ordered(teacher, "/class/announcement", text="To all rooms")
        assert (await his.final())["question"] == "To all rooms"
        await his.send("enter", room="lesson-1")
        entered = await his.until("welcome")
        assert [one["question"] for one in entered["exchanges"]] == ["To all rooms"]
    # Another process that is started on the same database shows it, and a teacher can remove it.
    async with (
        make_bot() as later,
        WebPlatform(later, WebSection(port=0)).serve() as url,
        visitor(url) as one,
        one.page() as page,
    ):
        said = [(each["question"], each["announcement"]) for each in page.received[-1]["exchanges"]]
        assert said == [("Five minutes left.", True), ("To all rooms", True)]
    caller = Caller(User("ada", "Ada", is_moderator=True), Place("web", "general", "web"))
    async with ben.page("Ben") as his:
        assert await bot.moderation.remove(caller, str(shown["row"]))
        await his.until("gone", lambda message: message["id"] == shown["id"])
    entries = await bot.audit.find("web", "web", AuditFilter(kind=MODERATION))
    assert [entry.channel for entry in entries if entry.what == "announce"] == ["lesson-1", "general", "general"]


async def test_an_announcement_is_neither_empty_nor_long_nor_anybodys(teacher: Visitor, ben: Visitor) -> None:
    assert await ordered(teacher, "/class/announcement", text=" ") == (422, "Write what you want to say first.")
    sentence = "An announcement may have 1000 characters; this one has 1001."
    assert await ordered(teacher, "/class/announcement", text="x" * 1001) == (422, sentence)
    assert (await ordered(teacher, "/class/announcement", "nowhere", text="x"))[0] == 422
    assert await ordered(ben, "/class/announcement", text="x") == (403, "Only moderators can do that.")
    async with ben.page() as his:
        assert his.received[-1]["exchanges"] == []


async def test_a_transcript_has_what_everybody_could_read(bot: Bot, teacher: Visitor, ben: Visitor) -> None:
    async with ben.page("Ben") as his:
        answer = await his.ask("/ask What is a GAN?")
        await his.ask("/help")
        await ordered(teacher, "/class/announcement", text="Well done")
        await his.final()
    async with teacher.session.get(f"{teacher.url}/class/transcript?room=general&name=Ada") as response:
        text = await response.text()
        assert (response.status, response.content_type) == (200, "text/markdown")
        assert "general.md" in response.headers["Content-Disposition"]
    assert text.startswith("# general\n")
    assert "> /ask What is a GAN?" in text
    assert answer["reply"]["text"] in text
    assert "> Well done" in text
    assert text.index("What is a GAN?") < text.index("Well done")
    assert "/help" not in text
    async with ben.session.get(f"{ben.url}/class/transcript?room=general&locale=en") as response:
        assert (response.status, await response.json()) == (403, {"error": "Only moderators can do that."})
    entries = await bot.audit.find("web", "web", AuditFilter(kind=MODERATION))
    assert [(entry.actor_name, entry.channel) for entry in entries if entry.what == "transcript"] == [
        ("Ada", "general")
    ]
