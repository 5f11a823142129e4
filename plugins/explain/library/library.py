"""Which lessons hold where, read and indexed: those of the deployment, and in each server those of its teachers.

A place without lessons of its own shares the library of the deployment's. Where the lesson that comes with Tempera is
not among them it still is their guide (bridge.py), which nobody reads. Words alone can be searched as soon as the
files are read; embeddings come in the background, and where the model server is down they come when it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot import Attachment, Busy, UserError
from plugins.explain.library.lesson_store import LessonStore, StoredLesson, Version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence

    from bot import Host, Page
    from plugins.explain.lessons.passages import Passage
    from plugins.explain.search.decision import Decision
    from plugins.explain.search.index import Index

log = logging.getLogger(__name__)

STRIDE = 4
"""Passages that are embedded at once: few enough that progress can be seen."""
RETRY_SECONDS = 20.0
"""When to look again for a model server that could not embed the lessons."""
LIBRARIES = 32
"""Servers whose own lessons are kept ready; those that nobody asked for longest are read anew when somebody does."""


@dataclass(frozen=True, slots=True)
class Book:
    """A lesson with its passages and its page. `version` is None for one of the deployment's, which has a `path`."""

    title: str
    passages: tuple[Passage, ...]
    page: Page
    version: Version | None = None
    path: Path | None = None


def bound(data: bytes, filename: str, title: str = "") -> Book:
    """Read a file, under its own title unless another one is given. Takes long for large ones: call it in a thread.

    Raises UserError with a sentence for whoever gave a file that is no lesson.
    """
    from plugins.explain.lessons.page import page
    from plugins.explain.lessons.parse import read
    from plugins.explain.lessons.passages import passages

    lesson = read(data, filename)
    title = title or lesson.title
    found = tuple(replace(passage, lesson=title) for passage in passages(lesson))
    return Book(title, found, page(title, lesson, data, filename))


@dataclass(eq=False)
class Library:
    """Lessons with one index over all of them."""

    key: tuple[StoredLesson, ...]
    """What it was made from: a server's own lessons, each with its versions."""
    books: tuple[Book, ...]
    index: Index
    left_out: Mapping[str, UserError] = field(default_factory=dict)
    """Why a server's own lessons are not among them, by their titles."""
    guide: Index | None = None
    """The guide of `index`, which the other libraries share."""
    model: str = ""
    """The embedding model, once every passage has its embeddings."""
    progress: tuple[int, int] = (0, 0)
    """How many passages are embedded, and how many there are."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the embeddings are there, or will not be so soon."""
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    def advance(self, done: int, total: int) -> None:
        """Note how far the embedding is."""
        self.progress = (done, total)
        self._moved.set()
        self._moved = asyncio.Event()

    def settle(self, model: str = "") -> None:
        """Note that nobody need wait any longer."""
        self.model = model
        self.settled.set()
        self.advance(*self.progress)

    async def waiting(self) -> AsyncIterator[tuple[int, int]]:
        """The progress each time that it has changed, until it is settled."""
        while not self.settled.is_set():
            yield self.progress
            if not self.settled.is_set():
                await self._moved.wait()

    def book(self, title: str) -> Book | None:
        """The lesson with this title, however it is capitalised."""
        return next((book for book in self.books if book.title.casefold() == title.casefold()), None)

    def part(self, passage: Passage) -> int:
        """Which of the passages of its section this one is."""
        return self._section(passage.lesson, passage.anchor).index(passage)

    def passage(self, lesson: str, anchor: str, part: int) -> Passage:
        """A passage by where it stands. Raises UserError if the lesson has changed since."""
        found = self._section(lesson, anchor)
        if not found:
            raise UserError("This part of the lesson is gone: the lesson was changed or removed since.")
        return found[min(part, len(found) - 1)]

    def neighbours(self, passage: Passage) -> tuple[Passage | None, Passage | None]:
        """The first passages of the sections before and after that of `passage` in its lesson."""
        firsts = {other.anchor: other for other in reversed(self.index.passages) if other.lesson == passage.lesson}
        order = list(reversed(firsts.values()))
        place = order.index(firsts[passage.anchor])
        return order[place - 1] if place else None, order[place + 1] if place + 1 < len(order) else None

    def _section(self, lesson: str, anchor: str) -> list[Passage]:
        return [passage for passage in self.index.passages if (passage.lesson, passage.anchor) == (lesson, anchor)]


