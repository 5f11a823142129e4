"""Answers whose process is dead are found by a living one, which has their platform show that."""

from collections.abc import Callable

from fakes.core.echo_plugin import Echo
from fakes.core.requests import ROOM
from fakes.storage.rows import keep
from sqlalchemy import update

from bot.app import Bot
from bot.storage.database import MessageRow


async def unfinished(bot: Bot, instance: str) -> int:
    """Store an answer that a process of this name is making, and return its row."""
    row = await keep(bot.database, text="", role="assistant", state="running", instance=instance)
    return row.id


async def test_an_answer_of_a_dead_process_is_restored_at_the_second_look(
    make_bot: Callable[..., Bot], echo: Echo
) -> None:
    called = 0

    async def restore() -> None:
        nonlocal called
        called += 1
        await bot.stored.mark_interrupted([ROOM.platform])

    async with make_bot(echo) as bot:
        abandoned = bot.abandoned
        await unfinished(bot, bot.instance.id)
        row = await unfinished(bot, "a dead one")
        with abandoned.restored_by(ROOM.platform, restore):
            await abandoned.look()
            assert called == 0
            await abandoned.look()
            assert called == 1
            await abandoned.look()
            await abandoned.look()
        assert called == 1
        stored = await bot.messages.get(row)
        assert stored is not None
        assert stored.state == "interrupted"


async def test_an_answer_that_was_just_asked_to_stop_is_not_abandoned(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async def restore() -> None:
        raise AssertionError("nothing is abandoned")

    async with make_bot(echo) as bot:
        row = await unfinished(bot, bot.instance.id)
        stored = await bot.messages.get(row)
        assert stored is not None
        await bot.messages.request_stop(stored)
        with bot.abandoned.restored_by(ROOM.platform, restore):
            await bot.abandoned.look()
            async with bot.database.writing() as session:
                await session.execute(update(MessageRow).where(MessageRow.id == row).values(state="stopped"))
            await bot.abandoned.look()
