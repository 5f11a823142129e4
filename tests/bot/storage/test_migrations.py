"""Databases of older versions, brought up to date and read by the code of today.

tests/data/databases has some as SQL, each named by its revision and its system. The program of that time made them:
with `tempera chat`, and with its own classes for time-outs, thumbs and sign-ins. Only the picture was made small
afterwards, and embeddings were left out.
"""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import asyncpg
import pytest
from fakes.storage.migrated_tables import run_real_migrations
from fakes.storage.postgres import fresh_database
from PIL import Image
from sqlalchemy.engine import make_url

from bot.access.timeouts import TimeOuts
from bot.core.caller import Caller
from bot.core.messages import Place, User
from bot.platforms.web.access.teachers import WebModerators
from bot.settings.resolver import Settings
from bot.settings.setting import Scope
from bot.settings.user_defaults import Defaults
from bot.storage.audit import Audit
from bot.storage.database import Database
from bot.storage.instances import Instance
from bot.storage.key_value import Store
from bot.storage.messages import MessageStore
from plugins.explain.library.lesson_store import LessonStore

DATABASES = sorted((Path(__file__).parents[2] / "data" / "databases").glob("*.sql"))
TERMINAL, WEB = Place("terminal", "terminal"), Place("web", "general", "web")
SECRET = "0" * 64


@pytest.fixture(params=DATABASES, ids=lambda path: path.stem)
async def old(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """The revision and the address of a database as an older version left it."""
    revision, system, _ = request.param.name.split(".")
    script = request.param.read_text("utf-8")
    with run_real_migrations():
        if system == "sqlite":
            file = tmp_path / "tempera.db"
            with closing(sqlite3.connect(file)) as connection:
                connection.executescript(script)
            file.with_name("tempera.db.key").write_text(SECRET)
            yield revision, f"sqlite:///{file}"
            return
        async with fresh_database(request.getfixturevalue("postgres"), empty=True) as address:
            url = make_url(address)
            server = await asyncpg.connect(host=str(url.query["host"]), user=url.username, database=url.database)
            await server.execute(script)
            await server.close()
            yield revision, address


async def test_what_an_older_version_stored_is_read(old: tuple[str, str]) -> None:
    revision, address = old
    async with Database(address) as database:
        await check_messages(database, revision)
        defaults = Defaults()
        await defaults.start(database)
        assert defaults.get(Caller(User("operator", "root"), TERMINAL)) == {"ask.temperature": 0.3}
        if revision >= "0008":
            await check_moderation(database)
            (lesson,) = await LessonStore(Store(database, "explain")).lessons("terminal")
            content = await LessonStore(Store(database, "explain")).read_file("terminal", lesson.newest)
            assert (lesson.title, b"mitochondrion" in content) == ("Cells", True)


async def check_messages(database: Database, revision: str) -> None:
    store = MessageStore(database, Instance(database))
    rows = {row.id: row for row in await store.recent(TERMINAL, 100)}
    assert (rows[2].parent, rows[2].options["prompt"]) == (1, "What is the capital of France?")
    answer = await store.load_reply(rows[2])
    assert (answer.text, answer.card["seed"], answer.final) == ("The capital of France is Paris.", "7", True)
    assert await store.count_votes(2) == (1, 0)
    (picture,) = (await store.load_reply(rows[4])).attachments
    assert Image.open(BytesIO(picture.data)).size == (2, 2)
    if revision >= "0008":
        assert "".join(token.text for token in await store.load_tokens(2)) == answer.text
        assert {button.label for button in (await store.load_reply(rows[12])).buttons} >= {"Source", "Simpler"}


async def check_moderation(database: Database) -> None:
    settings = Settings({})
    await settings.start(database)
    assert settings.scopes.values_at(Scope("terminal", "", "terminal")) == {
        "ask.system_prompt": "You are a friendly teacher."
    }
    timeouts = TimeOuts(database)
    await timeouts.start()
    timed_out = timeouts.find_active(User("5eb2a6e1b40c7d20", ""), WEB)
    assert timed_out is not None
    assert (timed_out.name, timed_out.reason) == ("Bo", "shouting")
    moderators = WebModerators(database, clock=lambda: timed_out.until.timestamp() - 100 * 365 * 86400)
    await moderators.refresh()
    assert [one.id for one in moderators.signed_in] == ["0123456789abcdef"]
    assert "timeout" in [entry.what for entry in await Audit(database).find("web", "web")]
