"""A bot that answers from lessons; by their words alone, since the embeddings of the fake server mean nothing."""

import copy
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
from fakes.models import FakeModels

from bot import plugin
from bot.app import Bot
from bot.config import DEFAULT_FILE, ExplainSection, PluginsSection
from bot.database import Database
from bot.model_client import ModelClient
from plugins.explain import bridge, shelf
from plugins.explain.passages import Passage
from plugins.explain.search import Index

DEFAULT = DEFAULT_FILE.parent / "lessons" / "what-is-generative-ai.md"

MakeBot = Callable[..., Bot]


@pytest.fixture(scope="session", autouse=True)
def _read_once() -> Iterator[None]:
    """A file is read and indexed once for all tests; each has an index of its own, which knows no embeddings yet."""
    really = shelf._indexed
    once = cache(really)

    def indexed(passages: Sequence[Passage], guide: Index | None = None) -> Index:
        return really(passages, guide) if guide else copy.copy(once(tuple(passages)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf, "bound", cache(shelf.bound))
        patch.setattr(shelf, "_indexed", indexed)
        yield


@pytest.fixture
def without_guide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Embeds a test's own lessons alone, which is done much sooner."""
    monkeypatch.setattr(bridge, "GUIDE", tmp_path / "none.md")


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
