from collections.abc import AsyncIterator

import pytest
from fakes.core.sample_plugin import Sample, ask

from bot import Choice, Context, Plugin, Reply, command
from bot.core.errors import PluginError


def test_the_signature_is_the_schema() -> None:
    prompt, temperature, style, seed = ask().options
    assert (prompt.kind, prompt.required, prompt.minimum, prompt.maximum, prompt.free_text) == (
        "text",
        True,
        1,
        100,
        True,
    )
    assert (temperature.kind, temperature.default, temperature.maximum) == ("number", 0.7, 2)
    assert (style.kind, style.choices, style.free_text) == ("choice", ("plain", "rhyme"), False)
    assert (seed.kind, seed.required, seed.default) == ("integer", False, None)
    assert [option.form for option in ask().options] == [True, True, False, False]
    assert temperature.description == "How boldly"
    assert prompt.complete is not None
    assert ask().in_messages == "Say this"
    assert not ask().threads


def test_decorators_store_the_traits_of_a_command() -> None:
    lessons = Sample().commands()[1]
    assert (lessons.name, lessons.moderator, lessons.private, lessons.in_messages) == (
        "lesson list",
        True,
        True,
        "",
    )


class Ways(Plugin):
    name = "ways"

    @command(form=("from",))
    async def way(self, ctx: Context, from_: int, to: int = 9) -> AsyncIterator[Reply]:
        """Show a way.

        from: Where it begins
        """
        yield Reply(text=f"{from_} to {to}")


async def test_an_option_may_have_a_name_that_python_keeps_to_itself() -> None:
    (way,) = Ways().commands()
    begin = way.options[0]
    assert (begin.name, begin.description, begin.form) == ("from", "Where it begins", True)
    assert way.parse("from:3") == {"from": "3"}
    assert [reply.text async for reply in way.call(None, {"from": 3})] == ["3 to 9"]


class Numbers(Plugin):
    name = "numbers"

    @command()
    async def figures(self, ctx: Context, days: Choice[7, 30] = 7, server: str = "") -> AsyncIterator[Reply]:
        """Show figures."""
        yield Reply()

    @command()
    async def letters(self, ctx: Context, size: int = 1, text: str = "") -> AsyncIterator[Reply]:
        """Show letters."""
        yield Reply()

    @command()
    async def rhymes(self, ctx: Context, word: str, style: Choice["pure", "any"] = "any") -> AsyncIterator[Reply]:
        """Show rhymes."""
        yield Reply()


def test_the_free_text_goes_to_the_first_required_text_or_else_the_first_text_or_choice() -> None:
    parsed = {known.name: known.parse("30") for known in Numbers().commands()}
    assert parsed == {"figures": {"days": "30"}, "letters": {"text": "30"}, "rhymes": {"word": "30"}}


class NoDocstring(Plugin):
    @command()
    async def bare(self, ctx: Context) -> AsyncIterator[Reply]:
        yield Reply()


class NotAGenerator(Plugin):
    @command()
    async def plain(self, ctx: Context) -> Reply:
        """Answer."""
        return Reply()


class OddType(Plugin):
    @command()
    async def odd(self, ctx: Context, what: list[str]) -> AsyncIterator[Reply]:
        """Odd."""
        yield Reply()


class BadName(Plugin):
    @command("One Two Three")
    async def bad(self, ctx: Context) -> AsyncIterator[Reply]:
        """Bad."""
        yield Reply()


class ForeignField(Plugin):
    @command(form=("a", "b"))
    async def foreign(self, ctx: Context, a: str) -> AsyncIterator[Reply]:
        """Foreign."""
        yield Reply()


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (NoDocstring, "first line must say"),
        (NotAGenerator, "async generator"),
        (OddType, "option “what” must be one of str, int"),
        (BadName, "one or two words"),
        (ForeignField, "only options of the command"),
    ],
)
def test_a_wrong_declaration_raises_an_error_that_says_why(plugin: type[Plugin], reason: str) -> None:
    with pytest.raises(PluginError, match=reason):
        plugin().commands()
