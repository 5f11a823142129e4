"""A database that is full, locked or away: one sentence for people, one line in the log, and then things go on."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import WSServerHandshakeError
from fakes.core.echo_plugin import Echo
from fakes.core.requests import ask, last, press
from fakes.model_server.gateway import eventually
from fakes.platforms.web_page import visitor
from fakes.storage.postgres import server
from fakes.storage.trouble import SmallDisk, locked, stopped, wait_briefly
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bot.app import Bot
from bot.config.sections import WebSection
from bot.core.errors import DatabaseUnavailable
from bot.inference.client import ModelClient
from bot.platforms.web import WebPlatform
from bot.storage.database import Database, PluginRow
from bot.storage.failures import Failures

if TYPE_CHECKING:
    from bot.core.messages import Reply

SENTENCE = (
    "My database cannot be used at the moment, so nothing can be read or stored. Please try again later; whoever runs "
    "me finds the reason in my log."
)
Trouble = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    wait_briefly(monkeypatch, 1.0)
    monkeypatch.setattr("bot.app.REFRESH_SECONDS", 0.05)


@pytest.fixture(scope="module")
def postgresql() -> Any:
    with server() as running:
        yield running


@pytest.fixture(params=["full", "locked", pytest.param("stopped", marks=pytest.mark.processes)])
async def troubled(request: pytest.FixtureRequest, echo: Echo, tmp_path: Path) -> AsyncIterator[tuple[Bot, Trouble]]:
    """A bot, and the trouble that its database has in turn."""
    address = f"sqlite:///{tmp_path}/tempera.db"
    if request.param == "stopped":
        postgres = request.getfixturevalue("postgresql")
        address = f"postgresql://postgres@/postgres?host={postgres.get_postmaster_info().socket_dir}"
    client = ModelClient("http://127.0.0.1:9")
    database = Database(address)
    disk = SmallDisk(database)
    async with Bot(client, [echo], database, settings={"safety.level": "off", "limits.user.hour": 5}) as bot:
        troubles = {
            "full": disk.full,
            "locked": lambda: locked(tmp_path / "tempera.db"),
            "stopped": lambda: stopped(postgres),
        }
        yield bot, troubles[request.param]


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the log says, none of it with a trace."""
    # Of garbage that earlier tests left, other loggers may tell at any time.
    told = [one for one in caplog.records if one.levelno >= logging.WARNING and one.name.startswith("bot")]
    assert not [record for record in told if record.exc_info]
    return [record.getMessage() for record in told]


def prompt(word: str) -> str:
    """Return a question that does not fit into the free space of a small file."""
    return f"/ask {word * 8000}"


async def test_a_question_is_answered_by_one_sentence_and_later_ones_as_ever(
    troubled: tuple[Bot, Trouble], caplog: pytest.LogCaptureFixture
) -> None:
    bot, trouble = troubled
    async with trouble():
        for _ in range(3):
            reply = await last(bot, ask(prompt("why ")))
            assert (reply.text, reply.error, reply.private, reply.buttons) == (SENTENCE, True, True, ())
    lines = failures(caplog)
    # A full file may have room for something small meanwhile.
    assert [line.partition("cannot")[1] for line in lines] in (["cannot"], ["cannot", ""])
    assert lines[0].startswith(f"The database {bot.database.name} cannot be used: ")
    assert (await last(bot, ask("/ask why"))).text == "<why> done"
    assert failures(caplog)[-1].endswith("again.")


