"""Lessons as they are answered from: each with its passages and its page, and one search index over all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from bot import Page, UserError
from bot.documents.limits import Limit, LimitExceeded, Tally
from bot.documents.parse import parse_document
from plugins.explain.lessons.page import build_page
from plugins.explain.lessons.passages import Passage, split_passages
from plugins.explain.library.lesson_store import StoredLesson, Version, title_key

if TYPE_CHECKING:
    from plugins.explain.search.index import Index


MAX_SERVER_CHARACTERS, MAX_SERVER_PASSAGES = 3_000_000, 10_000
"""What all lessons of a server may hold together: about 1000 pages."""


@dataclass(frozen=True, slots=True)
class Size:
    """The size of some lessons, as far as it counts for the search."""

    characters: int
    passages: int

    def require_room_for(self, lesson: Lesson) -> None:
        """Raise UserError if a server whose lessons have this size has no room for another one."""
        if (
            self.characters + lesson.size.characters > MAX_SERVER_CHARACTERS
            or self.passages + lesson.size.passages > MAX_SERVER_PASSAGES
        ):
            raise UserError(
                "The lessons here together would have more than {characters} characters or {passages} passages. "
                "Remove one with /lesson remove, or shorten this one.",
                characters=MAX_SERVER_CHARACTERS,
                passages=MAX_SERVER_PASSAGES,
            )


def sum_sizes(lessons: Iterable[Lesson]) -> Size:
    """Return the size of all these lessons together."""
    sizes = [lesson.size for lesson in lessons]
    return Size(sum(size.characters for size in sizes), sum(size.passages for size in sizes))


@dataclass(frozen=True, slots=True)
class Lesson:
    """A lesson with its passages and its page.

    `version` is None for a lesson that the configuration names; such a lesson has a `path`.
    """

    title: str
    passages: tuple[Passage, ...]
    page: Page
    version: Version | None = None
    path: Path | None = None
    translations: Mapping[str, Lesson] = field(default_factory=dict)
    """The same lesson in other languages, by code ("de"), where whoever runs the bot has files of them."""

    @property
    def size(self) -> Size:
        """What it adds to the search."""
        return Size(sum(passage.size for passage in self.passages), len(self.passages))

    def has_title(self, title: str) -> bool:
        """Return True if this is its title, whatever the capitals and spaces."""
        return title_key(self.title) == title_key(title)

    def find_language(self, title: str) -> str | None:
        """Return the language of the translation with this title, "" if it is the lesson's own, None if neither."""
        if self.has_title(title):
            return ""
        return next((code for code, lesson in self.translations.items() if lesson.has_title(title)), None)


def read_lesson(data: bytes, filename: str, title: str = "") -> Lesson:
    """Read a file under `title`, or under its own title if none is given.

    A file that strangers gave may keep this busy: use LessonReader for it. Raises UserError, with a sentence for the
    user who gave it, if the file is no lesson.
    """
    parsed = parse_document(data, filename)
    title = title or parsed.title
    passages = tuple(replace(passage, lesson_title=title) for passage in split_passages(parsed))
    characters = Tally(Limit.SEARCHED_CHARACTERS)
    try:
        for passage in passages:
            characters.add(passage.size)
    except LimitExceeded as error:
        raise error.limit.explain(PurePath(filename).name) from None
    return Lesson(title, passages, build_page(title, parsed, data, filename))


