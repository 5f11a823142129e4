"""The settings page: over real sockets, and as a teacher uses it in a real Chromium."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.browser import MARKS, opened_by_teacher
from fakes.platforms.web_page import Visitor
from playwright.async_api import expect

from bot.app import Bot
from bot.core.caller import Caller
from bot.core.errors import UserError
from bot.core.messages import Place, User
from bot.inference.client import ModelClient
from bot.settings.editor import SettingsEditor, SettingsView
from bot.settings.scopes import Scope
from bot.storage.audit import REFUSAL, AuditFilter

MAXIMUM = "ask.temperature.maximum"


async def asked(person: Visitor, room: str = "", **change: Any) -> tuple[int, dict[str, Any]]:
    address = f"{person.url}/settings/data?name=Ada&locale=en&room={room}"
    headers = {"Origin": person.url}
    request = (
        person.session.post(address, json={"room": room, **change}, headers=headers)
        if change
        else person.session.get(address)
    )
    async with request as response:
        return response.status, await response.json()


async def shown(person: Visitor, room: str = "", name: str = MAXIMUM) -> dict[str, Any]:
    _, answer = await asked(person, room)
    return next(setting for setting in answer["settings"] if setting["name"] == name)


async def test_every_setting_has_its_sentence_and_says_where_its_value_comes_from(bot: Bot, teacher: Visitor) -> None:
    _, answer = await asked(teacher)
    assert [setting["name"] for setting in answer["settings"]] == [
        one.name for one in bot.settings.declared if not one.name.startswith("limits.role.")
    ]
    assert all(setting["about"] for setting in answer["settings"])
    before = await shown(teacher)
    assert (before["value"], before["where"], before["here"], before["changed"]) == (2, "default", False, None)


async def test_what_another_teacher_has_changed_meanwhile_is_not_overwritten(bot: Bot, teacher: Visitor) -> None:
    name, scope = "safety.words", Scope("web", "web")
    seen = (await shown(teacher, name=name))["value"]
    assert (await asked(teacher, name=name, value="dumbo", seen=seen))[0] == 200
    status, answer = await asked(teacher, name=name, value="twit", seen=seen)
    assert (status, "safety.words was changed meanwhile, to “dumbo”." in answer["error"]) == (422, True)
    assert bot.settings.value(name, scope.place) == "dumbo"
    seen = (await shown(teacher))["value"]
    assert (await asked(teacher, name=MAXIMUM, value="1", seen=seen))[0] == 200


async def test_settings_of_a_missing_room_cannot_be_set_but_can_be_reset(bot: Bot, teacher: Visitor) -> None:
    lesson, wrong = Scope("web", "web", "lesson-1"), Scope("web", "web", "leson-1")
    async with teacher.page() as page:
        await page.make_room("lesson-1")
    assert (await bot.settings.make_typed_change("ask.enabled", "no", lesson)).scope == lesson
    with pytest.raises(UserError, match="I know no channel “leson-1” here"):
        await bot.settings.make_typed_change("ask.enabled", "no", wrong)
    assert (await bot.settings.make_typed_change("ask.enabled", None, wrong)).scope == wrong


async def test_exported_settings_are_imported_even_if_a_room_is_closed(bot: Bot, teacher: Visitor) -> None:
    caller = Caller(User("m", "Mod", is_moderator=True), Place("web", "general", "web"))
    here = SettingsView(bot.settings, caller)
    chat, lesson = here.scope(), Scope("web", "web", "lesson-1")
    async with teacher.page() as page:
        await page.make_room("lesson-1")
        assert (await asked(teacher, "lesson-1", name="ask.enabled", value="no"))[0] == 200
        assert (await asked(teacher, name="access.channels", value="general lesson-1"))[0] == 200
        await page.send("close_room", room="lesson-1")
        await page.until("taken")
    exported, before = here.export(chat), here.within(chat)
    assert before == {chat: {"access.channels": "general lesson-1"}, lesson: {"ask.enabled": False}}
    for scope in before:
        await SettingsEditor(bot.settings).reset(caller, scope)
    await SettingsEditor(bot.settings).load(caller, exported, chat)
    assert here.within(chat) == before


async def test_settings_are_in_groups_with_readable_names(teacher: Visitor) -> None:
    async with teacher.session.get(f"{teacher.url}/settings/data?name=Ada&locale=de&room=") as response:
        groups = {setting["group"] for setting in (await response.json())["settings"]}
    assert {"Moderatoren", "Wie oft man fragen darf", "Sprachmodell (/ask)", "Das Protokoll (/audit)"} <= groups
    assert all(group[0].isupper() for group in groups)


async def test_models_are_chosen_from_those_available(teacher: Visitor, models: FakeModels) -> None:
    models.listed["other-chat"] = "chat"
    offered = [["", ""], ["fake-chat", "fake-chat"], ["other-chat", "other-chat"]]
    assert (await shown(teacher, name="ask.model"))["choices"] == offered
    await asked(teacher, name="ask.model", value="other-chat")
    del models.listed["other-chat"]
    gone = await shown(teacher, name="ask.model")
    assert (gone["choices"], gone["value"]) == (offered, "other-chat")
    _, back = await asked(teacher, name="ask.model", value="")
    assert (back["choices"], back["value"]) == (offered[:2], "")


async def test_a_model_at_a_remote_server_is_marked(
    teacher: Visitor, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.listed["large@hosted"] = "chat"
    monkeypatch.setattr(ModelClient, "remote_names", ("hosted",))
    choices = [["", ""], ["fake-chat", "fake-chat"], ["large@hosted", "large@hosted (remote)"]]
    assert (await shown(teacher, name="ask.model"))["choices"] == choices


async def test_a_change_takes_effect_at_once_and_names_its_author(
    teacher: Visitor, ben: Visitor, models: FakeModels
) -> None:
    status, after = await asked(teacher, name=MAXIMUM, value="1")
    assert (status, after["value"], after["where"], after["here"]) == (200, 1, "server", True)
    assert after["changed"]["by"] == "Ada"
    async with ben.page() as page:
        refused = await page.ask("/ask temperature:1.5 hello")
        assert refused["reply"]["error"]
        assert not models.requests
    _, reset = await asked(teacher, name=MAXIMUM, value=None)
    assert (reset["value"], reset["where"], reset["here"], reset["changed"]["by"]) == (2, "default", False, "Ada")


async def test_a_room_has_settings_of_its_own(teacher: Visitor) -> None:
    await asked(teacher, name=MAXIMUM, value="1.5")
    await asked(teacher, "general", name=MAXIMUM, value="0.5")
    here = await shown(teacher, "general")
    assert (here["value"], here["where"]) == (0.5, "channel")
    assert [(level["where"], level["value"]) for level in here["levels"]] == [
        ("default", 2), ("server", 1.5), ("channel", 0.5),
    ]  # fmt: skip
    assert (await shown(teacher))["value"] == 1.5


async def test_invalid_changes_are_refused_with_a_sentence(bot: Bot, teacher: Visitor, ben: Visitor) -> None:
    for about, sentence in (
        ({"name": MAXIMUM, "value": "9"}, f"{MAXIMUM} must be a number from 0 to 2; you gave “9”."),
        ({"name": MAXIMUM, "value": "x" * 5001}, "A value may have 5000 characters."),
    ):
        assert await asked(teacher, **about) == (422, {"error": sentence})
    assert await asked(teacher, "attic") == (422, {"error": "There is no room “attic”."})
    sentence = "I know no channel “attic” here. Pick it from the list that appears, or give its id."
    assert await asked(teacher, name="access.channels", value="#general #attic") == (422, {"error": sentence})
    assert (await asked(teacher, name="access.channels", value="#general"))[0] == 200
    assert (await shown(teacher))["value"] == 2
    async with ben.page():
        pass
    for change in ({}, {"name": MAXIMUM, "value": "1"}):
        assert await asked(ben, **change) == (403, {"error": "Only moderators can change settings."})
    assert (await shown(teacher))["value"] == 2
    # What is invalid is no refusal.
    recorded = await bot.audit.find("web", "web", AuditFilter(kind=REFUSAL))
    assert [(row.what, row.reason) for row in recorded] == [("settings", "moderators")]


@MARKS[0]
@MARKS[1]
async def test_a_teacher_sets_something(bot: Bot, url: str, models: FakeModels, browser: Any) -> None:
    async with at_the_page(bot, url, browser) as page:
        await page.get_by_label("Find").fill("temperature")
        field = page.get_by_label(MAXIMUM, exact=True)
        await field.fill("9")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("alert").filter(has_text=MAXIMUM)).to_be_visible()
        await field.fill("1")
        await field.press("Enter")
        row = page.locator(".setting", has=page.get_by_role("heading", name=MAXIMUM, exact=True))
        await expect(row.get_by_role("status")).to_have_text("2 → 1")
        await expect(row).to_contain_text("set for the whole chat instead of 2")
        await expect(row).to_contain_text("last changed by Guest")
        await page.get_by_label("Only what was changed").check()
        await expect(page.locator(".setting:visible")).to_have_count(1)
        chat = await page.context.new_page()
        await chat.goto(url)
        await expect(chat.locator("#who")).to_be_visible()
        await chat.locator("#input").fill("/ask ")
        await expect(chat.get_by_label("temperature", exact=True)).to_have_attribute("max", "1")
        await row.get_by_role("button", name="Take back").click()
        await expect(row.get_by_role("status")).to_have_text("1 → 2")


@asynccontextmanager
async def at_the_page(bot: Bot, url: str, browser: Any) -> AsyncIterator[Any]:
    async with opened_by_teacher(browser, bot, url, "/", expected="Failed to load resource") as page:
        await page.get_by_role("link", name="Settings").click()
        await expect(page.get_by_label(MAXIMUM, exact=True)).to_be_visible()
        yield page


@MARKS[0]
@MARKS[1]
async def test_a_change_is_not_made_for_a_room_whose_settings_could_not_be_loaded(
    bot: Bot, url: str, teacher: Visitor, browser: Any
) -> None:
    async with at_the_page(bot, url, browser) as page:
        await page.get_by_label("For", exact=True).select_option("# general")
        # Only the whole chat has this one.
        await expect(page.get_by_role("heading", name="moderators.users")).to_have_count(0)
        await page.route("**/data?*", lambda route: route.abort())
        await page.get_by_label("For", exact=True).select_option("the whole chat")
        await expect(page.locator("#refused")).to_have_text("The chat cannot be reached. Try again.")
        await expect(page.get_by_label("For", exact=True)).to_have_value("general")
        await page.unroute("**/data?*")
        await page.get_by_label(MAXIMUM, exact=True).fill("1")
        await page.get_by_label(MAXIMUM, exact=True).press("Enter")
        await expect(page.locator(".said").filter(has_text="2 → 1")).to_be_visible()
    assert [(await shown(teacher, room))["value"] for room in ("", "general")] == [2, 1]


@MARKS[0]
@MARKS[1]
async def test_the_newest_choice_is_shown_even_if_an_older_one_arrives_later(bot: Bot, url: str, browser: Any) -> None:
    held: list[Any] = []
    async with at_the_page(bot, url, browser) as page:
        chosen = page.get_by_label("For", exact=True)
        await page.route("**/data?*room=general", lambda route: held.append(route))
        async with page.expect_request("**/data?*room=general"):
            await chosen.select_option("# general")
        async with page.expect_response("**/data?*room="):
            await chosen.select_option("the whole chat")
        async with page.expect_response("**/data?*room=general"):
            await held[0].continue_()
        await page.wait_for_load_state("networkidle")
        await expect(chosen).to_have_value("")
        await expect(page.get_by_role("heading", name="moderators.users")).to_have_count(1)
        await expect(page.locator("#settings")).to_have_js_property("inert", False)
