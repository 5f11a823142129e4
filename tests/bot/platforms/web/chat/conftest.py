"""The web chat in two processes, which tell each other what happens through a real Redis server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.web_page import Visitor, visitor
from fakes.platforms.web_process import process

from bot import app
from bot.app import Bot
from bot.platforms.web import platform


@pytest.fixture
async def pair(
    models: FakeModels, tmp_path: Path, redis: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[tuple[Bot, str], tuple[Bot, str]]]:
    # So that whatever is seen within a test comes through Redis.
    for module in (app, platform):
        monkeypatch.setattr(module, "REFRESH_SECONDS", 1000)
    monkeypatch.setattr(platform, "TICK_SECONDS", 0.05)
    async with process(models, tmp_path, redis) as here, process(models, tmp_path, redis) as there:
        yield here, there


@pytest.fixture
async def here(pair: tuple[tuple[Bot, str], tuple[Bot, str]]) -> AsyncIterator[Visitor]:
    async with visitor(pair[0][1]) as one:
        yield one


@pytest.fixture
async def there(pair: tuple[tuple[Bot, str], tuple[Bot, str]]) -> AsyncIterator[Visitor]:
    async with visitor(pair[1][1]) as one:
        yield one
