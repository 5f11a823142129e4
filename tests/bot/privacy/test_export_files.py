"""The files of /privacy export: how large they are, how often they can be had, and what making them takes."""

import asyncio
import base64
import gc
import json
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from fakes.core.requests import ask, last
from fakes.core.whole_bot import running
from fakes.model_server.gateway import PATIENCE_SECONDS, eventually
from fakes.model_server.model_api import FakeModels
from sqlalchemy import select

from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.core.messages import Person, User
from bot.inference.client import ModelClient
from bot.plugin_host import plugin
from bot.storage.audit import AuditFilter
from bot.storage.database import AttachmentRow, Database, MessageRow, PluginRow

BEN = User("100000000000000007", "Benedikt")
ANN = User("100000000000000001", "Ann")


async def test_a_large_export_is_in_files_that_every_platform_accepts(
    tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, about = 10_000, 600
    monkeypatch.setattr("bot.privacy.export_files.FILE_BYTES", most)
    async with running(f"sqlite:///{tmp_path}/tempera.db", models) as bot:
        for _ in range(3):
            await last(bot, ask("/imagine pumpkin", BEN))
            await last(bot, ask("/ask aubergine", BEN))
        large = bytes(range(256)) * 50
        drawn = await last(bot, ask("/face", BEN))
        async with bot.database.writing() as session:
            session.add(
                AttachmentRow(message=drawn.row, filename="large", media_type="", alt="", spoiler=False, data=large)
            )
        files = (await last(bot, ask("/privacy export", BEN))).attachments
        async with bot.database.reading() as session:
            stored = list(await session.scalars(select(MessageRow.id).where(MessageRow.author == BEN.id)))
    assert max(len(file.data) for file in files) <= most + about
    assert [file.filename for file in files[:2]] == ["tempera-data.json", "tempera-data-2.json"]
    told = [json.loads(file.data) for file in files]
    assert [(one["about"]["file"], one["about"]["files"]) for one in told] == [
        (number, len(files)) for number in range(1, len(files) + 1)
    ]
    assert [row["id"] for one in told for row in one.get("messages", [])] == stored
    assert len([row for one in told for row in one.get("tokens", []) if row["tokens"]]) == 3
    pieces = [row for one in told for row in one.get("files", []) if row["filename"] == "large"]
    assert [(one["piece"], one["pieces"]) for one in pieces] == [(1, 3), (2, 3), (3, 3)]
    assert b"".join(base64.b64decode(one["base64"]) for one in pieces) == large


async def test_a_row_too_large_for_a_file_comes_in_pieces_that_make_it_up(
    tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, about = 4000, 600
    monkeypatch.setattr("bot.privacy.export_files.FILE_BYTES", most)
    diary = {"quoted": '"\\' * 800, "drawn": "😀" * 800, "half": "\ud83d"}
    async with running(f"sqlite:///{tmp_path}/tempera.db", models) as bot:
        async with bot.database.writing() as session:
            session.add(PluginRow(plugin="diary", scope="", key=BEN.id, value=diary))
        files = (await last(bot, ask("/privacy export", BEN))).attachments
    assert max(len(file.data) for file in files) <= most + about
    told = [json.loads(file.data) for file in files]
    pieces = [row for one in told for row in one.get("plugin_data", [])]
    assert [one["piece"] for one in pieces] == list(range(1, pieces[0]["pieces"] + 1))
    row = json.loads("".join(one["json"] for one in pieces))
    assert (row["key"], row["value"]) == (BEN.id, diary | {"half": "?"})
    assert all(one["about"]["pieces"].startswith("What is too large") for one in told if one.get("plugin_data"))


async def test_an_export_comes_nine_files_at_a_time(
    tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.privacy.export_files.FILE_BYTES", 3200)
    async with running(f"sqlite:///{tmp_path}/tempera.db", models) as bot:
        for _ in range(3):
            await last(bot, ask("/imagine pumpkin", BEN))
        parts = [await last(bot, ask(f"/privacy export part:{number}", BEN)) for number in (1, 2)]
        beyond = await last(bot, ask("/privacy export part:3", BEN))
    about = "of all that I have stored about you. PRIVACY.md tells what it is."
    assert parts[0].text == f"This is part 1 of 2 {about} `/privacy export part:2` gives you the next one."
    assert parts[1].text == f"This is part 2 of 2 {about}"
    names = [file.filename for part in parts for file in part.attachments]
    assert len(parts[0].attachments) == 9
    assert names[1:] == [f"tempera-data-{number}.json" for number in range(2, len(names) + 1)]
    assert (beyond.error, beyond.option) == (True, "")
    assert beyond.text == "What is stored about you ends with part 2; there is no part 3."


async def store_pictures(bot: Bot, count: int, size: int) -> None:
    """Store an answer of Benedikt's with pictures of `size` bytes each."""
    drawn = await last(bot, ask("/face", BEN))
    about = {"message": drawn.row, "filename": "grid.png", "media_type": "image/png", "alt": "", "spoiler": False}
    for _ in range(count):
        async with bot.database.writing() as session:
            session.add(AttachmentRow(**about, data=bytes(size)))


async def test_each_part_of_an_export_can_be_had_three_times_a_day(
    tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.privacy.export_files.FILE_BYTES", 3000)
    async with running(f"sqlite:///{tmp_path}/tempera.db", models) as bot:
        await store_pictures(bot, 12, 1900)
        wanted = [1, 2, 1, 2, 1, 2, 1, 2]
        got = [await last(bot, ask(f"/privacy export part:{part}", BEN)) for part in wanted]
        beyond = [await last(bot, ask("/privacy export part:3", BEN)) for _ in range(4)]
        anns = await last(bot, ask("/privacy export", ANN))
        [*_, refusal] = await bot.audit.find("test", "school", AuditFilter(kind="refusal"))
    assert [bool(reply.attachments) for reply in (*got, anns)] == [True] * 6 + [False] * 2 + [True]
    assert got[6].text == "You can have your data exported 3 times per day. The next time is in 24 hours."
    assert (refusal.actor, refusal.what, refusal.reason) == (BEN.id, "privacy export", "export.day")
    # A part that there is not is refused for what it is, however often.
    assert {reply.text for reply in beyond} == {"What is stored about you ends with part 2; there is no part 3."}


async def test_a_part_that_there_is_not_counts_while_nobody_knows_that(tmp_path: Path, models: FakeModels) -> None:
    async with running(f"sqlite:///{tmp_path}/tempera.db", models) as bot:
        beyond = [await last(bot, ask(f"/privacy export part:{part}", BEN)) for part in (5, 6, 7, 8)]
        got = [await last(bot, ask("/privacy export", BEN)) for _ in range(3)]
    assert all("there is no part" in reply.text for reply in beyond)
    assert [len(reply.attachments) for reply in got] == [1, 1, 0]


async def test_a_failed_export_does_not_count(
    tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(f"sqlite:///{tmp_path}/tempera.db", models) as bot:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
        failed = [await last(bot, ask("/privacy export", BEN)) for _ in range(4)]
        monkeypatch.setattr(tempfile, "tempdir", None)
        assert all(reply.error for reply in failed)
        assert (await last(bot, ask("/privacy export", BEN))).attachments


class Diary(plugin.Plugin):
    """A plugin that takes a while to say what it keeps."""

    name = "diary"

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()
        self.asked: list[str] = []

    async def stored(self, person: Person) -> Any:
        self.asked.append(person.id)
        await self.go_on.wait()


async def test_one_export_is_made_at_a_time_and_one_of_each_person(tmp_path: Path, models: FakeModels) -> None:
    diary, database = Diary(), Database(f"sqlite:///{tmp_path}/tempera.db")
    plugins = plugin.load(PluginsSection(enabled=("privacy",), entry_points=False))
    async with Bot(ModelClient(models.url), [*plugins, diary], database, default_command="privacy export") as bot:
        first = asyncio.create_task(last(bot, ask("/privacy export", BEN)))
        await eventually(lambda: diary.asked == [BEN.id])
        second = await asyncio.wait_for(last(bot, ask("/privacy export", BEN)), PATIENCE_SECONDS)
        anns = asyncio.create_task(last(bot, ask("/privacy export", ANN)))
        assert second.text == "Your export is being put together already; wait until it is there."
        assert await bot.database.claim_event("test", "while Ann waits")
        assert diary.asked == [BEN.id]
        diary.go_on.set()
        assert [len(reply.attachments) for reply in (await first, await anns)] == [1, 1]
    assert diary.asked == [BEN.id, ANN.id]


async def test_the_memory_for_an_export_does_not_grow_with_it(
    tmp_path: Path, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.privacy.export_files.FILE_BYTES", 2**17)
    peaks = []
    async with running(f"sqlite:///{tmp_path}/tempera.db", models) as bot:
        for more in (30, 270):
            await store_pictures(bot, more, 2**16)
            gc.collect()
            tracemalloc.start()
            try:
                reply = await last(bot, ask("/privacy export", BEN))
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
            assert len(reply.attachments) == 9
    assert peaks[1] < 2 * peaks[0]
