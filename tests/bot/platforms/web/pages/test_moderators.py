"""The list of moderators on the settings page: over real sockets, and as a teacher uses it in a real Chromium."""

from typing import Any

import pytest
from fakes.core.settings import WEB, put
from fakes.platforms.browser import MARKS, axe, opened_by_teacher, violations
from fakes.platforms.teachers_page import become_teacher
from fakes.platforms.web_page import Visitor, visitor
from playwright.async_api import expect

from bot.app import Bot
from bot.platforms.web.access.teachers import UNUSED_SECONDS
from bot.storage.audit import MODERATION, AuditFilter

EVERYBODY_ELSE = None


async def listed(person: Visitor) -> tuple[int, Any]:
    async with person.session.get(f"{person.url}/settings/moderators?name=Ada&locale=en") as response:
        return response.status, await response.json()


async def ended(person: Visitor, user_id: str | None, **headers: str) -> tuple[int, Any]:
    about = {"json": {"id": user_id}, "headers": {"Origin": person.url, **headers}}
    async with person.session.post(f"{person.url}/settings/moderators?name=Ada&locale=en", **about) as response:
        is_json = response.content_type == "application/json"
        return response.status, await response.json() if is_json else await response.text()


async def become_moderator(bot: Bot, person: Visitor, name: str) -> str:
    """Sign somebody in and return their id."""
    await become_teacher(bot, person, name)
    async with person.page(name) as page:
        return str(page.received[0]["you"]["id"])


async def test_the_list_says_who_is_signed_in_since_when_and_until_when(bot: Bot, ann: Visitor, ben: Visitor) -> None:
    hers, his = await become_moderator(bot, ann, "Ada"), await become_moderator(bot, ben, "Ben")
    status, answer = await listed(ann)
    assert status == 200
    one, other = answer["moderators"]
    assert (one["id"], one["name"], one["own"]) == (his, "Ben", False)
    assert (other["id"], other["name"], other["own"]) == (hers, "Ada", True)
    assert all(row["since"] <= row["used"] and row["ends"] == row["used"] + UNUSED_SECONDS for row in (one, other))


async def test_what_somebody_does_is_a_use_and_what_their_page_does_by_itself_is_none(
    bot: Bot, ann: Visitor, ben: Visitor
) -> None:
    await become_moderator(bot, ann, "Ada")
    await become_moderator(bot, ben, "Ben")

    async def his() -> dict[str, Any]:
        return next(row for row in (await listed(ann))[1]["moderators"] if not row["own"])

    async with ben.page("Benjamin") as page:
        await page.send("ping")
        await page.until("pong")
        before = await his()
        assert before["name"] == "Ben"
        # One of them went through the database, which rounds.
        assert before["used"] == pytest.approx(before["since"], abs=0.001)
        await page.send("name", name="Benno")
        await page.until("you")
        after = await his()
        assert (after["name"], after["since"]) == ("Benno", before["since"])
        assert after["used"] > before["used"]


async def test_an_ended_moderator_is_one_no_longer_in_open_pages_too(bot: Bot, ann: Visitor, ben: Visitor) -> None:
    await become_moderator(bot, ann, "Ada")
    his = await become_moderator(bot, ben, "Ben")
    async with ben.page("Ben") as page:
        status, answer = await ended(ann, his)
        assert (status, [row["name"] for row in answer["moderators"]]) == (200, ["Ada"])
        welcome = await page.until("welcome")
        assert not welcome["you"]["moderator"]
        assert "/settings" not in [link["url"] for link in welcome["links"]]
        ref = await page.send("make_room", name="lesson-1")
        refused = await page.until("refused", lambda message: message["ref"] == ref)
        assert refused["text"] == "Only moderators can open and close rooms."
    assert (await listed(ben))[0] == 403
    entries = await bot.audit.find("web", "web", AuditFilter(kind=MODERATION, what="sign in ended"))
    assert [(entry.actor_name, entry.subject, entry.subject_name) for entry in entries] == [("Ada", his, "Ben")]
    assert await ended(ann, his) == (422, {"error": "This sign-in has ended already."})


async def test_one_can_end_ones_own_sign_in(bot: Bot, ann: Visitor) -> None:
    hers = await become_moderator(bot, ann, "Ada")
    assert await ended(ann, hers) == (200, {"moderators": []})
    assert (await listed(ann))[0] == 403
    (entry,) = await bot.audit.find("web", "web", AuditFilter(kind=MODERATION, what="sign out"))
    assert (entry.actor, entry.subject) == (hers, "")


