"""A bot that answers from lessons; by their words alone, since the embeddings of the fake server mean nothing."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from fakes.models import FakeModels

from bot import plugin
from bot.app import Bot
from bot.config import DEFAULT_FILE, ExplainSection, PluginsSection
from bot.database import Database
from bot.model_client import ModelClient

DEFAULT = DEFAULT_FILE.parent / "lessons" / "what-is-generative-ai.md"

MakeBot = Callable[..., Bot]


@pytest.fixture
def make_bot(models: FakeModels, tmp_path: Path) -> MakeBot:
    """`make_bot(file, …)`: a bot with these lessons, always on the same database."""
    models.listed = {"fake-chat": "chat"}

    def make(
        *files: Path,
        url: str = "",
        plugins: tuple[str, ...] = ("ask", "explain"),
        retention_days: float = 30,
        web_url: str = "",
        embeddings: str = "",
    ) -> Bot:
        return Bot(
            ModelClient(url or models.url),
            plugin.load(PluginsSection(enabled=plugins, entry_points=False)),
            Database(f"sqlite:///{tmp_path}/tempera.db"),
            retention_days=retention_days,
            sections={"explain": ExplainSection(lessons=files, embeddings=embeddings)},
            web_url=web_url,
        )

    return make


@pytest.fixture
async def bot(make_bot: MakeBot) -> AsyncIterator[Bot]:
    async with make_bot(DEFAULT) as running:
        yield running
