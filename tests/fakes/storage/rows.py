"""Message rows that tests store directly, and a command for those that are stored as by the bot."""

from collections.abc import AsyncIterator
from typing import Any

from bot import Context, Plugin, Reply, command
from bot.storage.database import Database, MessageRow, now


class Sample(Plugin):
    """Has the command."""

    name = "sample"

    @command()
    async def ask(self, ctx: Context, prompt: str, seed: int = 0) -> AsyncIterator[Reply]:
        """Ask."""
        yield Reply(text=prompt)


(ASK,) = Sample().commands()


def message(**values: Any) -> MessageRow:
    """Return a message row with default values except for `values`."""
    common = {
        "platform": "test", "server": "school", "channel": "room", "thread": "", "external": "", "parent": None,
        "author": "ann", "author_name": "Ann", "role": "user", "text": "hi", "command": "ask", "options": {},
        "seed": None, "card": {}, "buttons": [], "private": False, "state": "done", "instance": "", "resume": {},
        "created": now(),
    }  # fmt: skip
    return MessageRow(**(common | values))


async def keep(database: Database, **values: Any) -> MessageRow:
    """Store a message row, and return it."""
    row = message(**values)
    async with database.writing() as session:
        session.add(row)
    return row


async def exchange(database: Database, question: str, answer: str, **values: Any) -> tuple[MessageRow, MessageRow]:
    """Store a question and an answer to it; both rows get `values`."""
    asked = await keep(database, text=question, **values)
    return asked, await keep(database, text=answer, **(values | {"role": "assistant", "parent": asked.id}))
