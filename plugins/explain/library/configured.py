"""The lessons that the configuration names, each with its translations beside it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from bot import UserError
from plugins.explain.library.lesson_reader import LessonReader
from plugins.explain.library.lesson_set import Lesson, read_lesson
from plugins.explain.library.translations import translation_paths

log = logging.getLogger(__name__)

LEFT_OUT = "The lesson %s, named in explain.lessons, is left out: %s"
TRANSLATION_LEFT_OUT = "The translation %s of a lesson in explain.lessons is left out: %s"


class ConfiguredLessons:
    """Reads the lesson files that whoever runs the bot has chosen."""

    def __init__(self, files: Sequence[Path], reader: LessonReader) -> None:
        self._files = files
        self._reader = reader

    async def read_all(self) -> list[Lesson]:
        """Read the lessons that the configuration names. The log says which of them cannot be read, and why."""
        lessons: list[Lesson] = []
        titles: set[str] = set()
        for path in self._files:
            if (lesson := await self._read_or_log(path, titles, LEFT_OUT)) is None:
                continue
            translations = await self._read_translations(path, titles)
            lessons.append(replace(lesson, translations=translations))
        return lessons

    async def _read_translations(self, path: Path, titles: set[str]) -> dict[str, Lesson]:
        """Read the files beside a lesson that have it in other languages, unless they are lessons of their own."""
        translations = {}
        for code, translated in translation_paths(path).items():
            if translated in self._files or not await asyncio.to_thread(translated.is_file):
                continue
            if (lesson := await self._read_or_log(translated, titles, TRANSLATION_LEFT_OUT)) is not None:
                translations[code] = lesson
        return translations

    async def _read_or_log(self, path: Path, titles: set[str], sentence: str) -> Lesson | None:
        """Read a lesson and add its title to `titles`; None, with `sentence` in the log, if it cannot be read."""
        try:
            lesson = await self.read_from_disk(path, titles)
        except OSError as error:
            log.error(sentence, path, f"{error.strerror}.")  # noqa: TRY400 - the sentence says all
        except UserError as error:
            log.error(sentence, path, error)  # noqa: TRY400 - the sentence says all
        else:
            titles.add(lesson.title.casefold())
            return lesson
        return None

    async def read_from_disk(self, path: Path, titles: Collection[str] = ()) -> Lesson:
        """Read the lesson of a file. A number follows its title if `titles`, which are casefolded, have it already."""
        data = await asyncio.to_thread(path.read_bytes)
        lesson = await self._read_file(path, data)
        title, number = lesson.title, 1
        while title.casefold() in titles:
            number += 1
            title = f"{lesson.title} ({number})"
        return replace(lesson if number == 1 else await self._read_file(path, data, title), path=path)

    async def _read_file(self, path: Path, data: bytes, title: str = "") -> Lesson:
        from plugins.explain.search.reference_lesson import DEFAULT_LESSON

        # Tempera's own lesson takes less time than a process needs to start, and the first question waits for it.
        if await asyncio.to_thread(lambda: path.resolve().parent == DEFAULT_LESSON.resolve().parent):
            return await asyncio.to_thread(read_lesson, data, path.name, title)
        return await self._reader.read(data, path.name, title)
