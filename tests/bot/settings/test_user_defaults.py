from dataclasses import replace

import pytest

from bot.config import PluginsSection
from bot.core.errors import UserError
from bot.plugin_host import plugin
from bot.settings.user_defaults import Defaults, DefaultsHere, offered
from bot.storage.database import Database

COMMANDS = [
    command
    for loaded in plugin.load(PluginsSection(enabled=("ask",), entry_points=False))
    for command in loaded.commands()
    if not command.hidden
]
ASK = COMMANDS[0]


def test_free_text_required_options_and_seeds_have_none() -> None:
    assert list(offered(COMMANDS)) == ["ask.temperature", "ask.max_tokens"]


async def test_two_processes_agree_after_a_refresh(database: Database) -> None:
    here, there = Defaults(), Defaults()
    await here.start(database)
    await there.start(database)
    await here.set("slack", "U1", COMMANDS, "ask.temperature", "1.5")
    assert here.options("slack", "U1", ASK) == {"temperature": 1.5}
    assert there.options("slack", "U1", ASK) == {}
    await there.refresh()
    assert there.options("slack", "U1", ASK) == {"temperature": 1.5}
    assert there.options("discord", "U1", ASK) == {}
    await there.reset("slack", "U1", "ask.temperature")
    await here.refresh()
    assert here.of("slack", "U1") == {}


async def test_what_an_option_no_longer_takes_is_left_out(database: Database) -> None:
    defaults = Defaults()
    await defaults.start(database)
    await defaults.set("slack", "U1", COMMANDS, "ask.temperature", 2)
    await defaults.set("slack", "U1", COMMANDS, "ask.max_tokens", 9)
    narrow = replace(
        ASK, options=tuple(replace(option, maximum=1) for option in ASK.options if option.name != "max_tokens")
    )
    assert defaults.options("slack", "U1", narrow) == {}
    mine = DefaultsHere(defaults, "slack", "U1", [narrow]).mine
    assert mine == {"ask.temperature": 2}


async def test_a_refused_value_changes_nothing(database: Database) -> None:
    defaults = Defaults()
    await defaults.start(database)
    await defaults.set("slack", "U1", COMMANDS, "ask.temperature", 2)
    with pytest.raises(UserError):
        await defaults.set("slack", "U1", COMMANDS, "ask.temperature", 3)
    await defaults.refresh()
    assert defaults.options("slack", "U1", ASK) == {"temperature": 2}
