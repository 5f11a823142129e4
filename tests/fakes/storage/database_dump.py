"""All that a database holds, for tests of what it must not hold."""

from bot.storage.database import Base, Database


async def rows(database: Database) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    async with database.reading() as session:
        found = {}
        for name, table in Base.metadata.tables.items():
            found[name] = [repr(tuple(row)) for row in await session.execute(table.select())]
        return found


async def rows_holding(database: Database, *words: str) -> list[str]:
    """The rows that hold any of these words, whatever its case, each with its table."""
    wanted = [word.casefold() for word in words]
    return [
        f"{table}: {row}"
        for table, found in (await rows(database)).items()
        for row in found
        if any(word in row.casefold() for word in wanted)
    ]
