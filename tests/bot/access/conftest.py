import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.core.rate_limits import Clock

from bot.access import moving_windows
from bot.settings.resolver import Settings
from bot.storage.database import Database


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "time", made)
    monkeypatch.setattr(moving_windows, "monotonic", made)
    return made


@pytest.fixture
async def settings(tmp_path: Path) -> AsyncIterator[Settings]:
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
        made = Settings({})
        await made.start(database)
        yield made
