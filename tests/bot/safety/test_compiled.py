"""Servers' lists are compiled once, in a thread, and kept within a bound of memory."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.core.requests import ANN, MODERATOR, ROOM, ask, last, replies

from bot import Context, Plugin, Reply, command
from bot.answers.decision import Refuse
from bot.app import Bot
from bot.inference.client import ModelClient
from bot.safety.compiled import PATTERNS, WORDS, CompiledLists
from bot.safety.normalize import normalize
from bot.safety.sentences import SENTENCES
from bot.settings.scopes import Change
from bot.settings.setting import Scope
from bot.storage.database import Database

SCHOOL = Scope("test", "school")
BLOCKED = SENTENCES["blocked_word"].text


def list_of(count: int, name: str = "word") -> str:
    return ", ".join(f"{name}{''.join(chr(97 + int(digit)) for digit in str(number))}" for number in range(count))


async def test_the_lists_of_many_servers_are_compiled_once_each() -> None:
    compiled, servers = CompiledLists(), [list_of(100, f"{chr(97 + n % 26)}{chr(97 + n // 26)}") for n in range(150)]
    for _ in range(3):
        for listed in servers:
            assert (await compiled.get(WORDS, listed)).find(normalize(listed.split(",")[0])) is not None
    assert compiled.compilations == 150


async def test_lists_beyond_the_bound_of_memory_are_dropped_the_oldest_first() -> None:
    size = (await CompiledLists().get(WORDS, list_of(1000, "aa"))).bytes
    compiled = CompiledLists(most_bytes=3 * size + size // 2)
    first, second, third, fourth = (list_of(1000, name) for name in ("aa", "bb", "cc", "dd"))
    for listed in (first, second, third):
        await compiled.get(WORDS, listed)
    compiled.find(WORDS, first)
    await compiled.get(WORDS, fourth)
    kept = [one for one in (first, second, third, fourth) if compiled.find(WORDS, one) is not None]
    assert kept == [first, third, fourth]
    assert compiled.compilations == 4


async def test_requests_that_need_the_same_list_wait_for_one_compilation() -> None:
    compiled = CompiledLists()
    found = await asyncio.gather(*(compiled.get(WORDS, list_of(500)) for _ in range(20)))
    assert compiled.compilations == 1
    assert len({id(matcher) for matcher in found}) == 1
    assert await compiled.get(WORDS, "") is None


async def test_the_event_loop_goes_on_while_a_list_is_compiled() -> None:
    task = asyncio.create_task(CompiledLists().get(WORDS, list_of(10_000)))
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 3
    assert task.result() is not None


async def test_a_stored_pattern_that_is_none_any_more_blocks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert await CompiledLists().get(PATTERNS, "(unfinished") is None
    assert "A stored pattern is not used: The pattern “(unfinished”" in caplog.text


class Parrot(Plugin):
    """Repeats what is said."""

    name = "parrot"

    @command()
    async def say(self, ctx: Context, text: str = "") -> AsyncIterator[Reply]:
        """Say it."""
        yield Reply(text=text, final=True)

    @command(free=True)
    async def look(self, ctx: Context, text: str = "") -> AsyncIterator[Reply]:
        """Look it up."""
        yield Reply(text=text, final=True)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> CompiledLists:
    """The lists of the bot of the test."""
    made = CompiledLists()
    monkeypatch.setattr("bot.safety.checks.CompiledLists", lambda: made)
    return made


@pytest.fixture
async def bot(tmp_path: Path, compiled: CompiledLists) -> AsyncIterator[Bot]:
    database = Database(f"sqlite:///{tmp_path}/tempera.db")
    async with Bot(ModelClient("http://127.0.0.1:9"), [Parrot()], database, default_command="say") as running:
        yield running


async def test_a_list_is_compiled_before_it_is_in_force_and_not_again(bot: Bot, compiled: CompiledLists) -> None:
    await bot.settings.write([bot.settings.make_change("safety.words", "turnip", SCHOOL)], MODERATOR)
    assert compiled.compilations == 1
    for _ in range(3):
        assert isinstance(bot.prepare(ask("/say a turnip")), Refuse)
        assert (await last(bot, ask("/say a carrot"))).text == "a carrot"
    await bot.settings.write([bot.settings.make_change("safety.words", "carrot", SCHOOL)], MODERATOR)
    assert isinstance(bot.prepare(ask("/say a carrot")), Refuse)
    assert compiled.compilations == 2


@pytest.mark.parametrize("line", ["/say a turnip", "/look a turnip"])
async def test_a_list_that_another_process_set_holds_from_the_first_message_on(
    bot: Bot, compiled: CompiledLists, line: str
) -> None:
    await bot.settings.scopes.write([Change(SCHOOL, "safety.words", "turnip")], MODERATOR)
    assert compiled.compilations == 0
    # Nobody waits for a list to be compiled before a request is acknowledged, so this is known only afterwards.
    assert not isinstance(bot.prepare(ask(line)), Refuse)
    assert [reply.text for reply in await replies(bot, ask(line))] == [BLOCKED]
    assert await bot.messages.recent(ROOM, 10) == []
    assert isinstance(bot.prepare(ask(line, ANN)), Refuse)
