"""PRIVACY.md names every table and every column of the database, and none that there is not."""

import re
from pathlib import Path

from sqlalchemy import inspect

from bot.storage.database import Database

ROOT = Path(__file__).parent.parent
HEADING = re.compile(r"^### (?P<names>`.+?`(?: and `.+?`)*): ", re.MULTILINE)
NAME = re.compile(r"`(\w+)`")
ONLY_IN = re.compile(r"\(in `(\w+)`\)")


def told() -> dict[str, set[str]]:
    """Table by table, the columns in the first cells of the lines below its heading."""
    _, _, text = (ROOT / "PRIVACY.md").read_text("utf-8").partition("## Table by table\n")
    found: dict[str, set[str]] = {}
    _, *parts = re.split(r"(?m)^(?=### )", text)
    for part in parts:
        match = HEADING.match(part)
        assert match, part.splitlines()[0]
        for table in NAME.findall(match["names"]):
            assert table not in found, table
            found[table] = set()
        for line in part.splitlines():
            if line.startswith("| `"):
                _, columns, about, _ = line.split("|")
                only = ONLY_IN.findall(about) or NAME.findall(match["names"])
                for table in only:
                    assert not found[table] & set(NAME.findall(columns)), line
                    found[table] |= set(NAME.findall(columns))
    return found


async def test_it_names_what_the_database_has_and_nothing_else(tmp_path: Path) -> None:
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database, database.reading() as session:
        there = await session.run_sync(
            lambda sync: {
                table: {column["name"] for column in inspect(sync.connection()).get_columns(table)}
                for table in inspect(sync.connection()).get_table_names()
            }
        )
    assert told() == {table: columns for table, columns in there.items() if table != "sqlite_sequence"}


def test_each_table_says_why_and_how_long() -> None:
    _, _, text = (ROOT / "PRIVACY.md").read_text("utf-8").partition("## Table by table\n")
    _, *parts = re.split(r"(?m)^(?=### )", text)
    for part in parts:
        before, _, _ = part.partition("| column |")
        heading, *sentences = before.strip().splitlines()
        assert sentences or heading.startswith("### `alembic_version`"), heading
