"""Presets: what they would change, that they are applied as a whole, and that they can be taken back."""

import asyncio

import pytest
from fakes.core.requests import ANN, MODERATOR, ROOM

from bot.config.sections import PluginsSection
from bot.core.caller import Caller
from bot.core.errors import PermissionDenied, UserError
from bot.plugin_host import plugin
from bot.plugin_host.registry import Registry
from bot.safety.settings import SETTINGS
from bot.settings.presets import Presets
from bot.settings.resolver import Settings
from bot.settings.scopes import Change
from bot.settings.setting import Scope
from bot.storage.database import Database

SCHOOL = Scope("test", "school")
HALL = Scope("test", "school", "hall")
TEACHER = Caller(MODERATOR, ROOM)


@pytest.fixture
async def settings(database: Database) -> Settings:
    made = Settings({})
    made.declare("safety", SETTINGS)
    Registry(plugin.load(PluginsSection(entry_points=False)), made)
    await made.start(database)
    return made


def own(settings: Settings, scope: Scope = SCHOOL) -> dict[str, object]:
    return dict(settings.scopes.values_at(scope))


async def test_a_preset_says_what_it_changes_and_is_taken_back(settings: Settings, database: Database) -> None:
    presets = Presets(settings, database)
    await settings.write([Change(SCHOOL, "limits.cooldown", 9), Change(SCHOOL, "lab.enabled", False)], MODERATOR)
    before = own(settings)
    told = {one.setting.name: (one.before, one.after) for one in (await presets.preview(SCHOOL))["exam"]}
    assert told["ask.enabled"] == (True, False)
    assert told["limits.cooldown"] == (9, 5)
    assert told.keys().isdisjoint({"lab.enabled", "explain.enabled"})
    await presets.apply(TEACHER, "exam", SCHOOL)
    assert (await presets.preview(SCHOOL))["exam"] == []
    assert not settings.value("ask.enabled", ROOM)
    assert await presets.applied(SCHOOL) == "exam"
    assert await presets.applied(HALL) == ""
    # Another process, and one that is started later, can take it back.
    await Presets(settings, database).take_back(TEACHER, SCHOOL)
    assert (own(settings), await presets.applied(SCHOOL)) == (before, "")
    with pytest.raises(UserError, match="There is no preset to take back here"):
        await presets.take_back(TEACHER, SCHOOL)


async def test_a_preset_that_is_applied_twice_at_once_can_be_taken_back(settings: Settings, database: Database) -> None:
    presets, before = Presets(settings, database), own(settings)
    await asyncio.gather(*(presets.apply(TEACHER, "exam", SCHOOL) for _ in range(2)))
    await presets.take_back(TEACHER, SCHOOL)
    assert own(settings) == before


async def test_another_preset_takes_the_place_of_the_one_before(settings: Settings, database: Database) -> None:
    presets = Presets(settings, database)
    await presets.apply(TEACHER, "exam", HALL)
    told = {one.setting.name: (one.before, one.after) for one in (await presets.preview(HALL))["classroom"]}
    assert told["ask.enabled"] == (False, True)
    await settings.write([Change(HALL, "face.enabled", True)], MODERATOR)
    await presets.apply(TEACHER, "classroom", HALL)
    assert "ask.enabled" not in own(settings, HALL)
    assert own(settings, HALL)["face.count.maximum"] == 4
    assert "private.teachers_read" not in own(settings, HALL)
    await presets.take_back(TEACHER, HALL)
    # What somebody changed since the exam began is theirs.
    assert own(settings, HALL) == {"face.enabled": True}


async def test_only_moderators_apply_presets_and_only_those_that_there_are(
    settings: Settings, database: Database
) -> None:
    presets = Presets(settings, database)
    with pytest.raises(PermissionDenied):
        await presets.apply(Caller(ANN, ROOM), "exam", SCHOOL)
    with pytest.raises(PermissionDenied):
        await presets.take_back(Caller(ANN, ROOM), SCHOOL)
    for name in ("gpu", "school", "../classroom"):
        with pytest.raises(UserError, match="There is no preset"):
            await presets.apply(TEACHER, name, SCHOOL)
    assert own(settings) == {}