class LessonLibrary:
    """Finds the library of a server, and passages in it. `spawn` runs work for as long as the shelf is used."""

    def __init__(self, host: Host, spawn: Callable[[Coroutine[Any, Any, Any]], None]) -> None:
        self.teaching = LessonStore(host.store)
        self._host = host
        self._spawn = spawn
        self._model = host.config.embeddings if host.config else ""
        self._files: Sequence[Path] = host.config.files if host.config else ()
        self._common: Library | None = None
        self._guide: Index | None = None
        self._guide_model = ""
        self._own: OrderedDict[str, Library] = OrderedDict()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def library(self, server: str) -> Library:
        """The lessons of `server`, read and indexed if they are not yet."""
        kept = await self.teaching.lessons(server)
        key = tuple(kept)
        async with self._locks[server if kept else ""]:
            if not kept:
                self._own.pop(server, None)
                self._common = self._common or await self._made((), await self._deployments(), {})
                return self._common
            if (known := self._own.get(server)) is None or known.key != key:
                self._own[server] = await self._made(key, *await self._books(server, kept, known))
            self._own.move_to_end(server)
            while len(self._own) > LIBRARIES:
                self._own.popitem(last=False)
            return self._own[server]

    def at_hand(self, server: str) -> Library | None:
        """The library as it was when somebody last asked, without a look at the database."""
        return self._own.get(server) or self._common

    async def find(self, library: Library, question: str, patience: float, *, user: str = "") -> Decision:
        """What the lessons say. Words alone decide where there are no embeddings within `patience` seconds.

        `user` is the id of whoever waits for the embedding of the question.
        """
        index = library.index
        query = await asyncio.to_thread(index.query, question)
        embedded: list[list[float]] | None = None
        if library.model:
            try:
                async with asyncio.timeout(patience):
                    embedded = await self._host.models.embed(query.texts, model=library.model, user=user)
                if not index.fits(embedded):
                    log.info(
                        "The embedding model was replaced; words alone decide until the lessons are embedded anew."
                    )
                    embedded, self._guide_model = None, ""
                    self._embed_again(library)
            except TimeoutError:
                log.info("The embedding of a question took longer than %g s; its words alone decided.", patience)
            except UserError as error:
                log.info("A question could not be embedded, so its words alone decided: %s", error)
                # A queue that is full loses nothing, and of several that find the model gone the first is enough.
                if not isinstance(error, Busy):
                    self._embed_again(library)
        return await asyncio.to_thread(lambda: index.decide(index.rank(query, embedded)))

    async def known(self, server: str, question: str, patience: float, *, user: str) -> Passage | None:
        """The passage that answers the question of `user`, an id, if one does.

        Takes `patience` seconds twice at most, once ready.
        """
        from plugins.explain.search.decision import Answer

        library = await self.library(server)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await library.settled.wait()
        found = await self.find(library, question, patience, user=user)
        return found.passage if isinstance(found, Answer) else None

    async def file(self, server: str, book: Book, kept: StoredLesson | None, number: int | None) -> Attachment:
        """A lesson's file as it was given: of version `number`, else of the newest. Raises UserError if it is gone."""
        if kept is None:
            if book.path is None or number is not None:
                raise UserError("“{title}” has no versions.", title=book.title)
            data = await asyncio.to_thread(book.path.read_bytes)
            return Attachment(book.path.name, data)
        wanted = kept.newest.number if number is None else number
        version = next((one for one in kept.versions if one.number == wanted), None)
        if version is None:
            there = ", ".join(str(one.number) for one in kept.versions)
            sentence = "“{title}” has no version {number}. Its versions: {there}."
            raise UserError(sentence, title=kept.title, number=number, there=there)
        return Attachment(version.filename, await self.teaching.file(server, version))

    async def _made(
        self, key: tuple[StoredLesson, ...], books: Sequence[Book], left_out: Mapping[str, UserError]
    ) -> Library:
        passages = [passage for book in books for passage in book.passages]
        guide = await self._guide_of(passages) if passages else None
        index = await asyncio.to_thread(_indexed, passages, guide)
        library = Library(key, _named(books), index, left_out, guide)
        if passages:
            self._spawn(self._embed(library))
        else:
            library.settle()
        return library

    async def _guide_of(self, passages: Sequence[Passage]) -> Index | None:
        """The guide, unless it is missing or is one of the lessons itself."""
        from plugins.explain.search.reference_lesson import DEFAULT_LESSON

        async with self._locks["guide of all servers"]:
            if self._guide is None and await asyncio.to_thread(DEFAULT_LESSON.exists):
                self._guide = await asyncio.to_thread(lambda: _indexed(_from_disk(DEFAULT_LESSON).passages))
        return None if self._guide is None or set(self._guide.passages) <= set(passages) else self._guide

    async def _deployments(self) -> list[Book]:
        """The lessons that the configuration names; one that cannot be read is told of in the log."""
        books: list[Book] = []
        for path in self._files:
            sentence = "The lesson %s, named in explain.lessons, is left out: %s"
            try:
                books.append(await asyncio.to_thread(_from_disk, path, {book.title.casefold() for book in books}))
            except OSError as error:
                log.error(sentence, path, f"{error.strerror}.")  # noqa: TRY400 - the sentence says all
            except UserError as error:
                log.error(sentence, path, error)  # noqa: TRY400 - the sentence says all
            except Exception as error:
                # Whatever a file does to its reader, the others are still answered from.
                log.exception(sentence, path, repr(error))  # noqa: TRY401 - before the traceback, in one line
        return books

    async def _books(
        self, server: str, kept: Sequence[StoredLesson], before: Library | None
    ) -> tuple[list[Book], dict[str, UserError]]:
        """The deployment's lessons, and those of the server, which take the place of others with their title.

        And by their titles, why some of these are left out.
        """
        known = {(book.title, book.version): book for book in before.books} if before else {}
        own: list[Book] = []
        left_out: dict[str, UserError] = {}
        for one in kept:
            try:
                own.append(known.get((one.title, one.newest)) or await self._opened(server, one))
            except UserError as error:
                left_out[one.title] = error
                # What nobody foresaw is told with where it happened.
                log.warning("The lesson “%s” is left out: %s", one.title, error, exc_info=error.__cause__)
        titles = {book.title.casefold() for book in own}
        common = [book for book in (await self.library("")).books if book.title.casefold() not in titles]
        return common + own, left_out

    async def _opened(self, server: str, kept: StoredLesson) -> Book:
        data = await self.teaching.file(server, kept.newest)
        try:
            book = await asyncio.to_thread(bound, data, kept.newest.filename, kept.title)
        except UserError:
            raise
        except Exception as error:
            raise UserError("It cannot be read; the log of the bot says why.") from error
        return replace(book, version=kept.newest)

    def _embed_again(self, library: Library) -> None:
        if library.model:
            library.model = ""
            self._spawn(self._embed(library))

    async def _embed(self, library: Library) -> None:
        """Attach the embeddings, however long it takes until there is a model server that can make them.

        No longer than the library is at hand: others take its place, or that of servers that nobody asks from.
        """
        while not library.model:
            try:
                model = self._model or await self._host.models.first("embeddings")
                await self._attach(library, model)
                library.settle(model)
            except UserError as error:
                log.info("The lessons are searched by their words alone for now: %s", error)
            except Exception:
                # Nobody needs embeddings to be answered, and whatever it was may pass.
                log.exception("The lessons are searched by their words alone for now")
            if not library.model:
                library.settle()
                await asyncio.sleep(RETRY_SECONDS)
                if library is not self._common and library not in self._own.values():
                    return

    async def _attach(self, library: Library, model: str) -> None:
        import numpy as np

        from plugins.explain.search.embeddings import kept, vectors

        store, models = self._host.store, self._host.models
        guides = len(library.guide.passages) if library.guide else 0
        total = guides + len(library.index.passages)

        async def attach(index: Index, done: int) -> None:
            known = await kept(store, models, index.passages, model)
            rows = []
            for start in range(0, len(index.passages), STRIDE):
                library.advance(done + start, total)
                some = index.passages[start : start + STRIDE]
                rows.append(await vectors(store, models, some, model, known))
            await asyncio.to_thread(index.attach, np.concatenate(rows))

        if library.guide is not None:
            # All libraries share their guide, and the first that needs it with this model gets it ready: before its
            # own lessons, which are compared with it as soon as they have their embeddings.
            async with self._locks["guide's embeddings"]:
                if self._guide_model != model:
                    await attach(library.guide, 0)
                    self._guide_model = model
        await attach(library.index, guides)

    async def tidy(self) -> None:
        """Forget the embeddings of what no lesson says any more."""
        from plugins.explain.search.embeddings import forget_others

        passages = set((await self.library("")).index.passages)
        # Read alone: the libraries of all servers are more than are kept ready.
        for server in await self.teaching.servers():
            books, _ = await self._books(server, await self.teaching.lessons(server), self._own.get(server))
            passages.update(*(book.passages for book in books))
        passages.update(self._guide.passages if self._guide is not None else ())
        await forget_others(self._host.store, self._host.models, passages, self._model)


def _indexed(passages: Sequence[Passage], guide: Index | None = None) -> Index:
    import bm25s  # noqa: F401 - it has its own log tell everything, from its import on

    from plugins.explain.search.index import Index

    logging.getLogger("bm25s").setLevel(logging.WARNING)
    return Index(passages, guide)


def _from_disk(path: Path, taken: Collection[str] = ()) -> Book:
    """The lesson of a file, with a number after its title where that is among those taken, which are casefolded."""
    data = path.read_bytes()
    book, number = bound(data, path.name), 1
    title = book.title
    while title.casefold() in taken:
        number += 1
        title = f"{book.title} ({number})"
    return replace(book if number == 1 else bound(data, path.name, title), path=path)


def _named(books: Sequence[Book]) -> tuple[Book, ...]:
    """The books, each with an address of its own."""
    from plugins.explain.lessons.passages import distinct

    taken: dict[str, int] = {}
    return tuple(replace(book, page=replace(book.page, name=distinct(book.page.name, taken))) for book in books)
