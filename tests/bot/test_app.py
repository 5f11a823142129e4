"""Requests from end to end, with real plugins and a real database, without a platform and a model."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.core.echo_plugin import Echo, names
from fakes.core.requests import ANN, BEN, MODERATOR, ROOM, ask, last, press, replies
from fakes.model_server.gateway import PATIENCE_SECONDS, eventually

from bot.answers.decision import Answer, Refuse
from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.core.caller import Caller
from bot.core.messages import User
from bot.plugin_host import plugin
from bot.settings.scopes import server_scope
from bot.storage.database import now


@pytest.fixture
async def bot(make_bot: Callable[..., Bot], echo: Echo) -> AsyncIterator[Bot]:
    async with make_bot(echo) as made:
        yield made


async def test_an_answer_grows_and_ends_with_its_buttons(bot: Bot, echo: Echo) -> None:
    echo.gate.clear()
    seen = []
    decision = bot.prepare(ask("/ask hello"))
    assert isinstance(decision, Answer)
    assert not decision.private
    async for reply in decision.start():
        seen.append(reply)
        if reply.text == "<hello>":
            assert names(reply) == ["stop"]
            echo.gate.set()
    assert names(seen[0]) == ["stop"]
    assert seen[-1].final
    assert seen[-1].text == "<hello> done"
    assert seen[-1].quote == "hello"
    assert names(seen[-1]) == ["again", "cooler", "warmer", "edit", "delete", "up", "down"]
    assert len({reply.row for reply in seen}) == 1


async def test_text_without_a_slash_goes_to_the_default_command(bot: Bot) -> None:
    assert (await last(bot, ask("seed:1 is no option here"))).text == "<seed:1 is no option here> done"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("/aks hi", "There is no command /aks. Did you mean /ask?"),
        ("/ask temperature:9 hi", "temperature must be a number from 0 to 2; you gave “9”."),
        ("/ask", "/ask needs “prompt”: a text. Like this: /ask [temperature:…] [seed:…] prompt"),
        ("/rule", "/rule is for moderators."),
        ("/", "There is no command /. /help lists what there is."),
    ],
)
async def test_a_refusal_is_known_at_once_and_private(bot: Bot, text: str, sentence: str) -> None:
    decision = bot.prepare(ask(text))
    assert isinstance(decision, Refuse)
    (reply,) = [reply async for reply in decision.start()]
    assert (reply.text, reply.error, reply.private, reply.final) == (sentence, True, True, True)


async def test_private_is_decided_before_anything_runs(bot: Bot) -> None:
    decision = bot.prepare(ask("/whisper hi"))
    assert decision.private
    assert {reply.private async for reply in decision.start()} == {True}


async def test_errors_are_shown_as_sentences(bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    known = await last(bot, ask("/fail user"))
    assert (known.text, known.private) == ("No bananas today.", True)
    unknown = await last(bot, ask("/fail other"))
    assert "secret" not in unknown.text
    number = unknown.text.split("error ")[1].split(")")[0]
    assert f"Error {number} in /fail" in caplog.text
    late = await last(bot, ask("/fail late user"))
    assert (late.text, late.private, late.error) == ("so far\n\nNo bananas today.", False, True)


async def test_closing_the_replies_ends_the_handler(bot: Bot, echo: Echo) -> None:
    echo.gate.clear()
    stream = bot.prepare(ask("/ask hello")).start()
    async for reply in stream:
        if reply.text:
            break
    await stream.aclose()
    assert echo.ended == ["hello"]
    row = await bot.messages.get(reply.row)
    assert row is not None
    assert (row.state, row.text) == ("interrupted", "<hello>")


async def test_a_slow_reader_does_not_hold_the_handler_up(bot: Bot, echo: Echo) -> None:
    stream = bot.prepare(ask("/ask hello")).start()
    first = await anext(stream)
    async with asyncio.timeout(10):
        await echo.over.wait()
    rest = [reply async for reply in stream]
    assert not first.final
    assert rest[-1].text == "<hello> done"


# Many at once


@pytest.mark.load
async def test_two_hundred_at_once_are_admitted_and_each_has_an_answer_of_its_own(bot: Bot, echo: Echo) -> None:
    echo.gate.clear()
    streams = []
    for number in range(200):
        decision = bot.prepare(ask(f"/ask {number}", User(str(number), "x")))
        assert not decision.private
        streams.append(decision.start())
    firsts = await asyncio.gather(*(anext(stream) for stream in streams))
    assert len({reply.row for reply in firsts}) == 200
    for stream in streams:
        await stream.aclose()


# Several processes


def dice(says: str) -> str:
    """Return the source of a plugin."""
    head = "from bot import *\nclass Dice(Plugin):\n    @command()\n    async def roll(self, ctx: Context):\n"
    return head + f'        """Roll."""\n        yield Reply(text="{says}")\n'


async def test_changes_of_moderators_and_users_reach_another_process(
    make_bot: Callable[..., Bot], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.app.REFRESH_SECONDS", 0.01)
    (tmp_path / "dice.py").write_text(dice("one"))
    section = PluginsSection(enabled=(), folder=tmp_path, entry_points=False)
    school, echo = server_scope(ROOM), Echo()
    async with make_bot(Echo(), *plugin.load(section)) as here, make_bot(echo, *plugin.load(section)) as there:
        timeout = await there.timeouts.set(BEN, school, now() + timedelta(hours=1), "", MODERATOR)
        assert isinstance(there.prepare(ask("/ask hi", BEN)), Refuse)
        await here.timeouts.lift(timeout.id, school, MODERATOR)
        await eventually(lambda: not isinstance(there.prepare(ask("/ask hi", BEN)), Refuse))

        await here.settings.write([here.settings.make_change("answers.private", True, school)], MODERATOR)
        await eventually(lambda: there.prepare(ask("/ask hi")).private)

        await here.defaults.set(Caller(ANN, ROOM), here.registry.commands, "ask.temperature", 1.5)

        async def is_warmer() -> bool:
            return (await last(there, ask("/ask hi"))).card["temperature"] == "1.5"

        await eventually(is_warmer)

        (tmp_path / "dice.py").write_text(dice("two"))
        await here.registry.reload("dice")

        async def is_new() -> bool:
            return (await last(there, ask("/roll"))).text == "two"

        await eventually(is_new)

        echo.gate.clear()
        stream = there.prepare(ask("/ask hi")).start()
        while not (reply := await anext(stream)).text:
            pass
        assert await replies(here, press("stop", reply.row)) == []
        async with asyncio.timeout(PATIENCE_SECONDS):
            ended = [reply async for reply in stream][-1]
        assert (ended.text, ended.status) == ("<hi>", "Stopped.")