@dataclass(eq=False)
class LessonSet:
    """Lessons with one index over all of them, and the progress of their embeddings."""

    key: tuple[StoredLesson, ...]
    """The server's own lessons that the set was built from, each with its versions."""
    lessons: tuple[Lesson, ...]
    index: Index
    left_out: Mapping[str, UserError] = field(default_factory=dict)
    """The server's own lessons that cannot be read, by title, each with the reason."""
    languages: frozenset[str] = frozenset()
    """The codes of the languages that it is for: that of the questions, or else those of the lessons."""
    reference: Index | None = None
    """The index of the reference lesson that `index` uses; other sets share it."""
    translated: dict[str, LessonSet] = field(default_factory=dict)
    """What questions in other languages are answered from, by code, once it was needed."""
    translating: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while one of these is built."""
    model: str = ""
    """The embedding model, once every passage has its embeddings."""
    has_words_alone: bool = False
    """True once it is known that the embedding model does not know the language: there will be no embeddings."""
    progress: tuple[int, int] = (0, 0)
    """The number of passages that are embedded, and the number of all passages."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a question need not wait: the embeddings are there, or will not be there soon."""
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to have the model server asked again at once, instead of after a while."""
    _has_progressed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_to_embed(self) -> bool:
        """True if it has passages that embeddings help to find."""
        return bool(self.index.passages) and not self.has_words_alone

    @property
    def size(self) -> Size:
        """The size of all its lessons, once more for each language that has an index."""
        return sum_sizes(lesson for one in (self, *self.translated.values()) for lesson in one.lessons)

    def report_progress(self, done: int, total: int) -> None:
        """Set the progress and wake those who watch it."""
        self.progress = (done, total)
        self._has_progressed.set()
        self._has_progressed = asyncio.Event()

    def end_wait(self, model: str = "") -> None:
        """Let questions wait no longer: `model` has embedded all passages, or "" if none could."""
        self.model = model
        self.ready.set()
        self.report_progress(*self.progress)

    def keep_to_words(self) -> None:
        """Let questions wait no longer, now or later: the embedding model does not know the language."""
        self.has_words_alone = True
        self.end_wait()

    def want_embeddings(self) -> None:
        """Let the next questions wait for another attempt if the last one to embed the passages has failed."""
        if self.is_to_embed and self.ready.is_set() and not self.model:
            self.ready.clear()
            self.wanted.set()

    async def watch_progress(self, seconds: float) -> AsyncIterator[tuple[int, int]]:
        """Yield the progress now and whenever it changes, until the set is ready or the time is up."""
        deadline = time.monotonic() + seconds
        while not self.ready.is_set() and (left := deadline - time.monotonic()) > 0:
            yield self.progress
            if not self.ready.is_set():
                # A time limit around `yield` would cancel whoever reads the progress.
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._has_progressed.wait()

    def lesson(self, title: str) -> Lesson | None:
        """Return the lesson with this title, in capitals or not."""
        return next((lesson for lesson in self.lessons if lesson.has_title(title)), None)

    def find_language(self, title: str) -> str:
        """Return the language of the lesson with this title; "" for the lessons' own, and if there is none."""
        return next(filter(None, (lesson.find_language(title) for lesson in self.lessons)), "")

    def part_number(self, passage: Passage) -> int:
        """Return the position of a passage among the passages of its section, from 0."""
        return self._section(*passage.section_key).index(passage)

    def passage(self, title: str, anchor: str, part_number: int) -> Passage:
        """Return a passage by its lesson, section and part number. Raises UserError if the section is gone."""
        passages = self._section(title, anchor)
        if not passages:
            raise UserError("This part of the lesson is gone: the lesson was changed or removed since.")
        return passages[min(part_number, len(passages) - 1)]

    def neighbours(self, passage: Passage) -> tuple[Passage | None, Passage | None]:
        """Return the first passages of the sections before and after the section of `passage`, in its lesson."""
        in_lesson = [other for other in self.index.passages if other.lesson_title == passage.lesson_title]
        first_passages = {other.anchor: other for other in reversed(in_lesson)}
        order = list(reversed(first_passages.values()))
        place = order.index(first_passages[passage.anchor])
        return order[place - 1] if place else None, order[place + 1] if place + 1 < len(order) else None

    def _section(self, title: str, anchor: str) -> list[Passage]:
        return [passage for passage in self.index.passages if passage.section_key == (title, anchor)]
