"""Newcomers who knock, and people whose visit was ended: over real sockets, and as the waiting room alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSServerHandshakeError
from fakes.core.clock import ManualClock
from fakes.core.settings import WEB, put
from fakes.platforms.teachers_page import become_teacher
from fakes.platforms.web_page import PATIENCE_SECONDS, Visitor, visitor
from pydantic import SecretStr

from bot.app import Bot
from bot.config.sections import WebSection
from bot.core.errors import DatabaseUnavailable, UserError
from bot.platforms.web import WebPlatform
from bot.platforms.web.access import known
from bot.platforms.web.access import waiting as module
from bot.platforms.web.access.limits import Capacity
from bot.platforms.web.access.waiting import STALE_SECONDS, TURNED_AWAY_SECONDS, WaitingRoom
from bot.storage.audit import MODERATION, AuditFilter

CODE = "open sesame!"
READABLE = ("/dial", "/people", "/people/data", "/settings/data", "/statistics", "/read/explain", "/files/x", "/socket")


@asynccontextmanager
async def away() -> AsyncIterator[None]:
    """A session of a database that cannot be used."""
    raise DatabaseUnavailable
    yield


async def status_of(person: Visitor, path: str) -> int:
    async with person.session.get(person.url + path, allow_redirects=False) as response:
        return int(response.status)


@pytest.fixture
async def teacher(bot: Bot, ann: Visitor) -> Visitor:
    """A moderator called Kim, of a chat at whose door newcomers must knock."""
    await put(bot.settings, "access.knock", "true", WEB)
    await become_teacher(bot, ann, "Kim")
    return ann


async def test_a_newcomer_reads_nothing_until_they_are_let_in(bot: Bot, teacher: Visitor, ben: Visitor) -> None:
    async with teacher.page("Kim") as hers:
        assert (await ben.state_at_door(), await status_of(ben, "/")) == ("new", 303)
        assert await ben.knock("Kim") == (
            422,
            {
                "error": "Somebody here is called “Kim”, and names that look alike mix people up. “Kim 2” is free.",
            },
        )
        assert (await ben.knock("Ben"))[1]["state"] == "waiting"
        told = await hers.until("waiting", lambda one: one["count"] == 1)
        assert told["first"]["name"] == "Ben"
        for path in READABLE:
            assert await status_of(ben, path) in (303, 403), path
        with pytest.raises(WSServerHandshakeError) as refused:
            await ben.session.ws_connect(f"{ben.url}/socket", origin=ben.url)
        assert refused.value.status == 403
        assert (await ben.act(do="let_in", ids=[told["first"]["id"]]))[0] == 403
        status, answer = await teacher.act(do="let_in", ids=[told["first"]["id"]])
        assert (status, answer["waiting"]) == (200, [])
        await hers.until("waiting", lambda one: one["count"] == 0)
    assert await ben.state_at_door() == "in"
    async with ben.page("Ben") as his:
        assert his.received[0]["you"]["name"] == "Ben"
    assert (await teacher.act(do="let_in", ids=[told["first"]["id"]]))[0] == 422
    (entry,) = await bot.audit.find("web", "web", AuditFilter(kind=MODERATION, what="let in"))
    assert (entry.actor_name, entry.subject_name) == ("Kim", "Ben")


async def test_a_restart_keeps_who_was_let_in_and_not_who_waits(bot: Bot) -> None:
    await put(bot.settings, "access.knock", "true", WEB)
    async with WebPlatform(bot, WebSection(port=0)).serve() as url, visitor(url) as ann, visitor(url) as ben:
        await become_teacher(bot, ann, "Kim")
        async with ann.page("Kim") as hers:
            await ben.knock("Ben")
            told = await hers.until("waiting", lambda one: one["count"] == 1)
            await ann.act(do="let_in", ids=[told["first"]["id"]])
        async with visitor(url) as eve:
            await eve.knock("Eve")
            jars = [one.session.cookie_jar for one in (ben, eve)]
            cookies = [{cookie.key: cookie.value for cookie in jar} for jar in jars]
    async with WebPlatform(bot, WebSection(port=0)).serve() as url, visitor(url) as ben, visitor(url) as eve:
        for person, kept in zip((ben, eve), cookies, strict=True):
            person.session.cookie_jar.update_cookies(kept)
        assert [await ben.state_at_door(), await eve.state_at_door()] == ["in", "new"]


async def test_whoever_is_told_not_now_cannot_knock_again_at_once(bot: Bot, teacher: Visitor, ben: Visitor) -> None:
    async with teacher.page("Kim") as hers:
        await ben.knock("Ben")
        told = await hers.until("waiting", lambda one: one["count"] == 1)
        assert (await ben.act(do="turn_away", ids=[told["first"]["id"]]))[0] == 403
        assert (await teacher.act(do="turn_away", ids=[told["first"]["id"]]))[0] == 200
    assert await ben.state_at_door() == "turned away"
    assert await ben.knock("Ben") == (422, {"error": "Not now. You can knock again in 5 minutes."})


async def test_whoever_is_here_when_knocking_begins_need_not_knock(bot: Bot, ann: Visitor, ben: Visitor) -> None:
    async with ann.page("Ann") as hers:
        await put(bot.settings, "access.knock", "true", WEB)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await ann.state_at_door() != "in":
                # The bot looks every few seconds, and answers a page only so many times in that.
                await hers.send("ping")
                await hers.until("pong")
                await asyncio.sleep(0.2)
        assert await ben.state_at_door() == "new"


async def test_an_ended_visit_closes_the_page_and_needs_the_join_code_again(bot: Bot) -> None:
    section = WebSection(port=0, join_code=SecretStr(CODE))
    async with WebPlatform(bot, section).serve() as url, visitor(url) as ann, visitor(url) as ben:
        await become_teacher(bot, ann, "Kim")
        await join(ben)
        async with ben.page("Ben") as his:
            number = his.received[0]["you"]["id"]
            assert (await ben.act(do="end", id=number))[0] == 403
            assert (await ann.act(do="end", id=number))[0] == 200
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not his.socket.closed:
                    await his.socket.receive()
        assert (await status_of(ben, "/socket"), await ben.state_at_door()) == (403, "code")
        assert (await ben.knock("Ben"))[1]["state"] == "code"
        async with ben.session.get(f"{url}/join") as response:
            assert "A moderator has ended your visit." in await response.text()
        await join(ben)
        async with ben.page("Ben") as his:
            assert his.received[0]["you"]["name"] == "Ben"
    (entry,) = await bot.audit.find("web", "web", AuditFilter(kind=MODERATION, what="end visit"))
    assert (entry.actor_name, entry.subject_name) == ("Kim", "Ben")


async def join(person: Visitor) -> None:
    about = {"data": {"code": CODE}, "headers": {"Origin": person.url}, "allow_redirects": False}
    async with person.session.post(f"{person.url}/join", **about) as response:
        assert response.status == 303


async def test_whoever_was_sent_out_knocks_again_where_newcomers_must_and_else_says_their_name(
    bot: Bot, teacher: Visitor, ben: Visitor
) -> None:
    async with teacher.page("Kim") as hers:
        await ben.knock("Ben")
        number = (await hers.until("waiting", lambda one: one["count"] == 1))["first"]["id"]
        await teacher.act(do="let_in", ids=[number])
        async with ben.page("Ben"):
            await teacher.act(do="end", id=number)
        assert await ben.state_at_door() == "new"
        assert (await ben.knock("Ben"))[1]["state"] == "waiting"
        await teacher.act(do="let_in", ids=[number])
        await teacher.act(do="end", id=number)
        await put(bot.settings, "access.knock", "false", WEB)
        assert (await ben.knock("Ben"))[1]["state"] == "in"


def test_only_so_many_wait_at_an_address_and_in_all() -> None:
    room = WaitingRoom(Capacity(3, 2, 1), ManualClock())
    for number, address in enumerate(("a", "a", "")):
        room.check(str(number), address)
        room.knock(str(number), address)
    room.check("0", "a")
    for address in ("a", "b"):
        with pytest.raises(UserError, match="Too many people are waiting"):
            room.check("3", address)
    room.remove(["2"])
    room.check("3", "b")
    with pytest.raises(UserError, match="Too many people are waiting"):
        room.check("3", "a")


def test_whoever_closes_the_page_waits_no_longer_and_who_was_turned_away_may_knock_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_TURNED_AWAY", 2)
    clock = ManualClock()
    room = WaitingRoom(Capacity(9, 9, 1), clock)
    for one in "abcd":
        room.knock(one, "")
    clock.now += STALE_SECONDS - 1
    room.note("a")
    clock.now += 2
    assert room.drop_stale() == ["b", "c", "d"]
    assert [one.id for one in room.waiting] == ["a"]
    room.turn_away(["a"])
    assert (room.waiting, room.minutes_turned_away("a")) == ((), 5)
    room.turn_away(["b", "c"])
    assert [room.minutes_turned_away(one) for one in "abc"] == [0, 5, 5]
    clock.now += TURNED_AWAY_SECONDS
    room.check("c", "")


async def test_whoever_was_let_in_reads_the_chat_while_nothing_can_be_stored(
    bot: Bot, teacher: Visitor, ben: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with teacher.page("Kim") as hers:
        await ben.knock("Ben")
        told = await hers.until("waiting", lambda one: one["count"] == 1)
        await teacher.act(do="let_in", ids=[told["first"]["id"]])
    # Every visit is the first one of its day.
    monkeypatch.setattr(known, "DAY_SECONDS", -1)
    for name in ("reading", "writing"):
        monkeypatch.setattr(bot.database, name, away)
    async with ben.page("Ben") as his:
        assert his.received[0]["room"] == "general"
    answer = await teacher.get("/statistics/data?days=7&locale=de")
    assert (answer.status, "Meine Datenbank" in answer.data["error"]) == (503, True)
