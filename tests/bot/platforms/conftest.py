"""A web chat that listens, and two who visit it."""

from collections.abc import AsyncIterator

import pytest
from fakes.page import Visitor, visitor

from bot.app import Bot
from bot.config import WebSection
from bot.platforms.web import WebPlatform


@pytest.fixture
async def url(bot: Bot) -> AsyncIterator[str]:
    async with WebPlatform(bot, WebSection(port=0)).serve() as address:
        yield address


@pytest.fixture
async def ann(url: str) -> AsyncIterator[Visitor]:
    async with visitor(url) as one:
        yield one


@pytest.fixture
async def ben(url: str) -> AsyncIterator[Visitor]:
    async with visitor(url) as one:
        yield one
