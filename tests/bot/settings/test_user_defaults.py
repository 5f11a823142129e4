import asyncio
from dataclasses import replace

import pytest
from fakes.storage.statements import counted_statements
from sqlalchemy import insert

from bot.config.sections import PluginsSection
from bot.core.caller import Caller
from bot.core.errors import UserError
from bot.core.messages import Place, User
from bot.plugin_host import plugin
from bot.settings.user_defaults import Defaults
from bot.storage.database import Database, PluginRow

COMMANDS = [
    command
    for loaded in plugin.load(PluginsSection(enabled=("ask",), entry_points=False))
    for command in loaded.commands()
    if not command.hidden
]
ASK = COMMANDS[0]
ON_SLACK, ON_DISCORD = (Caller(User("U1", "Ada"), Place(platform, "C1")) for platform in ("slack", "discord"))


async def opened(database: Database) -> Defaults:
    defaults = Defaults()
    await defaults.start(database)
    return defaults


def test_free_text_required_options_and_seeds_have_no_default_of_ones_own() -> None:
    assert list(Defaults.offered(COMMANDS)) == ["ask.temperature", "ask.max_tokens", "ask.min_p", "ask.fresh"]


async def test_two_processes_agree_after_a_refresh(database: Database) -> None:
    here, there = await opened(database), await opened(database)
    await here.set(ON_SLACK, COMMANDS, "ask.temperature", "1.5")
    assert here.for_command(ON_SLACK, ASK) == {"temperature": 1.5}
    assert there.for_command(ON_SLACK, ASK) == {}
    await there.refresh()
    assert there.for_command(ON_SLACK, ASK) == {"temperature": 1.5}
    assert there.for_command(ON_DISCORD, ASK) == {}
    with pytest.raises(UserError):
        await there.set(ON_SLACK, COMMANDS, "ask.temperature", 3)
    assert there.get(ON_SLACK) == {"ask.temperature": 1.5}
    await there.reset(ON_SLACK, "ask.temperature")
    await here.refresh()
    assert here.get(ON_SLACK) == {}


async def test_changes_at_the_same_time_are_all_kept(database: Database) -> None:
    here, there = await opened(database), await opened(database)
    await asyncio.gather(
        here.set(ON_SLACK, COMMANDS, "ask.temperature", 1),
        here.set(ON_SLACK, COMMANDS, "ask.max_tokens", 9),
        there.set(ON_SLACK, COMMANDS, "ask.min_p", 0.2),
    )
    await here.refresh()
    assert here.for_command(ON_SLACK, ASK) == {"temperature": 1, "max_tokens": 9, "min_p": 0.2}


async def test_a_default_that_the_option_no_longer_accepts_is_left_out(database: Database) -> None:
    defaults = await opened(database)
    await defaults.set(ON_SLACK, COMMANDS, "ask.temperature", 2)
    await defaults.set(ON_SLACK, COMMANDS, "ask.max_tokens", 9)
    narrow = replace(
        ASK, options=tuple(replace(option, maximum=1) for option in ASK.options if option.name != "max_tokens")
    )
    assert defaults.for_command(ON_SLACK, narrow) == {}
    mine = defaults.mine(ON_SLACK, [narrow])
    assert mine == {"ask.temperature": 2}


async def test_a_refresh_reads_one_number_and_then_only_the_defaults_that_others_changed(database: Database) -> None:
    here, there = await opened(database), await opened(database)
    people = [Caller(User(f"U{number}", "Ada"), ON_SLACK.place) for number in range(50)]
    for person in people:
        await here.set(person, COMMANDS, "ask.temperature", 1)
    await there.refresh()
    with counted_statements() as statements:
        for _ in range(5):
            await here.refresh()
            await there.refresh()
    assert len(statements) == 10
    assert all("FROM changes" in statement for statement in statements)
    await here.set(people[7], COMMANDS, "ask.temperature", 2)
    with counted_statements() as statements:
        await there.refresh()
    assert ["change_number >" in statement for statement in statements] == [False, True]
    assert [there.for_command(person, ASK)["temperature"] for person in people] == [1] * 7 + [2] + [1] * 42


async def test_strangers_cannot_fill_the_memory_with_defaults(database: Database) -> None:
    row = {"plugin": "defaults", "scope": "", "value": {"ask.temperature": 1}}
    async with database.writing() as session:
        await session.execute(insert(PluginRow), [row | {"key": f"slack:S{number}"} for number in range(50_000)])
    defaults = await opened(database)
    with pytest.raises(UserError, match=r"^Too many people have defaults of their own already; "):
        await defaults.set(ON_SLACK, COMMANDS, "ask.temperature", 2)
    # Whoever has some can change them, and the people of other platforms are not concerned.
    known = Caller(User("S7", "Sue"), ON_SLACK.place)
    await defaults.set(known, COMMANDS, "ask.temperature", 2)
    await defaults.set(ON_DISCORD, COMMANDS, "ask.temperature", 2)
    await defaults.reset(known)
    await defaults.set(ON_SLACK, COMMANDS, "ask.temperature", 2)
    assert defaults.for_command(ON_SLACK, ASK) == {"temperature": 2}
