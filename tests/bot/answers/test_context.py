"""A handler reaches other plugins and pages through its context."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from fakes.core.requests import ANN, ROOM, ask, last

from bot import Context, Page, Part, Place, Plugin, Reference, Reply, User, UserError, command
from bot.answers import context
from bot.app import Bot
from bot.inference.client import ModelClient
from bot.platforms.capabilities import PLATFORMS
from bot.settings.scopes import server_scope
from bot.storage.database import Database

PAGE = Page(name="words", title="Words", parts=(Part(heading="Token", text="A piece.", anchor="token"),))


class Wondering(Plugin):
    """Shows what other plugins know, and the address of its own page."""

    name = "wondering"

    @command()
    async def wonder(self, ctx: Context, about: str) -> AsyncIterator[Reply]:
        """Wonder."""
        known = await ctx.known(about)
        yield Reply(text=f"{known.text} ({known.source})" if known else "nobody knows", final=True)

    @command()
    async def where(self, ctx: Context) -> AsyncIterator[Reply]:
        """Say where the page is."""
        yield Reply(text=f"<{ctx.link('words', 'token')}> <{ctx.link('words')}>", final=True)


class Sage(Plugin):
    """A plugin that knows something, fails, or never returns."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    async def pages(self, place: Place) -> Sequence[Page]:
        if self.name == "broken":
            raise RuntimeError("no page")
        return [PAGE] if self.name == "wise" else ()

    async def knows(self, place: Place, question: str, user: User) -> Reference | None:
        match self.name:
            case "broken":
                raise UserError("no idea")
            case "slow":
                await asyncio.Event().wait()
            case "wise" if question == "why":
                return Reference(f"because, {user.name} in {place.server}", "Words")
        return None


@pytest.fixture
def make_bot(tmp_path: Path) -> Callable[..., Bot]:
    def make(*plugins: Plugin, **options: object) -> Bot:
        return Bot(
            ModelClient("http://127.0.0.1:9"),
            plugins,
            Database(f"sqlite:///{tmp_path}/t.db"),
            platforms=PLATFORMS,
            **options,
        )

    return make


async def test_the_first_plugin_that_knows_answers_and_only_where_it_is_on(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Wondering(), Sage("dull"), Sage("wise")) as bot:
        assert (await last(bot, ask("/wonder why"))).text == "because, Ann in school (Words)"
        assert (await last(bot, ask("/wonder whence"))).text == "nobody knows"
        await bot.registry.switch("wise", server_scope(ROOM), ANN, on=False)
        assert (await last(bot, ask("/wonder why"))).text == "nobody knows"


async def test_a_plugin_that_fails_or_is_slow_is_passed_over(
    make_bot: Callable[..., Bot], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(context, "LOOKUP_SECONDS", 0.05)
    async with make_bot(Wondering(), Sage("broken"), Sage("slow"), Sage("wise")) as bot:
        with caplog.at_level(logging.WARNING):
            assert (await last(bot, ask("/wonder why"))).text == "because, Ann in school (Words)"
    assert "Plugin “broken” failed to look up a question" in caplog.text
    assert "Plugin “slow” took too long" in caplog.text


@pytest.mark.parametrize(
    ("place", "url", "words"),
    [
        (Place("web", "general", server="web"), "", "/read/wondering/words?room=general"),
        (Place("web", "7b-ö", server="web"), "https://chat.example.org", "/read/wondering/words?room=7b-%C3%B6"),
        (Place("terminal", "terminal"), "http://127.0.0.1:8080", "http://127.0.0.1:8080/read/wondering/words"),
        (Place("terminal", "terminal"), "", ""),
        (ROOM, "http://127.0.0.1:8080", ""),
        (ROOM, "https://chat.example.org", "https://chat.example.org/read/wondering/words"),
    ],
)
async def test_a_link_is_given_where_somebody_could_open_it(
    make_bot: Callable[..., Bot], place: Place, url: str, words: str
) -> None:
    async with make_bot(Wondering(), web_url=url) as bot:
        expected = f"<{words}#token> <{words}>" if words else "<> <>"
        assert (await last(bot, ask("/where", ANN, place))).text == expected


async def test_pages_are_those_of_the_plugins_that_are_on(
    make_bot: Callable[..., Bot], caplog: pytest.LogCaptureFixture
) -> None:
    async with make_bot(Sage("broken"), Sage("dull"), Sage("wise")) as bot:
        assert await bot.registry.pages(ROOM) == {"wise": [PAGE]}
        assert "Plugin “broken” could not list its pages" in caplog.text
        await bot.registry.switch("wise", server_scope(ROOM), ANN, on=False)
        assert await bot.registry.pages(ROOM) == {}
