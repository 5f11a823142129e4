"""The files of questions: read safely, checked, and stored with the question for as long as that is.

What is stored is what a model gets: a picture that was encoded anew, or the text that fits into the model's context.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from bot.core.child_process import ChildTurns, NoTurn
from bot.core.errors import Expired, UserError
from bot.core.messages import WITH_FILES, Attachment, ReadFile
from bot.documents.child_reading import read_in_child
from bot.storage.database import AttachmentRow, MessageRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Row

    from bot.core.caller import Caller
    from bot.core.messages import RemoteFile
    from bot.safety.checks import Safety
    from bot.storage.database import Database

MAX_FILES = 4
"""The number of files of a question that are read."""
MAX_PROCESSES = 2
"""Files that are read at once; the others wait for their turn."""
MAX_WAITING = 100
"""Files that wait at most: those of some classes. What was uploaded to the web chat is in memory meanwhile."""
MAX_WAIT_SECONDS = 60.0
"""The time that somebody waits for their turn."""
TEXT, PICTURE = "text/plain", "image/jpeg"
CUT = re.compile(r"The first \d+ of (\d+) characters")
"""How it is stored that a text is the beginning of a longer one."""
BYTES_PER_TOKEN = 3
"""Language models take more bytes for a token in most languages, but one token for each digit."""


class FileReader:
    """Reads files that anybody may have made: each in a process of its own, a few at once, one of each user."""

    def __init__(self) -> None:
        self._turns = ChildTurns(MAX_PROCESSES, MAX_WAIT_SECONDS, MAX_WAITING)

    async def read(self, file: Attachment | RemoteFile, caller: Caller) -> ReadFile:
        """Return a file as a model reads it. Raises UserError if it cannot be read, or its turn does not come."""
        try:
            async with self._turns.take((caller.place.platform, caller.user.id)):
                # Fetched only now, so that those who wait hold no memory.
                return await read_in_child(file if isinstance(file, Attachment) else await file.fetch())
        except NoTurn:
            raise UserError("Other files are being read at the moment; try it again in a minute.") from None


class QuestionFiles:
    """The files of one question; none without a question, as during completion."""

    def __init__(
        self, reader: FileReader, database: Database, safety: Safety, caller: Caller, question: MessageRow | None
    ) -> None:
        self._reader = reader
        self._database = database
        self._safety = safety
        self._caller = caller
        self._question = question

    async def stored(self) -> tuple[ReadFile, ...]:
        """Return the files that are stored with the question; an edited question has those of the first one."""
        if (here := self._question) is None:
            return ()
        files = await self._of(here)
        if files or here.source is None or here.source == here.parent:
            return files
        answered = select(MessageRow.parent).where(MessageRow.id == here.source).scalar_subquery()
        async with self._database.reading() as session:
            first = await session.scalar(select(MessageRow).where(MessageRow.id == answered))
        files = () if first is None else await self._of(first)
        if files and first is not None and first.author != here.author:
            raise UserError("Only who sent this file can ask something else about it.")
        await self._store(files)
        return files

    async def _of(self, question: MessageRow) -> tuple[ReadFile, ...]:
        """Return the files of a question. Raises UserError if it had some that were not read."""
        files = await self.of(question.id)
        if not files and question.resume.get(WITH_FILES):
            raise UserError("The file of this question was not read. Ask again with the file.")
        return files

    async def of(self, question: int) -> tuple[ReadFile, ...]:
        """Return the files that are stored with the question in a row. Raises UserError if they are forbidden here."""
        rows = select(AttachmentRow).where(AttachmentRow.message == question).order_by(AttachmentRow.id)
        files = await self._database.read(lambda session: tuple(map(read_row, session.scalars(rows))))
        if any(file.picture for file in files):
            self._safety.check_picture(self._caller.place)
        return files

    async def read(self, given: Sequence[Attachment | RemoteFile], most_tokens: int = 0) -> tuple[ReadFile, ...]:
        """Read files that were given now. Their texts are cut to about `most_tokens` together, unless that is 0.

        Raises UserError if there are too many, or if one cannot be read.
        """
        if len(given) > MAX_FILES:
            raise UserError("A question can have up to {most} files.", most=MAX_FILES)
        files = [await self._reader.read(one, self._caller) for one in given]
        share = most_tokens // max(1, sum(bool(file.text) for file in files))
        return tuple(replace(file, text=cut_to_tokens(file.text, share)) if most_tokens else file for file in files)

    async def keep(self, files: Sequence[ReadFile]) -> None:
        """Store files that were read with the question. Raises UserError if nobody may ask about such a file here."""
        for file in files:
            if file.picture:
                self._safety.check_picture(self._caller.place)
            text = f"{file.filename}\n{file.text}"
            await self._safety.check_file(text, self._caller.place, user=self._caller.user.id)
        await self._store(files)

    async def _store(self, files: Sequence[ReadFile]) -> None:
        if (here := self._question) is None or not files:
            return
        async with self._database.writing() as session:
            row = await session.get(MessageRow, here.id)
            if row is None or row.state == "deleted":
                raise Expired("This has expired: the question is no longer stored.")
            session.add_all(_build_row(here.id, file) for file in files)


def _build_row(question: int, file: ReadFile) -> AttachmentRow:
    cut = f"The first {len(file.text)} of {file.characters} characters" if len(file.text) < file.characters else ""
    return AttachmentRow(
        message=question,
        filename=file.filename,
        media_type=PICTURE if file.picture else TEXT,
        alt=cut,
        spoiler=False,
        data=file.picture or file.text.encode("utf-8", "replace"),
    )


def read_row(row: AttachmentRow | Row[Any]) -> ReadFile:
    """Return a stored file of a question, or as much of it as was read."""
    if row.media_type == PICTURE:
        return ReadFile(filename=row.filename, picture=row.data)
    text, cut = row.data.decode(errors="ignore"), CUT.fullmatch(row.alt)
    return ReadFile(filename=row.filename, text=text, characters=int(cut[1]) if cut else len(text))


def cut_to_tokens(text: str, most: int) -> str:
    """Return the beginning of a text that is about so many tokens long at most, up to the end of a word."""
    room = float(most)
    for place, sign in enumerate(text):
        room -= 1 if sign.isdigit() else len(sign.encode("utf-8", "replace")) / BYTES_PER_TOKEN
        if room < 0:
            begun = text[:place]
            whole = begun.rstrip() if sign.isspace() else begun.rpartition(" ")[0]
            # A text without spaces, as in Chinese, is cut anywhere.
            return whole if len(whole) > len(begun) // 2 else begun
    return text
