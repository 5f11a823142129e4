"""What SQLAlchemy made of a statement in one test serves the next one, although each has an engine of its own.

An engine compiles every statement once, for as long as it lives; where each test has a new one, that is a fifth of all
that the tests of the bot compute.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.storage import engine as backend


@contextmanager
def share_compiled_statements() -> Iterator[None]:
    """For as long as the context lasts, in this process, for engines of SQLite."""
    known: list[Engine] = []

    def make(url: Any, **options: Any) -> AsyncEngine:
        made = create_async_engine(url, **options)
        engine = made.sync_engine
        if engine.dialect.name == "sqlite" and known:
            # The dialect is part of what a compiled statement is found by.
            engine.dialect, engine._compiled_cache = known[0].dialect, known[0]._compiled_cache
        elif engine.dialect.name == "sqlite":
            # Only the first connection tells a dialect what the database can do.
            event.listen(engine, "first_connect", lambda *_: known.append(engine))
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "create_async_engine", make)
        yield
