"""All lists of words, names and patterns of one server together have a limited length."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.core.requests import MODERATOR
from fakes.core.settings import SCHOOL, put

from bot.core.errors import UserError
from bot.safety.settings import SETTINGS
from bot.settings.resolver import Settings
from bot.settings.scopes import Change
from bot.settings.setting import Scope
from bot.storage.database import Database

HALL = replace(SCHOOL, channel="hall")
ALLOWED = "The lists of words, names and patterns of a server may have"
ENTRIES = f"{ALLOWED} 10000 entries in all; with this they would have {{}}."
CHARACTERS = f"{ALLOWED} 100000 characters in all; with this they would have {{}}."


@pytest.fixture
async def settings(tmp_path: Path) -> AsyncIterator[Settings]:
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
        made = Settings({})
        made.declare("safety", SETTINGS)
        await made.start(database)
        yield made


async def refusal(settings: Settings, *values: tuple[str, str, Scope]) -> str:
    """Return why these changes are refused; nothing was changed then."""
    before = {scope: settings.scopes.values_at(scope) for _, _, scope in values}
    with pytest.raises(UserError) as refused:
        await settings.write([settings.make_change(*value) for value in values], MODERATOR)
    assert before == {scope: settings.scopes.values_at(scope) for scope in before}
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "separator"), [("safety.words", ","), ("safety.people", "\n"), ("safety.patterns", "\n")]
)
async def test_a_list_has_a_limited_number_of_entries_and_characters(
    settings: Settings, name: str, separator: str
) -> None:
    await put(settings, name, separator.join("a" * 10_000))
    assert await refusal(settings, (name, separator.join("a" * 10_001), SCHOOL)) == ENTRIES.format(10_001)
    await put(settings, name, "a" * 100_000)
    assert await refusal(settings, (name, "a" * 100_001, SCHOOL)) == CHARACTERS.format(100_001)


async def test_the_lists_of_a_server_count_together(settings: Settings) -> None:
    await put(settings, "safety.words", "a" * 60_000)
    long = "a" * 30_000
    assert await refusal(settings, ("safety.people", long, SCHOOL), ("safety.words", long, HALL)) == CHARACTERS.format(
        120_000
    )
    await put(settings, "safety.people", long)
    assert await refusal(settings, ("safety.patterns", long, HALL)) == CHARACTERS.format(120_000)
    # Another server's lists are its own, and what is no list counts for nothing.
    await put(settings, "safety.patterns", long, Scope("test", "other"))
    await put(settings, "safety.help_text", "a" * 2000)
    await put(settings, "safety.people", None)
    await put(settings, "safety.patterns", long, HALL)


async def test_lists_that_were_longer_before_there_was_a_limit_stay_and_may_become_shorter(settings: Settings) -> None:
    await settings.scopes.write([Change(SCHOOL, "safety.words", "a" * 180_000)], MODERATOR)
    assert len(settings.value("safety.words", SCHOOL.place)) == 180_000
    await put(settings, "safety.words", "a" * 150_000)
    assert await refusal(settings, ("safety.words", "a" * 160_000, SCHOOL)) == CHARACTERS.format(160_000)


async def test_patterns_that_cannot_be_searched_quickly_are_refused(settings: Settings) -> None:
    few, many = ("\n".join(f"{number:05}h[ae]llo" for number in range(count)) for count in (500, 5000))
    await settings.make_typed_change("safety.patterns", few, SCHOOL)
    with pytest.raises(UserError, match="These patterns are too large .+ may have 10000.+ plain words in safety.words"):
        await settings.make_typed_change("safety.patterns", many, SCHOOL)
    # What was stored before there was this limit stays in force.
    await settings.scopes.write([Change(SCHOOL, "safety.patterns", many)], MODERATOR)
    assert settings.value("safety.patterns", SCHOOL.place) == many
