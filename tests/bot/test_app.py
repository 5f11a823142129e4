"""Dispatch from end to end: real plugins' door, a real database, no platform and no model."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.asking import ANN, BEN, MODERATOR, ROOM, ask, last
from fakes.echo import Echo, names

from bot import UserError
from bot.app import Bot
from bot.message import User
from bot.scope import home


@pytest.fixture
async def bot(make_bot: Callable[..., Bot], echo: Echo) -> AsyncIterator[Bot]:
    async with make_bot(echo) as made:
        yield made


async def test_an_answer_grows_and_ends_with_its_buttons(bot: Bot, echo: Echo) -> None:
    echo.gate.clear()
    seen = []
    dispatch = bot.dispatch(ask("/ask hello"))
    assert (dispatch.private, dispatch.refused, dispatch.in_place, dispatch.form) == (False, False, False, None)
    async for reply in dispatch.replies:
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


async def test_words_without_a_slash_go_to_the_default_command(bot: Bot) -> None:
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
    dispatch = bot.dispatch(ask(text))
    assert (dispatch.refused, dispatch.private) == (True, True)
    (reply,) = [reply async for reply in dispatch.replies]
    assert (reply.text, reply.error, reply.private, reply.final) == (sentence, True, True, True)


async def test_who_may(bot: Bot) -> None:
    assert (await last(bot, ask("/rule", MODERATOR))).text == "ruled"
    assert "rule" not in {known.name for known in bot.commands_for(ANN, ROOM)}


async def test_the_deployment_can_name_moderators(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async with make_bot(echo, settings={"moderators.users": "zoe ann"}) as bot:
        assert (await last(bot, ask("/rule"))).text == "ruled"
        assert "rule" in {known.name for known in bot.commands_for(ANN, ROOM)}
        assert (await last(bot, ask("/rule", BEN))).error


async def test_private_is_decided_before_anything_runs(bot: Bot) -> None:
    dispatch = bot.dispatch(ask("/whisper hi"))
    assert dispatch.private
    assert {reply.private async for reply in dispatch.replies} == {True}


async def test_the_deployment_can_make_answers_private(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async with make_bot(echo, settings={"answers.private": True}) as bot:
        assert bot.dispatch(ask("/ask hi")).private


async def test_errors_are_sentences(bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    known = await last(bot, ask("/fail user"))
    assert (known.text, known.private) == ("No bananas today.", True)
    unknown = await last(bot, ask("/fail other"))
    assert "secret" not in unknown.text
    number = unknown.text.split("error ")[1].split(")")[0]
    assert f"Error {number} in /fail" in caplog.text
    late = await last(bot, ask("/fail late user"))
    assert (late.text, late.private, late.error) == ("so far\n\nNo bananas today.", False, True)


async def test_the_error_speaks_the_askers_language(bot: Bot) -> None:
    german = replace(ANN, locale="de-DE")
    assert (await last(bot, ask("/rule", german))).text == "/rule ist nur für Moderatoren."


async def test_closing_the_replies_ends_the_handler(bot: Bot, echo: Echo) -> None:
    echo.gate.clear()
    stream = bot.dispatch(ask("/ask hello")).replies
    async for reply in stream:
        if reply.text:
            break
    await stream.aclose()
    assert echo.ended == ["hello"]
    row = await bot.journal.get(reply.row)
    assert row is not None
    assert (row.state, row.text) == ("interrupted", "<hello>")


async def test_a_slow_reader_does_not_hold_the_handler_up(bot: Bot, echo: Echo) -> None:
    stream = bot.dispatch(ask("/ask hello")).replies
    first = await anext(stream)
    async with asyncio.timeout(10):
        await echo.over.wait()
    rest = [reply async for reply in stream]
    assert not first.final
    assert rest[-1].text == "<hello> done"


# The conversation


async def test_a_room_is_a_conversation_and_a_thread_another(bot: Bot) -> None:
    await last(bot, ask("/ask one"))
    thread = replace(ROOM, thread="7")
    assert (await last(bot, ask("/ask two", place=thread))).card["turns"] == ""
    assert (await last(bot, ask("/ask three"))).card["turns"] == "user:one|assistant:<one> done"
    assert (await last(bot, ask("/ask four", place=thread))).card["turns"] == "user:two|assistant:<two> done"


async def test_new_starts_afresh(bot: Bot) -> None:
    await last(bot, ask("/ask one"))
    await last(bot, ask("/new"))
    assert (await last(bot, ask("/ask two"))).card["turns"] == ""
    assert (await last(bot, ask("/ask three"))).card["turns"] == "user:two|assistant:<two> done"


async def test_a_reply_follows_its_own_chain(bot: Bot) -> None:
    first = await last(bot, ask("/ask one", message="m1"))
    await bot.sent(first.row, ["a1"])
    await last(bot, ask("/ask elsewhere"))
    assert (await last(bot, ask("two", message="m2", reply_to="a1"))).card["turns"] == "user:one|assistant:<one> done"


async def test_another_members_private_words_stay_private(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async with make_bot(echo, settings={"answers.private": True}) as bot:
        await last(bot, ask("/ask mine"))
        assert (await last(bot, ask("/ask yours", BEN))).card["turns"] == ""
        assert (await last(bot, ask("/ask more"))).card["turns"] == "user:mine|assistant:<mine> done"


async def test_the_conversation_survives_a_restart(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Echo()) as bot:
        await last(bot, ask("/ask one"))
    async with make_bot(Echo()) as bot:
        assert (await last(bot, ask("/ask two"))).card["turns"] == "user:one|assistant:<one> done"


# Acknowledging


@pytest.mark.load
async def test_two_hundred_at_once_are_each_acknowledged_within_milliseconds(bot: Bot, echo: Echo) -> None:
    echo.gate.clear()
    slowest = 0.0
    streams = []
    for number in range(200):
        began = time.perf_counter()
        dispatch = bot.dispatch(ask(f"/ask {number}", User(str(number), "x")))
        slowest = max(slowest, time.perf_counter() - began)
        assert not dispatch.private
        streams.append(dispatch.replies)
    firsts = await asyncio.gather(*(anext(stream) for stream in streams))
    print(f"slowest decision: {slowest * 1000:.2f} ms")
    assert len({reply.row for reply in firsts}) == 200
    for stream in streams:
        await stream.aclose()


# Plugins in several processes


async def test_a_switch_and_a_reload_reach_the_other_process(make_bot: Callable[..., Bot], tmp_path: Path) -> None:
    from bot import plugin
    from bot.config import PluginsSection

    source = "from bot import *\nclass Dice(Plugin):\n    @command()\n    async def roll(self, ctx: Context):\n"
    file = tmp_path / "dice.py"
    file.write_text(source + '        """Roll."""\n        yield Reply(text="one")\n')
    section = PluginsSection(enabled=("ask",), folder=tmp_path, entry_points=False)
    async with make_bot(*plugin.load(section)) as here, make_bot(*plugin.load(section)) as there:
        await here.registry.switch("dice", home(ROOM), ANN, on=False)
        assert (await last(there, ask("/roll"))).text == "one"
        await there.settings.refresh()
        assert (await last(there, ask("/roll"))).text == "/roll is switched off here."
        await here.registry.switch("dice", home(ROOM), ANN, on=True)
        file.write_text(source + '        """Roll."""\n        yield Reply(text="two")\n')
        await here.registry.reload("dice")
        await there.settings.refresh()
        await there.registry.refresh()
        assert (await last(here, ask("/roll"))).text == "two"
        assert (await last(there, ask("/roll"))).text == "two"
        file.write_text("broken(")
        with pytest.raises(UserError, match="The running one stays"):
            await here.registry.reload("dice")
        assert (await last(here, ask("/roll"))).text == "two"
