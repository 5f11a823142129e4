"""Messages that are too old are deleted while the bot runs; with a retention of 0, each one after its answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.core.requests import ANN, BEN, ROOM, ask, last, press, replies
from fakes.model_server.gateway import eventually
from fakes.model_server.model_api import FakeModels
from fakes.storage.database_dump import rows, rows_holding
from fakes.storage.rows import message
from pydantic import ValidationError

from bot.app import Bot
from bot.config.sections import DatabaseSection, PluginsSection
from bot.core.messages import Reply
from bot.inference.client import ModelClient
from bot.plugin_host import plugin
from bot.settings.scopes import server_scope
from bot.storage import counters
from bot.storage.audit import REFUSAL, AuditEntry, add_entry
from bot.storage.database import Database, now

EXPIRED = "This has expired: it is no longer stored."
CONTENT = ("messages", "attachments", "votes", "tokens", "deliveries")


@asynccontextmanager
async def forgetful(address: str, models: FakeModels, days: float = 0) -> AsyncIterator[Bot]:
    plugins = plugin.load(PluginsSection(enabled=("ask", "face", "imagine"), entry_points=False))
    client = ModelClient(models.url)
    settings = {"safety.level": "off"}
    purge_all, is_purged = Bot._purge_all, asyncio.Event()

    async def purge_and_tell(bot: Bot) -> None:
        await purge_all(bot)
        is_purged.set()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Bot, "_purge_all", purge_and_tell)
        async with Bot(client, plugins, Database(address), settings=settings, retention_days=days) as bot:
            # What is deleted as it starts is nothing of the test.
            await is_purged.wait()
            yield bot


async def happened(database: Database, what: str, days: float) -> None:
    """Store a message, a refusal and a count that are `days` old, each with the word `what` in it."""
    then = now() - timedelta(days=days)
    async with database.writing() as session:
        session.add(message(text=what, created=then))
        add_entry(session, AuditEntry(actor=ANN, place=ROOM, kind=REFUSAL, what="ask", before=what)).created = then
        await session.run_sync(counters.count, ("test", "school"), counters.USE, what, "done", counters.day_of(then))


async def content(bot: Bot) -> dict[str, list[str]]:
    found = await rows(bot.database)
    return {name: found[name] for name in CONTENT if found[name]}


async def is_forgotten(bot: Bot, what: str) -> bool:
    return not await rows_holding(bot.database, what)


def test_the_retention_can_be_set() -> None:
    assert DatabaseSection(retention_days=0).retention_days == 0
    assert DatabaseSection().audit_days == 400
    with pytest.raises(ValidationError):
        DatabaseSection(audit_days=0)


async def test_the_audit_has_a_retention_of_its_own(tmp_path: Path, models: FakeModels) -> None:
    address = f"sqlite:///{tmp_path}/tempera.db"
    plugins = plugin.load(PluginsSection(enabled=("ask",), entry_points=False))
    async with Database(address) as database:
        for days in (7, 5):
            await happened(database, f"{days} days", days)
    async with Bot(ModelClient(models.url), plugins, Database(address), audit_days=6) as bot:

        async def has_one_entry() -> bool:
            return [row.before for row in await bot.audit.find("test", "school")] == ["5 days"]

        await eventually(has_one_entry)


async def test_messages_that_grew_too_old_while_no_bot_ran_are_deleted_at_the_start(
    address: str, models: FakeModels
) -> None:
    async with Database(address) as database:
        await happened(database, "aubergine", days=counters.KEPT_DAYS + 2)
        await happened(database, "courgette", days=29)
        assert len(await rows_holding(database, "aubergine")) == 3
    async with forgetful(address, models, days=30) as bot:
        await eventually(lambda: is_forgotten(bot, "aubergine"))
        assert len(await rows_holding(bot.database, "courgette")) == 3


async def test_messages_that_grow_too_old_while_the_bot_runs_are_deleted(
    address: str, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.app.PURGE_SECONDS", 0.01)
    async with forgetful(address, models, days=30) as bot:
        # At least the second time it is not the round that comes at the start.
        for _ in range(2):
            await happened(bot.database, "aubergine", days=counters.KEPT_DAYS + 2)
            await eventually(lambda: is_forgotten(bot, "aubergine"))


async def test_without_retention_an_answer_is_deleted_and_its_buttons_say_so(address: str, models: FakeModels) -> None:
    async with forgetful(address, models) as bot:
        answer = await last(bot, ask("/ask aubergine"))
        assert answer.text.startswith("Paris")
        assert not answer.deleted
        assert await content(bot) == {}
        assert [button.action for button in answer.buttons] == [
            *("again", "cooler", "warmer", "edit", "continue", "delete", "up", "down")
        ]
        for button in answer.buttons:
            fields = {"prompt": "other"} if button.action in ("edit", "continue") else {}
            reply = await last(bot, press(button.action, answer.row, **fields))
            assert (reply.text, reply.error, reply.private) == (EXPIRED, True, True), button.action
        faces = await last(bot, ask("/face count:4"))
        assert faces.attachments
        drawn = await last(bot, ask("/imagine aubergine"))
        assert (await last(bot, press("b0", drawn.row))).text == EXPIRED
        assert await content(bot) == {}
        assert await rows_holding(bot.database, "aubergine", "Paris") == []
        # A number that was given away once is never given to another answer.
        assert (await last(bot, ask("/ask aubergine"))).row > drawn.row


async def test_without_retention_each_question_begins_a_new_conversation(address: str, models: FakeModels) -> None:
    async with forgetful(address, models) as bot:
        await last(bot, ask("/ask aubergine"))
        await last(bot, ask("/ask courgette"))
        said = [turn["content"] for turn in models.requests[-1]["messages"] if turn["role"] == "user"]
        assert said == ["courgette"]


async def test_a_question_stays_until_it_is_answered(address: str, models: FakeModels) -> None:
    async with forgetful(address, models) as bot:
        models.gate.clear()
        answering = asyncio.create_task(last(bot, ask("/ask aubergine")))
        await models.until(running=1)
        await bot._purge()
        assert len((await content(bot))["messages"]) == 2
        assert not await rows_holding(bot.database, "Paris")
        models.gate.set()
        assert (await answering).text.startswith("Paris")
        assert await content(bot) == {}


async def test_without_retention_a_stopped_or_interrupted_answer_is_deleted_too(
    address: str, models: FakeModels
) -> None:
    async with forgetful(address, models) as bot:
        models.gate.clear()
        answering = asyncio.create_task(last(bot, ask("/ask aubergine")))
        await models.until(running=1)
        (row,) = [row for row in await bot.messages.recent(ROOM, 9) if row.role == "assistant"]
        assert await replies(bot, press("stop", row.id)) == []
        assert (await answering).status == "Stopped."
        assert await content(bot) == {}
        left = bot.prepare(ask("/ask courgette", BEN)).start()
        assert isinstance(await anext(left), Reply)
        await left.aclose()
        assert await rows_holding(bot.database, "courgette")
    async with Database(address) as database:
        assert await rows_holding(database, "courgette", "ben") == []


async def test_a_question_stays_while_another_answer_to_it_is_made(address: str, models: FakeModels) -> None:
    async with forgetful(address, models) as bot:
        models.gate.clear()
        first = asyncio.create_task(last(bot, ask("/ask aubergine")))
        await models.until(running=1)
        (row,) = [row for row in await bot.messages.recent(ROOM, 9) if row.role == "assistant"]
        second = asyncio.create_task(last(bot, press("again", row.id)))
        await models.until(running=2)
        bot.runs.stop(row.id)
        await first
        assert len((await content(bot))["messages"]) == 2
        models.gate.set()
        assert (await second).text.startswith("Paris")
        assert await content(bot) == {}


async def test_without_retention_a_refused_text_is_not_stored(address: str, models: FakeModels) -> None:
    async with forgetful(address, models) as bot:
        await bot.settings.write([bot.settings.make_change("safety.words", "aubergine", server_scope(ROOM))], ANN)
        refused = await last(bot, ask("/ask AUBERGINE pie"))
        assert refused.error
        assert await rows_holding(bot.database, "aubergine pie") == []
        assert len((await rows(bot.database))["audit"]) == 2


async def test_an_event_is_still_known_a_moment_later(address: str, models: FakeModels) -> None:
    async with forgetful(address, models) as bot:
        assert await bot.database.claim_event("slack", "C1:1.2")
        await bot._purge()
        assert not await bot.database.claim_event("slack", "C1:1.2")


@pytest.mark.parametrize("days", [0, 30])
def test_deleted_messages_are_gone_from_the_database_file(tmp_path: Path, days: float) -> None:
    async def use() -> None:
        async with FakeModels() as models, forgetful(f"sqlite:///{tmp_path}/tempera.db", models, days) as bot:
            await last(bot, ask("/ask aubergine"))
            await bot._purge()
            await asyncio.to_thread(look)

    def look() -> None:
        kept = b"".join(path.read_bytes() for path in tmp_path.glob("tempera.db*"))
        assert (b"aubergine" in kept) == bool(days)

    asyncio.run(use())
