"""What teachers allow: each rule holds at once for everybody else, in open pages, too, and in other processes."""

from collections.abc import Callable
from typing import Any

import pytest
from fakes.platforms.teachers_page import ordered, seen
from fakes.platforms.web_page import Page, Visitor

from bot.app import Bot
from bot.core.messages import User
from bot.settings.scopes import Change
from bot.settings.setting import Scope
from bot.storage.audit import SETTING, AuditFilter

SET = "/settings/data"
CHAT = Scope("web", "web")


async def said(page: Page, line: str) -> str:
    await page.say(line)
    told = await page.until("exchange", lambda one: one["mine"] and one["reply"]["final"])
    return str(told["reply"]["text"])


async def rules_of(page: Page, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    return (await page.until("offers", lambda message: holds(message["rules"])))["rules"]


async def test_a_pause_holds_for_all_but_teachers_until_it_ends(bot: Bot, teacher: Visitor, ben: Visitor) -> None:
    async with teacher.page("Ada") as hers, ben.page("Ben") as his:
        assert his.received[-1]["rules"] == {"paused_by": None, "read_only": False, "task": ""}
        await said(his, "/ask before")
        first = next(iter(his.exchanges.values()))
        assert await ordered(teacher, SET, name="access.paused", value="true") == (200, "")
        assert (await rules_of(his, lambda rules: rules["paused_by"]))["paused_by"] == "Ada"
        assert await said(his, "/ask hello") == "Ada has paused the chat. Wait until it goes on."
        await his.press(first, "Again")
        assert "Ada has paused the chat" in (await his.until("refused"))["text"]
        assert "paused" not in await said(hers, "/ask hello")
        assert "paused" not in await said(his, "/help")
        await his.press(first, "Delete")
        await his.until("gone", lambda message: message["id"] == first["id"])
        async with ben.page("Ben") as later:
            assert later.received[-1]["rules"]["paused_by"] == "Ada"
        assert (await seen(teacher))["rules"]["paused"]
        await ordered(teacher, SET, name="access.paused", value="false")
        await rules_of(his, lambda rules: rules["paused_by"] is None)
        assert "paused" not in await said(his, "/ask hello")
    entries = await bot.audit.find("web", "web", AuditFilter(kind=SETTING))
    assert [(entry.actor_name, entry.what, entry.after) for entry in entries if entry.what == "access.paused"] == [
        ("Ada", "access.paused", False),
        ("Ada", "access.paused", True),
    ]


async def test_what_another_process_has_set_reaches_open_pages(
    bot: Bot, ben: Visitor, make_bot: Callable[..., Bot]
) -> None:
    async with make_bot() as elsewhere, ben.page() as his:
        await elsewhere.settings.write([Change(CHAT, "access.paused", True)], User("ada", "Ada"))
        await bot.settings.refresh()
        assert (await rules_of(his, lambda rules: rules["paused_by"]))["paused_by"] == "Ada"
        assert await said(his, "/ask hello") == "Ada has paused the chat. Wait until it goes on."


async def test_a_room_can_be_for_reading_alone(bot: Bot, teacher: Visitor, ben: Visitor) -> None:
    async with ben.page("Ben") as his:
        assert await ordered(teacher, "/class/read-only", "general", on=True) == (200, "")
        await rules_of(his, lambda rules: rules["read_only"])
        assert await said(his, "/ask hello") == "Only moderators may use me in this channel."
        assert (await seen(teacher, "general"))["rules"]["read_only"]
        assert not (await seen(teacher))["rules"]["read_only"]
        await ordered(teacher, "/class/read-only", "general", on=False)
        await rules_of(his, lambda rules: not rules["read_only"])
    assert dict(bot.settings.scopes.values_at(CHAT)) == {}
    for room, sentence in (
        ("", "Choose a room: the whole chat can be paused."),
        ("nowhere", "There is no room “nowhere”."),
    ):
        assert await ordered(teacher, "/class/read-only", room, on=True) == (422, sentence)


async def test_a_closed_room_does_not_stand_in_the_way_of_others(bot: Bot, teacher: Visitor) -> None:
    async with teacher.page("Ada") as hers:
        await hers.make_room("lesson-1")
        assert await ordered(teacher, "/class/read-only", "lesson-1", on=True) == (200, "")
        await hers.send("close_room", room="lesson-1")
        await hers.until("taken")
    assert await ordered(teacher, "/class/read-only", "general", on=True) == (200, "")
    assert dict(bot.settings.scopes.values_at(CHAT)) == {"access.channels.denied": "general"}


async def test_one_command_alone_can_be_allowed_in_a_room(teacher: Visitor, ben: Visitor) -> None:
    listed = (await seen(teacher))["rules"]["commands"]
    assert [(one["plugin"], one["names"], one["on"]) for one in listed] == [
        ("ask", ["ask", "new"], True),
        ("imagine", ["imagine"], True),
        ("face", ["face"], True),
    ]
    async with ben.page("Ben") as his:
        await ordered(teacher, "/class/commands", "general", plugins=["face"])
        message = await his.until("offers", lambda message: "ask" not in [one["name"] for one in message["commands"]])
        assert {"face", "help"} <= {one["name"] for one in message["commands"]}
        assert await said(his, "/ask hello") == "/ask is switched off here."
        assert (await seen(teacher))["rules"]["commands"][0]["on"]
        await ordered(teacher, "/class/commands", "general", plugins=["ask", "imagine", "face", "help", "nothing"])
        await his.until("offers", lambda message: "ask" in [one["name"] for one in message["commands"]])


async def test_a_room_whose_rules_end_follows_the_chat_again(bot: Bot, teacher: Visitor, ben: Visitor) -> None:
    room = Scope("web", "web", "general")
    for value in ("true", "false"):
        await ordered(teacher, SET, "general", name="access.paused", value=value, follows=True)
    for plugins in (["face"], ["ask", "imagine", "face"]):
        await ordered(teacher, "/class/commands", "general", plugins=plugins)
    for value in ("1", "2"):
        await ordered(teacher, SET, "general", name="temperature.maximum", value=value, follows=True)
    assert bot.settings.scopes.values_at(room) == {}
    await ordered(teacher, SET, name="access.paused", value="true", follows=True)
    async with ben.page("Ben") as his:
        assert "has paused the chat" in await said(his, "/ask hello")


async def test_the_chat_tells_in_which_rooms_something_else_holds(teacher: Visitor) -> None:
    await ordered(teacher, SET, name="access.paused", value="true", follows=True)
    await ordered(teacher, SET, "general", name="access.paused", value="false", follows=True)
    assert (await seen(teacher))["rules"]["exceptions"] == {"access.paused": ["general"]}
    assert (await seen(teacher, "general"))["rules"]["exceptions"] == {}


async def test_a_preset_is_applied_and_taken_back(bot: Bot, teacher: Visitor) -> None:
    offered = {one["name"]: one for one in (await seen(teacher))["rules"]["presets"]}
    assert [one["title"] for one in offered.values()] == ["Classroom", "Exam", "Open community"]
    assert {"name", "about", "before", "after"} == offered["exam"]["changes"][0].keys()
    assert await ordered(teacher, "/class/preset", "general", name="exam") == (200, "")
    assert (await seen(teacher, "general"))["rules"]["applied"] == "exam"
    assert (await seen(teacher))["rules"]["applied"] == ""
    assert [one["on"] for one in (await seen(teacher, "general"))["rules"]["commands"]] == [False] * 3
    assert await ordered(teacher, "/class/preset", "general", name=None) == (200, "")
    assert all(one["on"] for one in (await seen(teacher, "general"))["rules"]["commands"])
    assert await ordered(teacher, "/class/preset", name="school") == (422, "There is no preset “school”.")


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("/class/read-only", {"on": True}),
        ("/class/commands", {"plugins": []}),
        ("/class/preset", {"name": "exam"}),
        ("/class/preset", {"name": None}),
    ],
)
async def test_others_change_nothing(bot: Bot, ben: Visitor, path: str, values: dict[str, Any]) -> None:
    assert await ordered(ben, path, "general", **values) == (403, "Only moderators can do that.")
    assert bot.settings.scopes.values_within(CHAT) == {}


async def test_what_is_no_order_is_refused(teacher: Visitor) -> None:
    assert (await ordered(teacher, "/class/commands", plugins="all"))[0] == 422
    assert (await ordered(teacher, "/class/preset", "x" * 65, name=None))[0] == 422
