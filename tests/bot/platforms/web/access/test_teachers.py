"""Moderators of the web chat: how visitors become moderators, and what they may do."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from fakes.core.settings import WEB, put
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import bot_with_plugins
from fakes.platforms.teachers_page import become_teacher
from fakes.platforms.web_page import Page, Visitor, visitor
from sqlalchemy import text

from bot.app import Bot
from bot.config.sections import WebSection
from bot.core.errors import UserError
from bot.core.messages import User
from bot.moderation import log_channel
from bot.platforms.web import WebPlatform
from bot.platforms.web.access import teachers
from bot.platforms.web.access.teachers import LINK_SECONDS, STORE_SECONDS, UNUSED_SECONDS, WebModerators
from bot.storage.audit import MODERATION, AuditFilter

ANN, BEN = User("ann", "Ann"), User("ben", "Ben")


async def test_the_teacher_link_is_printed_and_not_logged(bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    announced: asyncio.Queue[str] = asyncio.Queue()
    with caplog.at_level(logging.DEBUG):
        running = asyncio.create_task(WebPlatform(bot, WebSection(port=0), announce=announced.put_nowait).run())
        line = await announced.get()
        address, code = line.split(": ", 1)[1].split("/teacher#")
        async with visitor(address) as ann:
            assert await ann.sign_in(code) == 303
            async with ann.page() as page:
                assert page.received[0]["you"]["moderator"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert len(code) >= 32
    assert code not in caplog.text


async def test_a_teachers_code_works_once(bot: Bot, ann: Visitor, ben: Visitor) -> None:
    code = await WebModerators(bot.database).create_code()
    # Opening the link does not use it up.
    async with ann.session.get(f"{ann.url}/teacher?code={code}") as response:
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-store")
    assert await ann.sign_in(f" {code} ") == 303
    assert await ben.sign_in(code) == 403
    assert await ben.sign_in("guess") == 403
    async with ben.page() as page:
        assert not page.received[0]["you"]["moderator"]


async def test_a_code_that_many_use_at_once_signs_one_of_them_in(bot: Bot) -> None:
    instances = [WebModerators(bot.database) for _ in range(8)]
    code = await instances[0].create_code()
    outcomes = await asyncio.gather(
        *(moderators.sign_in(code, User(f"user {number}", "Ann")) for number, moderators in enumerate(instances)),
        return_exceptions=True,
    )
    assert [type(error) for error in outcomes if error is not None] == [UserError] * 7


async def test_a_teachers_code_expires(bot: Bot) -> None:
    now = 1000.0
    moderators = WebModerators(bot.database, clock=lambda: now)
    code, other = await moderators.create_code(), await moderators.create_code()
    now += LINK_SECONDS - 1
    await moderators.sign_in(code, ANN)
    now += 2
    with pytest.raises(UserError, match="was used already or is too old. `tempera teacher-link` prints a new one"):
        await moderators.sign_in(other, BEN)
    assert "ann" in moderators
    assert "ben" not in moderators


async def test_a_form_that_cannot_be_read_does_not_count_as_a_try(bot: Bot, ann: Visitor) -> None:
    assert [await ann.sign_in("x" * 20_000) for _ in range(10)] == [413] * 10
    await become_teacher(bot, ann)


async def test_moderators_have_their_commands_until_they_sign_out(models: FakeModels, tmp_path: Path) -> None:
    bot = bot_with_plugins(models, tmp_path, ("help", "plugins"), default_command="help")
    async with bot, WebPlatform(bot, WebSection(port=0)).serve() as url, visitor(url) as one:
        await become_teacher(bot, one)
        async with one.page() as page:
            assert "plugins list" in {command["name"] for command in page.received[0]["commands"]}
            await page.send("name", name="Ann")
            assert (await page.until("you"))["you"]["moderator"]
            assert not (await page.ask("/plugins list"))["reply"]["error"]
            await page.send("sign_out")
            after = await page.until("welcome")
            assert "plugins list" not in {command["name"] for command in after["commands"]}
            assert (await page.ask("/plugins list"))["reply"]["error"]


async def signed_in(moderators: WebModerators, *people: User) -> None:
    for person in people:
        await moderators.sign_in(await moderators.create_code(), person)


async def recorded(bot: Bot) -> list[tuple[str, str, str]]:
    """What the audit says of sign-ins: who did what, to whom."""
    entries = await bot.audit.find("web", "web", AuditFilter(kind=MODERATION, what="sign"))
    return [(entry.actor_name, entry.what, entry.subject_name) for entry in reversed(entries)]


async def test_a_sign_in_expires_unless_it_is_used(bot: Bot) -> None:
    now = 1000.0
    moderators = WebModerators(bot.database, clock=lambda: now)
    await signed_in(moderators, ANN, BEN)
    now += UNUSED_SECONDS - 1
    moderators.note_use(BEN)
    await moderators.refresh()
    now += 1
    assert ("ann" in moderators, "ben" in moderators) == (False, True)
    await moderators.refresh()
    assert [one.id for one in moderators.signed_in] == ["ben"]
    assert await recorded(bot) == [("Ann", "sign in", ""), ("Ben", "sign in", ""), ("Ann", "sign in expired", "")]
    moderators.note_use(ANN)
    await moderators.refresh()
    assert "ann" not in moderators
    await moderators.refresh()
    assert len(await recorded(bot)) == 3


async def test_a_use_in_one_process_prolongs_the_sign_in_in_another(bot: Bot) -> None:
    now = 1000.0
    one, other = (WebModerators(bot.database, clock=lambda: now) for _ in range(2))
    await signed_in(one, ANN)
    await other.refresh()
    now += STORE_SECONDS
    one.note_use(User("ann", "Anna"))
    await one.refresh()
    await other.refresh()
    assert [(known.name, known.since, known.used) for known in other.signed_in] == [("Anna", 1000.0, now)]


async def test_a_use_does_not_bring_back_what_another_process_has_ended(bot: Bot) -> None:
    now = 1000.0
    one, other = (WebModerators(bot.database, clock=lambda: now) for _ in range(2))
    await signed_in(one, ANN)
    await other.refresh()
    await other.sign_out(ANN)
    now += STORE_SECONDS
    one.note_use(ANN)
    await one.refresh()
    await other.refresh()
    assert ("ann" in one, "ann" in other) == (False, False)
    assert await recorded(bot) == [("Ann", "sign in", ""), ("Ann", "sign out", "")]


async def test_a_wrong_code_does_not_wait_for_writers(bot: Bot, ann: Visitor) -> None:
    async with bot.database.writing() as session:
        await session.execute(text("SELECT 1"))
        assert await ann.sign_in("guess") == 403


async def test_an_open_page_loses_its_rights_when_they_expire(
    bot: Bot, ann: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await become_teacher(bot, ann)
    async with ann.page() as page:
        assert await allowed(page)
        # Time cannot pass in a running chat, so its sign-ins are made to last for none.
        monkeypatch.setattr(teachers, "UNUSED_SECONDS", 0.0)
        assert not await allowed(page)
        assert not (await page.until("welcome"))["you"]["moderator"]


async def test_the_other_moderators_are_told_of_a_sign_in(bot: Bot, ann: Visitor, ben: Visitor) -> None:
    moderators = WebModerators(bot.database)
    assert await ann.sign_in(await moderators.create_code()) == 303
    async with ann.page() as page, ben.page() as other:
        assert page.exchanges == {}
        assert await ben.sign_in(await moderators.create_code(), name="Ben *B*") == 303
        told = await page.until("exchange")
        assert (told["for_moderators"], told["reply"]["text"]) == (
            True,
            (
                "**Ben ∗B∗** has signed in as a moderator. "
                "On the page Settings, moderators see all sign-ins, and can end them."
            ),
        )
        # The page that was open before has the rights, too.
        assert (await other.until("welcome"))["you"]["moderator"]
        assert await allowed(other)
    assert [entry[1:] for entry in await recorded(bot)] == [("sign in", "")] * 2


async def test_where_there_is_a_log_channel_a_sign_in_is_told_there_alone(
    bot: Bot, ann: Visitor, ben: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_channel, "ROUND_SECONDS", 0.02)
    moderators = WebModerators(bot.database)
    async with ann.page() as page:
        await ann.sign_in(await moderators.create_code())
        await put(bot.settings, "audit.channel", "general", WEB)
        assert await ben.sign_in(await moderators.create_code(), name="Ben") == 303
        await page.until("exchange", lambda message: "🛡️ **Ben**: `sign in`" in message["reply"]["text"])
        assert not [message for message in page.received if "has signed in" in str(message)]


async def allowed(page: Page) -> bool:
    """Return whether the page may do what only moderators may."""
    ref = await page.send("close_room", room="general")
    told = await page.until("refused", lambda message: message["ref"] == ref)
    return told["text"] == "The room “general” is always there."


async def test_a_teacher_whose_data_is_deleted_is_no_longer_a_moderator(models: FakeModels, tmp_path: Path) -> None:
    bot = bot_with_plugins(models, tmp_path, ("help", "privacy"), default_command="help")
    async with bot, WebPlatform(bot, WebSection(port=0)).serve() as url, visitor(url) as one, visitor(url) as other:
        for teacher in (one, other):
            await become_teacher(bot, teacher)
        async with one.page() as page, other.page() as hers:
            assert await allowed(page)
            await page.press(await page.ask("/privacy delete"), "Delete all of it")
            # The page is welcomed anew without its rights, and the answer may be part of that.
            while not any("Everything that I had" in one["reply"]["text"] for one in page.exchanges.values()):
                await page.read()
            assert not await allowed(page)
            assert await allowed(hers)


async def test_rights_given_and_taken_by_a_setting_hold_in_an_open_page(bot: Bot, ann: Visitor) -> None:
    async with ann.page(name="Ann") as page:
        assert not await allowed(page)
        for users in (page.received[0]["you"]["id"], ""):
            await put(bot.settings, "moderators.users", users, WEB)
            assert await allowed(page) is bool(users)
        assert (await page.ask("/ask hello"))["author"]["name"] == "Ann"


async def test_moderators_have_the_buttons_under_others_answers_while_they_are_moderators(
    bot: Bot, ann: Visitor, ben: Visitor, models: FakeModels
) -> None:
    await become_teacher(bot, ann)
    async with ann.page() as hers, ann.page() as elsewhere, ben.page() as his:
        models.gate.clear()
        await his.say("/ask hello")
        growing = await hers.until("exchange", lambda message: message["reply"]["text"] == "Paris")
        await hers.press(growing, "Stop")
        stopped = await hers.final()
        assert (stopped["mine"], stopped["reply"]["status"]) == (False, "Stopped.")
        assert labels(stopped) == ["Again", "Cooler", "Warmer", "Edit", "Delete", "👍", "👎"]
        models.gate.set()
        await hers.press(stopped, "Delete")
        await his.until("gone", lambda message: message["id"] == stopped["id"])
        await elsewhere.send("sign_out")
        await elsewhere.until("welcome", lambda message: not message["you"]["moderator"])
        assert not await allowed(hers)
        await his.say("/ask hello again")
        assert labels(await hers.final()) == ["👍", "👎"]


def labels(exchange: dict[str, Any]) -> list[str]:
    return [button["label"] for button in exchange["reply"]["buttons"]]
