"""Answers that people act on while they are made: their buttons, choices behind one, and how a restart ends them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from fakes.core.requests import ANN, BEN, ask, last, press
from fakes.model_server.gateway import PATIENCE_SECONDS

from bot import Button, Context, Plugin, Reply, command
from bot.answers.decision import Choose
from bot.app import Bot
from bot.core.i18n import Sentence
from bot.safety.errors import Unsafe


class Board(Plugin):
    """A board stays open until it is closed; its button leads to two choices."""

    name = "board"

    def __init__(self) -> None:
        super().__init__()
        self.closed = asyncio.Event()

    @command()
    async def board(self, ctx: Context) -> AsyncIterator[Reply]:
        """Show a board until it is closed."""
        yield Reply(text="Open", buttons=(Button("Choose", "choose", choices=2), Button("Close", "close")))
        await self.closed.wait()
        yield Reply(text="Open and shut", buttons=(Button("Other", "choose"),), final=True)

    @command(hidden=True)
    async def choose(self, ctx: Context, choice: int = 0) -> AsyncIterator[Reply]:
        """Choose something."""
        if choice == 2:
            raise Unsafe(Sentence("The second choice is taken."), code="blocked_word")
        yield Reply(text=f"{ctx.user.name} chose {choice}", buttons=(Button("1"), Button("2")), final=True)

    @command("close", hidden=True)
    async def shut(self, ctx: Context) -> AsyncIterator[Reply]:
        """Close it."""
        self.closed.set()
        yield Reply(text="Closed", final=True)

    async def conclude(self, answer: int) -> Reply | None:
        """End a board whose process has ended."""
        return Reply(text=f"Shut in a hurry, {answer}", buttons=(Button("Other", "choose"),), final=True)


@asynccontextmanager
async def open_board(bot: Bot) -> AsyncIterator[tuple[Reply, asyncio.Task[list[Reply]]]]:
    """Show a board; yields its first reply with words, and the task that returns the later ones."""
    stream = bot.prepare(ask("/board")).start()
    async for shown in stream:
        if shown.text:
            break

    async def rest() -> list[Reply]:
        return [reply async for reply in stream]

    later = asyncio.create_task(rest())
    try:
        yield shown, later
    finally:
        await stream.aclose()
        await asyncio.gather(later, return_exceptions=True)


async def count_rows(bot: Bot) -> int:
    """Return how many messages are stored in the room."""
    return len(await bot.messages.recent(ask("").place, 100))


async def test_buttons_can_be_pressed_while_an_answer_is_made(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Board()) as bot, open_board(bot) as (shown, later):
        assert [button.id.split(":")[1] for button in shown.buttons] == ["c0", "b1", "stop"]
        row = await bot.messages.get(shown.row)
        assert row is not None
        assert [button.label for button in (await bot.stored.snapshot(row, "en")).buttons] == [
            "Choose",
            "Close",
            "Stop",
        ]
        assert (await last(bot, press("b1", shown.row, BEN))).text == "Closed"
        ended = (await later)[-1]
        # A late press of Close must not press another button, so that none has its number.
        assert [button.id.split(":")[1] for button in ended.buttons][:1] == ["b2"]
        assert (await last(bot, press("b1", shown.row))).text == "This button has expired."


async def test_a_choice_is_shown_to_whoever_makes_it_and_stored_nowhere(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Board()) as bot, open_board(bot) as (shown, _):
        before = await count_rows(bot)
        assert isinstance(bot.prepare(press("c0", shown.row, BEN)), Choose)
        offered = await last(bot, press("c0", shown.row, BEN))
        assert (offered.text, offered.private, offered.row) == ("Ben chose 0", True, 0)
        assert [button.id for button in offered.buttons] == [f"t:c1:{shown.row}", f"t:c2:{shown.row}"]
        assert (await last(bot, press("c1", shown.row))).text == "Ann chose 1"
        refused = await last(bot, press("c2", shown.row))
        assert (refused.text, refused.error, refused.private) == ("The second choice is taken.", True, True)
        # It can be appealed against, which is no choice.
        assert [button.id.split(":")[1] for button in refused.buttons] == ["appeal"]
        assert (await last(bot, press("c3", shown.row))).text == "This button has expired."
        assert await count_rows(bot) == before


async def test_choices_of_one_person_are_shown_in_their_order(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Board()) as bot, open_board(bot) as (shown, _):
        first, second = (bot.prepare(press(name, shown.row)) for name in ("c0", "c1"))
        async with first.turn:
            waiting = asyncio.create_task(second.turn.__aenter__())
            async with bot.prepare(press("c1", shown.row, BEN)).turn:
                await asyncio.sleep(0)
                assert not waiting.done()
        await asyncio.wait_for(waiting, PATIENCE_SECONDS)
        await second.turn.__aexit__(None, None, None)
        # What c0 stands under stays, and one choice takes the place of the one before.
        assert (first.replaces, second.replaces) == (False, True)


async def test_a_stopped_answer_keeps_none_of_its_buttons(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Board()) as bot, open_board(bot) as (shown, later):
        bot.runs.stop(shown.row)
        assert "Choose" not in [button.label for button in (await later)[-1].buttons]
        assert (await last(bot, press("c0", shown.row, ANN))).error


async def test_a_plugin_concludes_what_was_interrupted(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Board()) as bot, open_board(bot) as (shown, _):
        pass
    async with make_bot(Board()) as again:
        row = await again.messages.get(shown.row)
        assert row is not None
        ended = await again.stored.snapshot(row, "en")
        assert (ended.text, ended.status) == (f"Shut in a hurry, {shown.row}", "Interrupted: the bot was restarted.")
        assert [button.id.split(":")[1] for button in ended.buttons][:1] == ["b2"]
        # What a process left that was killed.
        await again.messages.update(shown.row, state="running", text="", instance="gone")
        [row] = await again.stored.mark_interrupted(["test"])
        assert row.text == f"Shut in a hurry, {shown.row}"


async def test_an_end_in_order_concludes_answers_also_where_none_is_kept(
    make_bot: Callable[..., Bot], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def purge_nothing(_: Bot) -> None:
        """Keep what the bot would delete at its start, which may be in the moment before it is read here."""

    monkeypatch.setattr(Bot, "_purge_all", purge_nothing)
    async with make_bot(Board(), retention_days=0) as bot:
        async with open_board(bot) as (shown, _):
            pass
        row = await bot.messages.get(shown.row)
        assert row is not None
        assert (row.state, row.text) == ("interrupted", f"Shut in a hurry, {shown.row}")
