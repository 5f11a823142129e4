"""The private place of each visitor, “Just me”: who gets in, what it remembers, and what teachers may read there."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fakes.core.settings import WEB, put
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import bot_with_plugins
from fakes.platforms.teachers_page import become_teacher
from fakes.platforms.web_page import Page, Visitor, visitor

from bot.app import Bot
from bot.config.sections import WebSection
from bot.core.messages import User
from bot.platforms.web import WebPlatform
from bot.platforms.web.chat import private_places
from bot.platforms.web.chat.files import Files
from bot.platforms.web.chat.private_places import PrivatePlaces
from bot.platforms.web.chat.room import Exchange, Room, private_name
from bot.settings.builtin import TEACHERS_READ
from bot.storage.audit import MODERATION, AuditFilter

ALONE = "Nobody else can read what you write here, except whoever runs the computer that Tempera is on."
READ_BY_TEACHERS = "Teachers can read along here, and so can whoever runs the computer that Tempera is on."


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    async with bot_with_plugins(models, tmp_path, ("ask", "imagine", "config", "privacy")) as running:
        yield running


async def asked(page: Page, line: str) -> dict[str, Any]:
    ref = await page.say(line)
    await page.until("taken", lambda told: told["ref"] == ref)
    # A line is taken once it is stored, and an answer that is there at once may come before.
    known = [one for one in page.exchanges.values() if one["question"] == line and one["reply"]["final"]]
    return (
        known[-1]
        if known
        else await page.until("exchange", lambda told: told["question"] == line and told["reply"]["final"])
    )


async def fetched(one: Visitor, path: str) -> tuple[int, Any]:
    async with one.session.get(f"{one.url}{path}?name=Ben") as response:
        return response.status, await response.json() if response.content_type == "application/json" else None


async def test_who_comes_first_and_alone_begins_by_themselves_and_others_in_the_room(ann: Visitor, url: str) -> None:
    async with ann.page("Ann", room="") as hers, visitor(url) as ben, ben.page("Ben", room="") as his:
        first, second = hers.received[0], his.received[0]
        assert first["room"] == first["private"] == f"~{first['you']['id']}"
        assert (first["about"], first["notice"], first["rooms"]) == (ALONE, "", ["general"])
        assert (second["room"], second["about"], second["notice"]) == ("general", "", "")
    async with ann.page("Ann", room="") as again:
        assert again.received[0]["room"] == "general"


async def test_nobody_else_gets_in(bot: Bot, ann: Visitor, ben: Visitor, models: FakeModels) -> None:
    await become_teacher(bot, ben, "Ben")
    async with ann.page("Ann", room="") as hers, ben.page("Ben") as his:
        place = hers.received[0]["private"]
        answer = await asked(hers, "/ask The answer is a secret")
        drawn = await asked(hers, "/imagine count:1 a cat")
        sentence = "That is the private place of somebody else, and only they can be there. You are in “general” now."
        await his.send("enter", room=place)
        welcome = await his.until("welcome")
        assert (welcome["room"], welcome["exchanges"], welcome["notice"]) == ("general", [], sentence)
        async with ben.page("Ben", room=place) as other:
            assert (other.received[0]["room"], other.received[0]["notice"]) == ("general", sentence)

        gone = "This has expired: it is no longer stored."
        again = next(button["id"] for button in answer["reply"]["buttons"] if button["label"] == "Again")
        assert await his.refused("press", exchange=answer["id"], id=again) == "This button has expired."
        for name, fields in (("edit", {"prompt": "And?"}), ("fork", {"at": "0", "choice": "0"}), ("again", {})):
            about = {"id": f"t:{name}:{answer['row']}", "fields": fields, "files": {}}
            assert await his.refused("submit", **about) == gone
        assert await his.refused("tokens", exchange=answer["id"]) == gone
        for where in ("thread", "parent"):
            told = await his.refused("say", text="/ask What is it?", **{where: answer["row"]})
            assert told == "What you reply to is no longer here."

        picture = drawn["reply"]["pictures"][0]["url"]
        assert [(await fetched(one, picture))[0] for one in (ann, ben)] == [200, 404]
        assert (await fetched(ben, "/private/data"))[0] == 403
        assert (await fetched(ben, f"/private/data/{place.removeprefix('~')}"))[0] == 403
        # Not even that something happens there.
        await his.send("ping")
        await his.until("pong")
        assert {one["type"] for one in his.received} <= {"welcome", "refused", "pong", "rooms", "offers", "waiting"}


async def test_it_is_a_conversation_that_survives_a_restart_and_is_deleted_like_others(
    bot: Bot, models: FakeModels
) -> None:
    def contents() -> list[str]:
        return [turn["content"] for turn in models.requests[-1]["messages"] if turn["role"] == "user"]

    async with (
        WebPlatform(bot, WebSection(port=0)).serve() as url,
        visitor(url) as ann,
        ann.page("Ann", room="") as hers,
        visitor(url) as ben,
        ben.page("Ben") as his,
    ):
        place = hers.received[0]["private"]
        await asked(hers, "/ask one")
        await asked(hers, "/ask two")
        assert contents() == ["one", "two"]
        await asked(hers, "/new")
        await asked(hers, "/ask three")
        assert contents() == ["three"]
        await asked(his, "/ask in general")
        assert contents() == ["in general"]
        cookies = {cookie.key: cookie.value for cookie in ann.session.cookie_jar}

    async with WebPlatform(bot, WebSection(port=0)).serve() as url, visitor(url) as back:
        back.session.cookie_jar.update_cookies(cookies)
        async with back.page("Ann", room=place) as page:
            assert page.received[0]["room"] == place
            shown = [one["question"] for one in page.received[0]["exchanges"]]
            assert shown == ["/ask one", "/ask two", "/new", "/ask three"]
            (pressed,) = (await asked(page, "/privacy delete"))["reply"]["buttons"][:1]
            await page.send("press", exchange=max(page.exchanges), id=pressed["id"])
            for _ in shown:
                await page.until("gone")
            assert "/ask one" not in [one["question"] for one in page.exchanges.values()]


async def test_teachers_read_only_what_was_asked_after_it_was_said(
    bot: Bot, ann: Visitor, ben: Visitor, models: FakeModels
) -> None:
    await become_teacher(bot, ben, "Ben")
    async with ann.page("Ann", room="") as hers, ben.page("Ben") as his:
        await asked(hers, "/ask before")
        await put(bot.settings, TEACHERS_READ, True, WEB)
        assert (await hers.until("offers"))["about"] == READ_BY_TEACHERS
        assert {"url": "/private", "label": "Private places"} in (await his.until("offers"))["links"]
        assert await fetched(ben, "/private/data") == (200, {"places": []})
        await asked(hers, "/ask after")
        drawn = await asked(hers, "/imagine count:1 a cat")
        await asked(hers, "/privacy export")
        (place,) = (await fetched(ben, "/private/data"))[1]["places"]
        assert (place["id"], place["name"], place["answers"]) == (hers.received[0]["you"]["id"], "Ann", 2)
        read = (await fetched(ben, f"/private/data/{place['id']}"))[1]["exchanges"]
        assert [one["question"] for one in read] == ["/ask after", "/imagine count:1 a cat"]
        assert [one["reply"]["buttons"] for one in read] == [[], []]
        assert (await fetched(ben, drawn["reply"]["pictures"][0]["url"]))[0] == 200
        (entry,) = await bot.audit.find("web", "web", AuditFilter(kind=MODERATION, what="read along"))
        assert (entry.actor_name, entry.subject_name) == ("Ben", "Ann")
        assert (await fetched(ann, "/private/data"))[0] == 403

        await put(bot.settings, TEACHERS_READ, None, WEB)
        assert (await hers.until("offers"))["about"] == ALONE
        assert (await fetched(ben, "/private/data"))[0] == 403
        assert (await fetched(ben, drawn["reply"]["pictures"][0]["url"]))[0] == 404


async def test_what_is_not_used_leaves_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_places, "MAX_KEPT", 2)
    files = Files()
    places = PrivatePlaces(lambda owner: Room(files, private_name(owner), owner=owner))
    restored: list[str] = []

    async def restore(room: Room) -> None:
        restored.append(room.owner)

    busy = await places.open("ann", restore)
    busy.open_exchange(Exchange(User("ann", "Ann"), "still being answered", private=False))
    for owner in ("ben", "cleo", "ann", "cleo", "ben"):
        await places.open(owner, restore)
    assert restored == ["ann", "ben", "cleo", "ben"]
    assert await places.open("ann", restore) is busy
