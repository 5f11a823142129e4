"""A bot that answers from lessons, by words alone, because the embeddings of the fake server mean nothing."""

import copy
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fakes.core.requests import ROOM
from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from bot.config.loading import DEFAULT_FILE
from bot.config.sections import ExplainSection, PluginsSection
from bot.inference.client import ModelClient
from bot.platforms.capabilities import PLATFORMS
from bot.plugin_host import plugin
from bot.storage.database import Database
from plugins.explain.lessons.passages import Passage
from plugins.explain.library import configured, library
from plugins.explain.library.lesson_reader import LessonReader
from plugins.explain.library.lesson_set import Lesson
from plugins.explain.search import reference_lesson
from plugins.explain.search.index import Index

DEFAULT = DEFAULT_FILE.parent / "lessons" / "what-is-generative-ai.md"

PETS = "# Pets\n\n## Cats\n\nCats purr when they are content.\n\n## Dogs\n\nDogs bark at strangers.\n"
PURR = "/explain why do cats purr"

MakeBot = Callable[..., Bot]


@pytest.fixture(scope="session", autouse=True)
def _read_once() -> Iterator[None]:
    """Read and index each file once for all tests. Each test gets its own index, without embeddings."""
    read: dict[tuple[bytes, str, str], Lesson] = {}

    class RememberingReader(LessonReader):
        async def read(self, data: bytes, filename: str, title: str = "", **more: Any) -> Lesson:
            key = data, filename, title
            if key not in read:
                read[key] = await super().read(data, filename, title, **more)
            return read[key]

    build_index = library._build_index
    build_once = cache(build_index)

    def build(passages: Sequence[Passage], reference: Index | None = None, language: str = "") -> Index:
        if reference:
            return build_index(passages, reference, language)
        return copy.copy(build_once(tuple(passages), None, language))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(configured, "read_lesson", cache(configured.read_lesson))
        patch.setattr(library, "LessonReader", RememberingReader)
        patch.setattr(library, "_build_index", build)
        yield


@pytest.fixture
def without_reference_lesson(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the reference lesson, so that only a test's own lessons are embedded, which is much quicker."""
    monkeypatch.setattr(reference_lesson, "DEFAULT_LESSON", tmp_path / "none.md")


@pytest.fixture
def make_bot(models: FakeModels, tmp_path: Path) -> MakeBot:
    """Return a function that makes a bot with the lessons of some files, always on the same database."""
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


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Return the path of a lesson about pets."""
    path = tmp_path / "pets.md"
    path.write_text(PETS)
    return path


def explain_plugin(bot: Bot) -> Any:
    """Return the running plugin of /explain."""
    return next(plugin for plugin in bot.registry.enabled_plugins(ROOM) if plugin.name == "explain")
