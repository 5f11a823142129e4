"""A store of messages in a database of each kind."""

from collections.abc import AsyncIterator

import pytest

from bot.storage.database import Database
from bot.storage.instances import Instance
from bot.storage.messages import MessageStore


@pytest.fixture
async def store(database: Database) -> AsyncIterator[MessageStore]:
    async with Instance(database) as instance:
        yield MessageStore(database, instance)