async def test_an_answer_under_way_ends_with_the_sentence_and_without_stop(
    troubled: tuple[Bot, Trouble], echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    bot, trouble = troubled
    echo.gate.clear()
    shown: list[Reply] = []

    async def follow() -> None:
        shown.extend([reply async for reply in bot.prepare(ask("/ask why")).start()])

    following = asyncio.create_task(follow())
    await eventually(lambda: any(bot.runs.newest(row).text for row in bot.runs.ids))
    [row] = bot.runs.ids
    async with trouble():
        # So that it does not fit into the free space of a small file.
        echo.more = " and done" * 8000
        echo.gate.set()
        await following
        reply = shown[-1]
        assert (reply.final, reply.error, reply.partial, reply.row) == (True, True, True, row)
        assert reply.text.startswith("<why>")
        assert reply.text.endswith(f"\n\n{SENTENCE}")
        assert "stop" not in [button.action for button in reply.buttons]
        assert [line.partition("cannot")[1] for line in failures(caplog)] in (["cannot"], ["cannot", ""])

    async def is_settled() -> bool:
        found = await bot.messages.get(row)
        return found is not None and found.state == "failed" and found.text == reply.text

    await eventually(is_settled)
    assert (await last(bot, press("again", row))).text.startswith("<why>")


async def test_a_refusal_is_explained_even_if_it_cannot_be_recorded(troubled: tuple[Bot, Trouble]) -> None:
    bot, trouble = troubled
    for _ in range(5):
        await last(bot, ask("/ask why"))
    async with trouble():
        reply = await last(bot, ask("/ask why"))
    assert reply.text.startswith("The limit here is 5 per hour")


async def test_the_page_shows_the_sentence(
    make_bot: Callable[..., Bot], echo: Echo, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        make_bot(echo) as bot,
        WebPlatform(bot, WebSection(port=0)).serve() as url,
        visitor(url) as ann,
        ann.page() as page,
    ):
        echo.gate.clear()
        await page.say("/ask why")
        await page.until("exchange", lambda message: message["reply"]["text"] == "<why>")
        async with locked(tmp_path / "tempera.db"):
            echo.gate.set()
            reply = (await page.final())["reply"]
            assert reply["text"].startswith("<why>")
            assert reply["text"].endswith(f"\n\n{SENTENCE}")
            assert "Stop" not in [button["label"] for button in reply["buttons"]]
            ref = await page.press(page.exchanges[max(page.exchanges)], "Again")
            refused = await page.until("refused", lambda message: message["ref"] == ref)
            assert refused["text"] == SENTENCE
        await page.say("/ask again")
        done = lambda message: message["question"] == "/ask again" and message["reply"]["final"]  # noqa: E731
        assert (await page.until("exchange", done))["reply"]["text"] == "<again> done"
    assert [line.partition("cannot")[1] for line in failures(caplog)] == ["cannot", ""]


async def test_the_web_chat_waits_for_the_database(
    make_bot: Callable[..., Bot],
    echo: Echo,
    tmp_path: Path,
    unused_tcp_port: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("bot.core.background.RETRY_SECONDS", 0.05)
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "bot.core.background")
    async with make_bot(echo) as bot:
        async with locked(tmp_path / "tempera.db"):
            running = asyncio.create_task(WebPlatform(bot, WebSection(port=unused_tcp_port)).run())
            await eventually(lambda: running.done() or "Something waits until the database is back" in caplog.text)
        await eventually(lambda: running.done() or "The web chat is at" in caplog.text)
        assert not running.done()
        async with visitor(f"http://127.0.0.1:{unused_tcp_port}") as ann, ann.page() as page:
            await page.say("/ask why")
            assert (await page.final())["reply"]["text"] == "<why> done"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.processes
async def test_a_file_of_an_answer_is_there_again_when_the_database_is(echo: Echo, postgresql: Any) -> None:
    address = f"postgresql://postgres@/postgres?host={postgresql.get_postmaster_info().socket_dir}"
    async with Bot(ModelClient("http://127.0.0.1:9"), [echo], Database(address)) as bot:
        async with WebPlatform(bot, WebSection(port=0)).serve() as url, visitor(url) as ann, ann.page() as page:
            await page.say("/offer")
            await page.final()
        # After a start, files are in the database alone.
        async with WebPlatform(bot, WebSection(port=0)).serve() as url, visitor(url) as ann, ann.page() as page:
            picture = next(iter(page.exchanges.values()))["reply"]["pictures"][0]["url"]

            async def fetch() -> tuple[int, str]:
                async with ann.session.get(f"{url}{picture}") as response:
                    return response.status, await response.text()

            async with stopped(postgresql):
                assert await fetch() == (HTTPStatus.SERVICE_UNAVAILABLE, SENTENCE)
            assert await fetch() == (HTTPStatus.OK, "png")


@pytest.mark.processes
async def test_nobody_is_moved_out_of_their_private_place_while_it_cannot_be_read(echo: Echo, postgresql: Any) -> None:
    address = f"postgresql://postgres@/postgres?host={postgresql.get_postmaster_info().socket_dir}"
    async with (
        Bot(ModelClient("http://127.0.0.1:9"), [echo], Database(address)) as bot,
        WebPlatform(bot, WebSection(port=0)).serve() as url,
        visitor(url) as ann,
        ann.page() as page,
    ):
        own = page.received[0]["private"]
        async with stopped(postgresql):
            with pytest.raises(WSServerHandshakeError) as refused:
                async with ann.page(room=own):
                    pass
            assert refused.value.status == HTTPStatus.SERVICE_UNAVAILABLE
            async with ann.session.get(f"{url}/socket?room={own}") as response:
                assert await response.text() == SENTENCE
            await page.send("enter", room=own)
            stayed = await page.until("welcome")
            assert (stayed["room"], stayed["notice"]) == ("general", SENTENCE)
        await page.send("enter", room=own)
        assert (await page.until("welcome"))["room"] == own


async def test_a_wrong_statement_is_no_failure_of_the_database(database: Database) -> None:
    for statement in ("SELECT nothing FROM nowhere", "INSERT INTO plugin_data (plugin) VALUES (NULL)"):
        with pytest.raises(DBAPIError):
            async with database.writing() as session:
                await session.execute(text(statement))


async def test_what_else_fails_in_a_transaction_is_no_failure_of_the_database(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.writing() as session:
            session.add(PluginRow(plugin="test", scope="", key="k", value=1 / 0))


def test_a_failure_that_goes_on_is_told_now_and_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Failures("sqlite:///x.db", ())

    def fail(reason: str = "no space", access: str = "writing") -> None:
        with pytest.raises(DatabaseUnavailable), seen.reported(access):
            raise OSError(reason)

    def succeed(access: str) -> None:
        with seen.reported(access):
            pass

    for _ in range(5):
        fail()
        succeed("reading")
    monkeypatch.setattr("bot.storage.failures.time", AdvancedClock)
    fail("no disk")
    fail("no disk", "reading")
    succeed("writing")
    assert len(failures(caplog)) == 2
    succeed("reading")
    fail("no power")
    succeed("writing")
    about = "The database sqlite:///x.db cannot be used"
    assert failures(caplog) == [
        f"{about}: no space",
        f"{about}: no disk (4 more failures since the last report)",
        "The database sqlite:///x.db can be used again.",
    ]


class AdvancedClock:
    """A clock two minutes later."""

    @staticmethod
    def monotonic() -> float:
        return time.monotonic() + 120
