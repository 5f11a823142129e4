"""The greeting suggests what the plugins bring, where they are on."""

from collections.abc import AsyncIterator, Callable

from fakes.core.requests import MODERATOR, ROOM

from bot import Context, Plugin, Reply, Sentence, command
from bot.answers.greeting import welcome
from bot.app import Bot
from bot.settings.scopes import server_scope

HELLO = "Hello! I show how generative AI works. Try one of these:"


class Parrot(Plugin):
    name = "parrot"
    examples = (("/say pitch:2", Sentence("What is the capital of France?")), ("/say", ""), ("", "It bites."))

    @command()
    async def say(self, ctx: Context, text: str = "", pitch: int = 1) -> AsyncIterator[Reply]:
        """Say it."""
        yield Reply(text=text, final=True)


async def test_the_greeting_has_the_examples_of_the_plugins_that_are_on(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Parrot()) as bot:
        expected = [HELLO, "- `/say pitch:2 What is the capital of France?`", "- `/say`", "", "It bites."]
        assert welcome(bot, "en", ROOM).text.splitlines() == expected
        assert "- `/say pitch:2 text:Was ist die Hauptstadt" in welcome(bot, "de", ROOM, names_all=True).text
        await bot.registry.switch("parrot", server_scope(ROOM), MODERATOR, on=False)
        assert welcome(bot, "en", ROOM).text == HELLO
        assert welcome(bot, "en").text.splitlines() == expected
