"""The audit also records what is done in the web chat without commands: in rooms and on the settings page."""

import pytest
from fakes.platforms.web_page import Visitor

from bot.app import Bot
from bot.platforms.web.access.teachers import WebModerators
from bot.storage.audit import AuditRow


@pytest.fixture
async def teacher(bot: Bot, ann: Visitor) -> Visitor:
    await ann.sign_in(await WebModerators(bot.database).create_code())
    return ann


async def noted(bot: Bot) -> list[AuditRow]:
    return list(await bot.audit.find("web", "web"))


async def test_a_refused_room_or_setting_is_recorded(bot: Bot, ben: Visitor) -> None:
    async with ben.page(name="Ben") as page:
        await page.send("make_room", name="mine")
        await page.until("refused")
    change = {"room": "", "name": "ask.temperature.maximum", "value": "1"}
    address = f"{ben.url}/settings/data?name=Ben&locale=en"
    async with ben.session.post(address, json=change, headers={"Origin": ben.url}) as response:
        assert response.status == 403
    found = [(row.kind, row.what, row.actor_name, row.reason) for row in await noted(bot)]
    assert found == [("refusal", "settings", "Ben", "moderators"), ("refusal", "rooms", "Ben", "moderators")]


async def test_invalid_input_is_not_recorded_as_a_refusal(bot: Bot, teacher: Visitor) -> None:
    async with teacher.page() as page:
        await page.send("make_room", name="!!")
        await page.until("refused")
    change = {"room": "", "name": "ask.temperature.maximum", "value": "9"}
    address = f"{teacher.url}/settings/data?name=Ada&locale=en"
    async with teacher.session.post(address, json=change, headers={"Origin": teacher.url}) as response:
        assert response.status == 422
    assert [row.what for row in await noted(bot)] == ["sign in"]


async def test_opening_and_closing_rooms_is_recorded(bot: Bot, teacher: Visitor) -> None:
    async with teacher.page(name="Ada") as page:
        for kind, about in (("make_room", {"name": "Lesson 1"}), ("close_room", {"room": "lesson-1"})):
            ref = await page.send(kind, **about)
            await page.until("taken", lambda message, ref=ref: message["ref"] == ref)
    found = [(row.kind, row.what, row.channel, row.actor_name) for row in await noted(bot)]
    assert found == [
        ("moderation", "close room", "lesson-1", "Ada"),
        ("moderation", "open room", "lesson-1", "Ada"),
        ("moderation", "sign in", "", found[-1][3]),
    ]
