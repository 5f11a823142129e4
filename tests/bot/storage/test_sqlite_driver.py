"""How often a statement changes threads."""

from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import select

from bot.storage.database import Database


async def test_a_statement_goes_to_the_thread_of_its_connection_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits, execute = [], aiosqlite.Connection._execute

    async def counted(self: aiosqlite.Connection, function: Any, *arguments: Any, **named: Any) -> Any:
        visits.append(function.__name__)
        return await execute(self, function, *arguments, **named)

    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
        monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
        async with database.reading() as session:
            assert (await session.execute(select(1))).all() == [(1,)]
            # At its end, the session has the connection rolled back.
            assert visits == ["_run_statement"]
