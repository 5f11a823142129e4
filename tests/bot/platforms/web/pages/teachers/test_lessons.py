"""Lessons on the teachers' page: added, taken back, removed; and what was asked in vain."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import bot_with_plugins
from fakes.platforms.teachers_page import QUERY, ordered, seen
from fakes.platforms.web_page import Visitor

from bot.app import Bot
from bot.platforms.web.pages.teachers import basics
from bot.storage.audit import MODERATION, AuditFilter

CELLS = b"# Cells\n\n## What is a cell\n\nA cell is the smallest living thing.\n"


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    async with bot_with_plugins(models, tmp_path, ("ask", "explain", "help")) as running:
        yield running


async def shelf(person: Visitor) -> dict[str, Any]:
    (only,) = (await seen(person))["lessons"]
    return only


async def said(person: Visitor, **order: Any) -> str:
    about = {"json": {"room": "", "plugin": "explain", **order}, "headers": {"Origin": person.url}}
    async with person.session.post(f"{person.url}/class/lesson?{QUERY}", **about) as response:
        assert response.status == 200
        return str((await response.json())["said"])


async def test_a_lesson_is_added_taken_back_and_removed(bot: Bot, teacher: Visitor) -> None:
    first = await said(teacher, title="Cells", file=await teacher.upload(CELLS, "cells.md"))
    assert first.startswith("“Cells” is version 1 now")
    await said(teacher, title="Cells", file=await teacher.upload(b"# Nothing\n\nOops.\n", "cells.md"))
    (cells,) = [one for one in (await shelf(teacher))["documents"] if one["title"] == "Cells"]
    assert [version["number"] for version in cells["versions"]] == [2, 1]
    assert cells["url"].startswith("/read/explain/")
    assert (await said(teacher, title="Cells", version=1)).startswith("“Cells” is version 3 now")
    lessons = await plugin_of(bot).library.lesson_set("web")
    assert "smallest living thing" in lessons.lesson("Cells").passages[0].text
    assert (await said(teacher, title="Cells")) == "“Cells” is removed."
    assert [one for one in (await shelf(teacher))["documents"] if one["versions"]] == []
    entries = await bot.audit.find("web", "web", AuditFilter(kind=MODERATION))
    acts = [entry.what for entry in entries if entry.what.startswith("lesson")]
    assert acts == ["lesson remove", "lesson add", "lesson add", "lesson add"]


def plugin_of(bot: Bot) -> Any:
    return next(one for one in bot.registry.plugins if one.name == "explain")


async def test_what_nobody_could_answer_is_listed(bot: Bot, teacher: Visitor) -> None:
    await plugin_of(bot).gaps.count_question("web", "Who found cells?")
    await plugin_of(bot).gaps.count_unhelpful("web", "Cells › What is a cell")
    only = await shelf(teacher)
    assert (only["missed"], only["unhelpful"]) == ([["Who found cells?", 1]], [["Cells › What is a cell", 1]])


async def test_what_cannot_be_done_is_said(teacher: Visitor, ben: Visitor) -> None:
    status, sentence = await ordered(teacher, "/class/lesson", plugin="explain", title="Cells", version=7)
    assert (status, "There is no lesson “Cells” here" in sentence) == (422, True)
    empty = await teacher.upload(b"", "empty.md")
    assert (await ordered(teacher, "/class/lesson", plugin="explain", title="Empty", file=empty))[0] == 422
    gone = "The file for “file” is no longer here; choose it again."
    assert await ordered(teacher, "/class/lesson", plugin="explain", title="Cells", file="x") == (422, gone)
    assert (await ordered(teacher, "/class/lesson", plugin="ask", title="Cells"))[0] == 422
    async with ben.page():
        file = await ben.upload(CELLS, "cells.md")
    refused = (403, "Only moderators can do that.")
    assert await ordered(ben, "/class/lesson", plugin="explain", title="Cells", file=file) == refused


async def test_the_settings_that_most_teachers_need_are_ten(teacher: Visitor) -> None:
    shown = (await seen(teacher))["basics"]
    # This bot has no /imagine, of which one is.
    assert [one["name"] for one in shown] == [name for name in basics.NAMES if not name.startswith("imagine.")]
    assert len(basics.NAMES) == 10
    assert {one["name"] for one in shown} <= {one["name"] for one in await all_settings(teacher)}
    await ordered(teacher, "/settings/data", "general", name="limits.cooldown", value="7")
    (cooldown,) = [one for one in (await seen(teacher, "general"))["basics"] if one["name"] == "limits.cooldown"]
    assert cooldown == {
        "name": "limits.cooldown",
        "kind": "integer",
        "minimum": 0,
        "maximum": 86400,
        "choices": [],
        "value": 7,
    }


async def all_settings(person: Visitor) -> list[dict[str, Any]]:
    async with person.session.get(f"{person.url}/settings/data?{QUERY}") as response:
        return list((await response.json())["settings"])
