"""The whole content of a database, for tests of what it must not contain."""

from bot.storage.database import Base, Database


async def rows(database: Database) -> dict[str, list[str]]:
    """Return every row of every table, as text."""
    async with database.reading() as session:
        found = {}
        for name, table in Base.metadata.tables.items():
            found[name] = [repr(tuple(row)) for row in await session.execute(table.select())]
        return found


async def rows_holding(database: Database, *words: str) -> list[str]:
    """Return the rows that contain any of these words in any case, each with its table."""
    wanted = [word.casefold() for word in words]
    return [
        f"{table}: {row}"
        for table, found in (await rows(database)).items()
        for row in found
        # The random letters of the signing key hold any short name now and then.
        if "PRIVATE KEY" not in row and any(word in row.casefold() for word in wanted)
    ]
