"""Databases as earlier versions left them."""

from sqlalchemy import text

from bot.storage.database import Database


async def back_to(database: Database, revision: str) -> None:
    """Take the tables of a database back to an earlier revision, one step after another."""
    while True:
        async with database.reading() as session:
            if await session.scalar(text("SELECT version_num FROM alembic_version")) == revision:
                return
        await database.migrate("-1")