async def test_all_others_are_ended_at_once(bot: Bot, ann: Visitor, ben: Visitor) -> None:
    await become_moderator(bot, ben, "Ben")
    async with visitor(ann.url) as eve:
        await become_moderator(bot, eve, "Eve")
        hers = await become_moderator(bot, ann, "Ada")
        status, answer = await ended(ann, EVERYBODY_ELSE)
        assert (status, [row["id"] for row in answer["moderators"]]) == (200, [hers])
        assert [(await listed(person))[0] for person in (ann, ben, eve)] == [200, 403, 403]


async def test_the_other_moderators_are_told_of_an_end(bot: Bot, ann: Visitor, ben: Visitor) -> None:
    async with visitor(ann.url) as eve:
        for person, name in ((ann, "Ada"), (eve, "Eve")):
            await become_moderator(bot, person, name)
        his = await become_moderator(bot, ben, "Ben")
        async with eve.page("Eve") as page:
            await ended(ann, his)
            told = await page.until("exchange")
            assert (told["for_moderators"], told["reply"]["text"]) == (
                True,
                "**Ada** has ended the sign-in of **Ben**.",
            )


async def test_nobody_but_moderators_sees_the_list_or_ends_anything(bot: Bot, ann: Visitor, ben: Visitor) -> None:
    hers = await become_moderator(bot, ann, "Ada")
    async with ben.page():
        pass
    refused = (403, {"error": "Only moderators can do that."})
    assert await listed(ben) == refused
    assert [await ended(ben, whom) for whom in (hers, EVERYBODY_ELSE)] == [refused, refused]
    for origin in ("null", "https://evil.example"):
        assert (await ended(ann, hers, Origin=origin))[0] == 403
    assert (await listed(ann))[0] == 200


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"id": 1}', b'{"id": "' + b"x" * 65 + b'"}', b"\xff\xfe"])
async def test_what_is_no_request_of_the_page_ends_nothing(bot: Bot, ann: Visitor, ben: Visitor, body: bytes) -> None:
    await become_moderator(bot, ann, "Ada")
    await become_moderator(bot, ben, "Ben")
    about = {"data": body, "headers": {"Origin": ann.url}}
    async with ann.session.post(f"{ann.url}/settings/moderators", **about) as response:
        assert response.status in (400, 422)
    assert len((await listed(ann))[1]["moderators"]) == 2


async def test_whom_a_setting_names_is_in_no_list_of_sign_ins_but_may_end_them(
    bot: Bot, ann: Visitor, ben: Visitor
) -> None:
    his = await become_moderator(bot, ben, "Ben")
    async with ann.page() as page:
        await put(bot.settings, "moderators.users", page.received[0]["you"]["id"], WEB)
    assert [row["id"] for row in (await listed(ann))[1]["moderators"]] == [his]
    assert (await ended(ann, EVERYBODY_ELSE)) == (200, {"moderators": []})


@MARKS[0]
@MARKS[1]
async def test_a_teacher_ends_the_sign_in_of_a_browser_that_was_left_behind(
    bot: Bot, url: str, ben: Visitor, browser: Any
) -> None:
    program = axe()
    await become_moderator(bot, ben, "Ben")
    async with opened_by_teacher(browser, bot, url, "/") as page, ben.page("Ben") as left_behind:
        await page.get_by_role("link", name="Settings").click()
        rows = page.get_by_role("region", name="Who is signed in as a moderator").get_by_role("listitem")
        await expect(rows).to_have_count(2)
        await expect(rows.filter(has_text="Ben")).to_contain_text("last used")
        await expect(rows.filter(has_text="this browser")).to_have_count(1)
        assert await violations(page, program) == []
        await page.get_by_role("button", name="End the sign-in of Ben").click()
        await expect(rows).to_have_count(1)
        assert not (await left_behind.until("welcome"))["you"]["moderator"]
        await expect(page.get_by_role("button", name="End all others")).to_be_hidden()
        await page.get_by_role("button", name="End the sign-in of").click()
        await expect(page.locator("#who")).to_be_visible()
        await expect(page.get_by_role("link", name="Settings")).to_have_count(0)
