"""The teachers' start page: who may see it, and the way in that it shows to others."""

import pytest
from fakes.platforms.browser import MARKS, opened
from fakes.platforms.teachers_page import become_teacher
from fakes.platforms.web_page import Visitor, visitor
from playwright.async_api import expect
from pydantic import SecretStr

from bot.app import Bot
from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform
from bot.platforms.web.access.teachers import WebModerators, teacher_link

CODE = "open sesame!"


async def test_only_moderators_see_what_it_shows(bot: Bot, ann: Visitor, ben: Visitor) -> None:
    await become_teacher(bot, ann, "Ada")
    for person, status in ((ann, 200), (ben, 403)):
        async with person.session.get(f"{person.url}/class/data?locale=en") as response:
            assert response.status == status
            answer = await response.json()
        async with person.page() as page:
            assert ("/class?room=general" in [one["url"] for one in page.received[-1]["links"]]) == (status == 200)
    assert answer == {"error": "Only moderators can do that."}
    assert (await ben.get("/class/invitation.svg")).status == 403


@pytest.mark.parametrize("forwarded", ["chat.example", "127.0.0.1"])
async def test_the_way_in_is_shown_or_how_to_make_one(bot: Bot, forwarded: str) -> None:
    section = WebSection(port=0, join_code=SecretStr(CODE), names=("chat.example",))
    async with WebPlatform(bot, section).serve() as url, visitor(url) as ann:
        await become_teacher(bot, ann)
        headers = {"Host": forwarded}
        async with ann.session.get(f"{url}/class/data", headers=headers) as response:
            invitation = (await response.json())["invitation"]
        async with ann.session.get(f"{url}/class/invitation.svg", headers=headers) as response:
            status, kind = response.status, response.content_type
        if forwarded == "chat.example":
            assert invitation["link"] == "http://chat.example/join#code=open%20sesame%21"
            assert (invitation["code"], status, kind) == (CODE, 200, "image/svg+xml")
        else:
            assert invitation["line"].startswith("TEMPERA_WEB__HOST=0.0.0.0 ")
            assert status == 404


@MARKS[0]
@MARKS[1]
async def test_a_scanned_link_needs_no_typing(bot: Bot, browser: object) -> None:
    section = WebSection(port=0, join_code=SecretStr(CODE), url="http://chat.example")
    async with WebPlatform(bot, section).serve() as url:
        teachers = teacher_link(url, await WebModerators(bot.database).create_code())
        async with opened(browser, teachers) as hers:
            await hers.get_by_role("button", name="Sign in").click()
            await hers.get_by_role("button", name="Show it large").click()
            shown = hers.get_by_role("dialog", name="Join the chat")
            await expect(shown.get_by_role("img", name="QR code of http://chat.example/join")).to_be_visible()
            await expect(shown).to_contain_text(CODE)
        async with opened(browser, f"{url}/join#code=open%20sesame%21") as his:
            await expect(his.get_by_label("Join code")).to_have_value(CODE)
            assert "#" not in his.url
            await his.get_by_role("button", name="Come in").click()
            await expect(his.locator("#who")).to_be_visible()
