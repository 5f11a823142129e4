"""What a file of text may hold and take at most, so that no file keeps the bot busy for long."""

from __future__ import annotations

from enum import Enum

from bot.core.errors import UserError

MAX_HEADING_CHARACTERS = 500
"""A longer heading is a paragraph: every passage below it would repeat it."""


class Limit(Enum):
    """A limit of one file; the value is what is allowed at most."""

    UNPACKED_MB = 50
    """The size of all files in a DOCX together."""
    PAGES = 500
    PARAGRAPHS = 10_000
    """Headings, paragraphs, items of lists and rows of tables together."""
    CELLS = 100_000
    """The cells of a table, with those that are added to make all rows equally long."""
    CHARACTERS = 2_000_000
    """The text of the file."""
    SEARCHED_CHARACTERS = 3_000_000
    """The text of all passages of a lesson, each with its headings and its further wordings."""
    CPU_SECONDS = 20
    """The computing time, which does not depend on what else the machine does."""
    MEMORY_MB = 512
    """The memory of the process that reads the file."""

    def explain(self, name: str) -> UserError:
        """Return the error for the user whose file `name` exceeds the limit."""
        sentence = {
            Limit.UNPACKED_MB: "{name} unpacks to more than {most} MB. Take large pictures out of it.",
            Limit.PAGES: "{name} has more than {most} pages. Divide it into several files.",
            Limit.PARAGRAPHS: "{name} has more than {most} paragraphs and rows. Divide it into several files.",
            Limit.CELLS: "{name} has a table of more than {most} cells. Divide the table.",
            Limit.CHARACTERS: "{name} has more than {most} characters of text. Divide it into several files.",
            Limit.SEARCHED_CHARACTERS: (
                "{name} becomes more than {most} characters, as each passage repeats its headings. Shorten them."
            ),
            Limit.CPU_SECONDS: (
                "{name} takes more than {most} seconds to read. Save it in a simpler form, such as plain text."
            ),
            Limit.MEMORY_MB: (
                "{name} takes more than {most} MB of memory to read. Save it in a simpler form, such as plain text."
            ),
        }[self]
        return UserError(sentence, name=name, most=self.value)


class LimitExceeded(Exception):
    """A file holds more than `limit` allows."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit.name)
        self.limit = limit


class Tally:
    """Counts something while a file is read. `add` raises LimitExceeded once there is more than `limit` allows."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._count = 0

    def add(self, count: int = 1) -> None:
        """Count `count` more."""
        self._count += count
        if self._count > self._limit.value:
            raise LimitExceeded(self._limit)
