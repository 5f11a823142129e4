"""Shares the statements that SQLAlchemy compiles between tests, although each test has its own engine.

An engine compiles every statement once in its life. With a new engine for each test, this would take a fifth of the
time of the tests of the bot.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.storage import engine as backend


@contextmanager
def share_compiled_statements() -> Iterator[None]:
    """Share the compiled statements of all SQLite engines of this process while the context lasts."""
    known: dict[str, Engine] = {}

    def share(engine: Engine) -> None:
        dialect = engine.dialect
        if first := known.get(dialect.driver):
            # The dialect is part of the cache key.
            engine.dialect, engine._compiled_cache = first.dialect, first._compiled_cache
        elif dialect.name == "sqlite":
            # A dialect learns the features of the database from the first connection.
            event.listen(engine, "first_connect", lambda *_: known.setdefault(dialect.driver, engine))

    def make_async(url: Any, **options: Any) -> AsyncEngine:
        made = create_async_engine(url, **options)
        share(made.sync_engine)
        return made

    def make(url: Any, **options: Any) -> Engine:
        made = create_engine(url, **options)
        share(made)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "create_async_engine", make_async)
        patch.setattr(backend, "create_engine", make)
        yield
