"""What a teacher does in one process to the people whose pages are open in another one."""

import asyncio
import time

import pytest
from aiohttp import WSMsgType
from fakes.core.settings import WEB, put
from fakes.model_server.gateway import eventually
from fakes.platforms.teachers_page import ordered
from fakes.platforms.web_page import PATIENCE_SECONDS, Visitor, visitor

from bot.app import Bot
from bot.core.messages import User
from bot.platforms.web.access.teachers import WebModerators
from bot.platforms.web.chat.shared_people import PEOPLE
from bot.storage.process_events import ProcessEvents

Pair = tuple[tuple[Bot, str], tuple[Bot, str]]


@pytest.fixture
async def kim(pair: Pair, here: Visitor) -> Visitor:
    """A teacher in the first process, of whom the second one knows."""
    await here.sign_in(await WebModerators(pair[0][0].database).create_code(), "Kim")

    async def is_known() -> bool:
        async with here.session.get(f"{pair[1][1]}/people/data") as response:
            return response.status == 200

    await eventually(is_known)
    return here


async def listed(teacher: Visitor, kind: str) -> dict[str, str]:
    """Return the ids of those who are here, or of those who wait, by name."""
    async with teacher.session.get(f"{teacher.url}/people/data") as response:
        return {one["name"]: one["id"] for one in (await response.json())[kind]}


async def find(teacher: Visitor, name: str, kind: str = "people") -> str:
    """Wait until the teacher's list has somebody, and return their id."""

    async def is_listed() -> bool:
        return name in await listed(teacher, kind)

    await eventually(is_listed)
    return (await listed(teacher, kind))[name]


async def at_door(person: Visitor, state: str) -> None:
    """Wait until the page at the door is told this."""

    async def is_told() -> bool:
        return await person.state_at_door() == state

    await eventually(is_told)


async def test_newcomers_of_the_other_process_are_let_in_and_turned_away(pair: Pair, kim: Visitor) -> None:
    url = pair[1][1]
    async with visitor(url) as ben, visitor(url) as eve, visitor(url) as dan, kim.page("Kim") as hers, dan.page("Dan"):
        await find(kim, "Dan")
        await put(pair[0][0].settings, "access.knock", "true", WEB)
        await at_door(ben, "new")
        for person, name in ((ben, "Ben"), (eve, "Eve")):
            assert (await person.knock(name))[1]["state"] == "waiting"
        await hers.until("waiting", lambda one: one["count"] == 2)
        assert (await kim.act(do="let_in", ids=[await find(kim, "Ben", "waiting")]))[0] == 200
        await at_door(ben, "in")
        assert (await kim.act(do="turn_away", ids=[await find(kim, "Eve", "waiting")]))[0] == 200
        await at_door(eve, "turned away")
        # Whoever was here when knocking began need not knock.
        await at_door(dan, "in")


@pytest.mark.parametrize("alone", [False, True])
async def test_a_visitor_of_the_other_process_is_renamed_and_told_why_timed_out_and_sent_out(
    kim: Visitor, there: Visitor, alone: bool
) -> None:
    async with kim.page("Kim"), there.page("Ben") as his:
        if alone:
            await his.send("enter", room=his.received[-1]["private"])
            await his.until("welcome")
        asked = await his.ask("/ask hello")
        assert (await kim.act(do="rename", id=await find(kim, "Ben"), name="Benjamin"))[0] == 200
        unseen = {"name", "why", "author"}
        while unseen:
            match await his.read():
                case {"type": "you", "you": {"name": "Benjamin"}}:
                    unseen.discard("name")
                case {"type": "exchange", "reply": {"text": text}} if "has given you the name “Benjamin”" in text:
                    unseen.discard("why")
                case {"type": "exchange", "id": number, "author": {"name": "Benjamin"}} if number == asked["id"]:
                    unseen.discard("author")
        known = await find(kim, "Benjamin")
        assert (await kim.act(do="time_out", id=known, seconds=600))[0] == 200
        await his.say("/ask hello again")
        await his.until("exchange", lambda one: "have timed you out" in one["reply"]["text"])
        assert (await kim.act(do="end", id=known))[0] == 200
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await his.socket.receive()).type is not WSMsgType.CLOSE:
                pass


async def test_newcomers_who_say_the_same_name_at_once_in_two_processes_are_both_shown(
    pair: Pair, kim: Visitor, redis: str
) -> None:
    await put(pair[0][0].settings, "access.knock", "true", WEB)
    about = {"since": time.time(), "address": "192.0.2.7", "agent": "", "room": "", "locale": "en"}
    other = {"id": "other", "name": "Ada", "is_named": True, **about}
    async with kim.page("Kim") as hers, visitor(kim.url) as ada, ProcessEvents(redis, "third") as events:
        await at_door(ada, "new")
        assert (await ada.knock("Ada"))[1]["state"] == "waiting"
        events.publish(PEOPLE, {"people": [], "waiting": [other], "turned_away": {}})
        await hers.until("waiting", lambda one: one["count"] == 2)
        assert set(await listed(kim, "waiting")) == {"Ada", "Ada 2"}


async def test_whoever_has_just_gone_elsewhere_is_told_there_why_they_are_renamed(kim: Visitor, there: Visitor) -> None:
    async with there.page("Ben") as his:
        known = await find(kim, "Ben")
        await his.send("enter", room=his.received[-1]["private"])
        await his.until("welcome")
        assert (await kim.act(do="rename", id=known, name="Benjamin"))[0] == 200
        await his.until("exchange", lambda one: "has given you the name “Benjamin”" in one["reply"]["text"])


async def test_a_sign_in_that_ends_takes_the_rights_in_the_other_process(pair: Pair, kim: Visitor) -> None:
    url = pair[1][1]
    async with kim.page("Kim") as hers, visitor(url) as lee:
        await lee.sign_in(await WebModerators(pair[1][0].database).create_code(), "Lee")
        async with lee.page("Lee") as theirs:
            assert theirs.received[-1]["you"]["moderator"]
            await hers.until("exchange", lambda one: "has signed in as a moderator" in one["reply"]["text"])
            about = {"json": {"id": None}, "headers": {"Origin": kim.url}}
            async with kim.session.post(f"{kim.url}/settings/moderators?name=Kim&locale=en", **about) as response:
                assert response.status == 200
            await theirs.until("welcome", lambda one: not one["you"]["moderator"])


async def test_rules_and_announcements_are_seen_in_the_other_process(pair: Pair, kim: Visitor, there: Visitor) -> None:
    settings, actor = pair[0][0].settings, User("kim", "Kim", is_moderator=True)
    async with kim.page("Kim"), there.page("Ben") as his:
        assert await ordered(kim, "/class/announcement", "general", text="Hands up!") == (200, "")
        assert (await his.until("exchange", lambda one: one["announcement"]))["question"] == "Hands up!"
        await put(settings, "access.paused", "true", WEB, actor)
        await his.until("offers", lambda one: one["rules"]["paused_by"] == "Kim")
        await put(settings, "access.paused", None, WEB, actor)
        await his.until("offers", lambda one: one["rules"]["paused_by"] is None)
        assert await ordered(kim, "/class/preset", name="exam") == (200, "")
        await his.until("offers", lambda one: "imagine" not in [command["name"] for command in one["commands"]])
