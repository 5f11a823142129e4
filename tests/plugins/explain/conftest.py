"""A bot that answers from lessons; by their words alone, since the embeddings of the fake server mean nothing."""

import copy
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from bot.config import DEFAULT_FILE, ExplainSection, PluginsSection
from bot.inference.client import ModelClient
from bot.platforms.capabilities import PLATFORMS
from bot.plugin_host import plugin
from bot.storage.database import Database
from plugins.explain.lessons.passages import Passage
from plugins.explain.library import library
from plugins.explain.search import reference_lesson
from plugins.explain.search.index import Index

DEFAULT = DEFAULT_FILE.parent / "lessons" / "what-is-generative-ai.md"

MakeBot = Callable[..., Bot]


@pytest.fixture(scope="session", autouse=True)
def _read_once() -> Iterator[None]:
    """A file is read and indexed once for all tests; each has an index of its own, which knows no embeddings yet."""
    really = library._indexed
    once = cache(really)

    def indexed(passages: Sequence[Passage], guide: Index | None = None) -> Index:
        return really(passages, guide) if guide else copy.copy(once(tuple(passages)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "bound", cache(library.bound))
        patch.setattr(library, "_indexed", indexed)
        yield


@pytest.fixture
def without_guide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Embeds a test's own lessons alone, which is done much sooner."""
    monkeypatch.setattr(reference_lesson, "DEFAULT_LESSON", tmp_path / "none.md")


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
            platforms=PLATFORMS,
        )

    return make


@pytest.fixture
async def bot(make_bot: MakeBot) -> AsyncIterator[Bot]:
    async with make_bot(DEFAULT) as running:
        yield running
