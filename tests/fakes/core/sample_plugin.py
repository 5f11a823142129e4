"""A plugin whose signatures have every feature, for tests of commands."""

from collections.abc import AsyncIterator

from bot import Choice, Context, Plugin, Range, Reply, autocomplete, command, message_command
from bot.commands.command import Command


class Sample(Plugin):
    """Has several kinds of options, a command of two words, and completion."""

    name = "sample"

    @message_command("Say this", text="Say: {text}")
    @command(form=("prompt", "temperature"))
    async def ask(
        self,
        ctx: Context,
        prompt: Range[str, 1, 100],
        temperature: Range[float, 0, 2] = 0.7,
        style: Choice["plain", "rhyme"] = "plain",
        seed: int | None = None,
    ) -> AsyncIterator[Reply]:
        """Ask something.

        prompt: What you want to know
        temperature: How boldly
        """
        yield Reply(text=prompt)

    @command("lesson list", moderator=True, private=True)
    async def lessons(self, ctx: Context) -> AsyncIterator[Reply]:
        """List the lessons."""
        yield Reply(text="none")

    @autocomplete("ask", "prompt")
    async def questions(self, ctx: Context, typed: str) -> list[str]:
        return [typed + "?"]


def ask() -> Command:
    """Return the command /ask of the plugin."""
    return Sample().commands()[0]
