"""Finds, reads and indexes the lessons of each server: those of the configuration, and those of its teachers.

Servers without lessons of their own share one set of lessons. If the lesson that comes with Tempera is not in a set, it
is still its reference lesson (search/reference_lesson.py), which nobody reads. Words can be searched as soon as the
files are read. Embeddings are made in the background; if the model server is down, they are made when it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, defaultdict
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot import Attachment, Busy, DatabaseUnavailable, UserError
from plugins.explain.library.configured import ConfiguredLessons
from plugins.explain.library.lesson_reader import MAX_WAIT_SECONDS, LessonReader
from plugins.explain.library.lesson_set import Lesson, LessonSet, sum_sizes
from plugins.explain.library.lesson_store import LessonStore, StoredLesson, Version
from plugins.explain.library.translations import (
    in_language,
    languages_of,
    passages_of,
    translation_paths,
    with_distinct_page_names,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from bot import Host
    from plugins.explain.lessons.passages import Passage
    from plugins.explain.search.decision import Ranking
    from plugins.explain.search.index import Index
    from plugins.explain.search.types import Query

log = logging.getLogger(__name__)

PASSAGES_PER_STEP = 4
"""Passages that are embedded between two reports of progress."""
RETRY_SECONDS = 20.0
"""Time until the model server is asked again after it could not embed the lessons."""
MAX_LESSON_SETS, MAX_SETS_CHARACTERS = 32, 20_000_000
"""Servers whose own lessons stay in memory, and the characters of all of them together; the least recently used set is
dropped and read again when needed."""


class _NoLongerUsed(Exception):
    """A lesson set was replaced or dropped from memory while it was embedded."""


class LessonLibrary:
    """The lesson set of each server. `spawn` runs background work for as long as the library is used."""

    def __init__(self, host: Host, spawn: Callable[[Coroutine[Any, Any, Any]], None]) -> None:
        self.store = LessonStore(host.store)
        self._host = host
        self._spawn = spawn
        self._reader = LessonReader()
        self._computing = asyncio.Lock()
        """Held while an index is computed: one thread at a time is enough, and leaves the others to other work."""
        self._model = host.config.embeddings if host.config else ""
        self._configured = ConfiguredLessons(host.config.files if host.config else (), self._reader)
        self._shared_set: LessonSet | None = None
        self._server_sets: OrderedDict[str, LessonSet] = OrderedDict()
        self._references: dict[str, Index | None] = {}
        """The index of the reference lesson by its language, of which "" is English."""
        self._reference_models: dict[Index, str] = {}
        self._partly_read: dict[str, dict[tuple[str, Version | None], Lesson]] = {}
        """By server, the lessons that were read already, until all of its lessons are."""
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def lesson_set(self, server: str, language: str = "") -> LessonSet:
        """Return the lessons of `server`; "" stands for a server without own ones. Reads and indexes them if needed.

        With a `language` ("de"), those that answer questions in it.
        """
        lesson_set = await self._original_set(server)
        if not language:
            return lesson_set
        if language in lesson_set.translated:
            return lesson_set.translated[language]
        if (lessons := await asyncio.to_thread(in_language, lesson_set.lessons, language)) is None:
            return lesson_set
        async with lesson_set.translating:
            if language not in lesson_set.translated:
                built = await self._build(lesson_set.key, lessons, lesson_set.left_out, language)
                lesson_set.translated[language] = built
                self._embed_in_background(built)
        return lesson_set.translated[language]

    async def set_with(self, server: str, title: str) -> LessonSet:
        """Return the lessons of `server` in the language in which one of them has this title."""
        return await self.lesson_set(server, (await self.lesson_set(server)).find_language(title))

    async def _original_set(self, server: str) -> LessonSet:
        stored = await self.store.lessons(server)
        key = tuple(stored)
        async with self._locks[server if stored else ""]:
            if not stored:
                self._server_sets.pop(server, None)
                if self._shared_set is None:
                    self._shared_set = await self._build((), await self._configured.read_all(), {})
                    self._embed_in_background(self._shared_set)
                return self._shared_set
            if (known := self._server_sets.get(server)) is None or known.key != key:
                self._server_sets[server] = await self._build(key, *await self._read_all(server, stored, known))
                self._embed_in_background(self._server_sets[server])
                self._server_sets.move_to_end(server)
                self._drop_oldest_sets()
            self._server_sets.move_to_end(server)
            return self._server_sets[server]

    def _drop_oldest_sets(self) -> None:
        """Drop sets until the others fit in memory; the newest one stays in any case."""
        sets = self._server_sets
        while len(sets) > 1 and (
            len(sets) > MAX_LESSON_SETS or sum(one.size.characters for one in sets.values()) > MAX_SETS_CHARACTERS
        ):
            sets.popitem(last=False)

    async def read_upload(self, server: str, data: bytes, filename: str, title: str) -> Lesson:
        """Read a lesson that is brought in. Raises UserError if it is none, or if `server` has no room for it."""
        lesson = await self._reader.read(data, filename, title, server=server, max_wait=MAX_WAIT_SECONDS)
        others = [one for one in (await self.lesson_set(server)).lessons if one.version and not one.has_title(title)]
        sum_sizes(others).require_room_for(lesson)
        return lesson

    def remember_read(self, server: str, lesson: Lesson, version: Version) -> None:
        """Let the next set of `server` have a lesson that was just read and stored, so that it is not read again."""
        read = self._partly_read.setdefault(server, {})
        read[lesson.title, version] = replace(lesson, version=version)

    def cached(self, server: str, language: str = "") -> LessonSet | None:
        """Return the set that was last used for `server`, without a look at the database; it may be outdated.

        It has its own language if none was built for `language` yet.
        """
        known = self._server_sets.get(server) or self._shared_set
        return known and known.translated.get(language, known)

    async def rank(self, lesson_set: LessonSet, question: str, max_seconds: float, *, user: str = "") -> Ranking:
        """Return what the lessons have for a question. Words alone decide if embedding it takes over `max_seconds`.

        `user` is the id of the user who waits for the embedding of the question.
        """
        index = lesson_set.index
        query = await asyncio.to_thread(index.read_question, question)
        embeddings = await self._embed_question(lesson_set, query, max_seconds, user)
        return await asyncio.to_thread(index.rank, query, embeddings)

    async def _embed_question(
        self, lesson_set: LessonSet, query: Query, max_seconds: float, user: str
    ) -> list[list[float]] | None:
        """Return the embeddings of a question; None if they take longer than `max_seconds` or cannot be had."""
        embeddings: list[list[float]] | None = None
        if lesson_set.model and not lesson_set.index.has_literally(query.question):
            try:
                async with asyncio.timeout(max_seconds):
                    embeddings = await self._host.models.embed(query.embedded_texts, model=lesson_set.model, user=user)
                if not lesson_set.index.has_width_of(embeddings):
                    log.info(
                        "The embedding model was replaced: only words are searched until lessons are embedded again."
                    )
                    embeddings = None
                    self._reference_models.clear()
                    self._embed_again(lesson_set)
            except TimeoutError:
                log.info(
                    "The embedding of a question took longer than %g s: only its words were searched.", max_seconds
                )
            except UserError as error:
                log.info("A question could not be embedded, so only its words were searched: %s", error)
                # A full queue loses no embeddings. Otherwise the first of several failed questions starts the work.
                if not isinstance(error, Busy):
                    self._embed_again(lesson_set)
        return embeddings

    async def find_answer(
        self, server: str, question: str, max_seconds: float, *, user: str, language: str = ""
    ) -> Passage | None:
        """Return the passage that answers a question that may be about anything; None if there is none.

        A question that does not name the subject of a lesson waits for nothing. Another one waits at most `max_seconds`
        for each of two steps, once the lessons are read. `user` is the id of the user who waits.
        """
        lesson_set = await self.lesson_set(server)
        index = lesson_set.index
        query = await asyncio.to_thread(index.read_question, question, is_about_lessons=False)
        if not index.may_answer(query):
            return None
        weight = None
        translated = await self.lesson_set(server, language)
        if translated is not lesson_set:
            # Only of English words it is known how usual they are, so the question's words in English are weighed.
            weight = index.subject_weight(query)
            lesson_set, index = translated, translated.index
            query = await asyncio.to_thread(index.read_question, question, is_about_lessons=False)
        if not index.has_literally(question):
            with suppress(TimeoutError):
                async with asyncio.timeout(max_seconds):
                    await lesson_set.ready.wait()
        embeddings = await self._embed_question(lesson_set, query, max_seconds, user)
        return await asyncio.to_thread(lambda: index.answer_by_the_way(query, index.rank(query, embeddings), weight))

    async def read_file(
        self, server: str, lesson: Lesson, stored: StoredLesson | None, number: int | None
    ) -> Attachment:
        """Return a lesson's original file, of version `number` or of the newest. Raises UserError if it is gone."""
        if stored is None:
            if lesson.path is None or number is not None:
                raise UserError("“{title}” has no versions.", title=lesson.title)
            data = await asyncio.to_thread(lesson.path.read_bytes)
            return Attachment(lesson.path.name, data)
        return await self.read_version(server, stored, stored.newest.number if number is None else number)

    async def read_version(self, server: str, stored: StoredLesson, number: int) -> Attachment:
        """Return the file of a version. Raises UserError if there is no such version or its file is gone."""
        version = next((version for version in stored.versions if version.number == number), None)
        if version is None:
            numbers = ", ".join(str(version.number) for version in stored.versions)
            sentence = "“{title}” has no version {number}. Its versions: {there}."
            raise UserError(sentence, title=stored.title, number=number, there=numbers)
        return Attachment(version.filename, await self.store.read_file(server, version))

    async def delete_unused_embeddings(self) -> None:
        """Delete the embeddings of all texts that are in no lesson any more. It reads all lessons of all servers."""
        from plugins.explain.search.embedding.embeddings import delete_unused

        passages = set(passages_of((await self.lesson_set("")).lessons))
        # Only read, not indexed: there may be more servers than sets are kept in memory.
        for server in await self.store.servers():
            lessons, _ = await self._read_all(server, await self.store.lessons(server), self._server_sets.get(server))
            passages.update(passages_of(lessons))
        passages.update(*(index.passages for index in self._references.values() if index is not None))
        await delete_unused(self._host.store, self._host.models, passages, self._model)

    async def delete_embeddings_of(self, lesson: Lesson) -> None:
        """Delete the embeddings of a lesson that is gone, except those of texts that a set in memory has, too.

        A lesson that is not in memory and has the same texts gets theirs again when it is used.
        """
        from plugins.explain.search.embedding.embeddings import delete_passages

        sets = [*self._server_sets.values(), *filter(None, [self._shared_set])]
        kept = [passage for one in sets for passage in passages_of(one.lessons)]
        kept += [passage for index in self._references.values() if index is not None for passage in index.passages]
        await delete_passages(self._host.store, self._host.models, lesson.passages, kept, self._model)

    async def _build(
        self,
        key: tuple[StoredLesson, ...],
        lessons: Sequence[Lesson],
        left_out: Mapping[str, UserError],
        language: str = "",
    ) -> LessonSet:
        """Index lessons for questions in a language."""
        passages = [passage for lesson in lessons for passage in lesson.passages]
        reference = await self._reference_for(passages, language) if passages else None
        async with self._computing:
            index = await asyncio.to_thread(_build_index, passages, reference, language)
            languages = frozenset({language}) if language else await asyncio.to_thread(languages_of, lessons)
        lessons = tuple(lessons) if language else with_distinct_page_names(lessons)
        return LessonSet(key, lessons, index, left_out, languages, reference)

    def _embed_in_background(self, lesson_set: LessonSet) -> None:
        if lesson_set.is_to_embed:
            self._spawn(self._embed(lesson_set))
        else:
            lesson_set.end_wait()

    async def _reference_for(self, passages: Sequence[Passage], language: str) -> Index | None:
        """Return the index of the reference lesson; None if its file is missing or `passages` contain it."""
        from plugins.explain.search.reference_lesson import DEFAULT_LESSON

        async with self._locks["reference lesson of all servers"]:
            path = translation_paths(DEFAULT_LESSON).get(language, DEFAULT_LESSON)
            if self._references.get(language) is None and await asyncio.to_thread(path.exists):
                lesson = await self._configured.read_from_disk(path)
                self._references[language] = await asyncio.to_thread(_build_index, lesson.passages, None, language)
            reference = self._references.get(language)
        return None if reference is None or set(reference.passages) <= set(passages) else reference

    async def _read_all(
        self, server: str, stored: Sequence[StoredLesson], before: LessonSet | None
    ) -> tuple[list[Lesson], dict[str, UserError]]:
        """Read the configured lessons and those of a server, which replace configured ones of the same title.

        Lessons that are unchanged since the set `before` are taken from it. Returns also the reasons, by title, why
        lessons of the server are left out.
        """
        # Where a reading was cancelled, the next one goes on.
        known = self._partly_read.setdefault(server, {})
        known |= {(lesson.title, lesson.version): lesson for lesson in before.lessons} if before else {}
        own: list[Lesson] = []
        left_out: dict[str, UserError] = {}
        for one in stored:
            try:
                key = one.title, one.newest
                lesson = known[key] = known.get(key) or await self._read_stored(server, one)
                sum_sizes(own).require_room_for(lesson)
                own.append(lesson)
            except DatabaseUnavailable:
                # A set without the lesson would be kept until it is changed; the next question goes on reading instead.
                raise
            except UserError as error:
                left_out[one.title] = error
                log.warning("The lesson “%s” is left out: %s", one.title, error)
        self._partly_read.pop(server, None)
        titles = {lesson.title.casefold() for lesson in own}
        configured = (await self.lesson_set("")).lessons
        kept = [lesson for lesson in configured if all(lesson.find_language(title) is None for title in titles)]
        return kept + own, left_out

    async def _read_stored(self, server: str, stored: StoredLesson) -> Lesson:
        data = await self.store.read_file(server, stored.newest)
        lesson = await self._reader.read(data, stored.newest.filename, stored.title, server=server)
        return replace(lesson, version=stored.newest)

    def _embed_again(self, lesson_set: LessonSet) -> None:
        if lesson_set.model:
            lesson_set.model = ""
            self._spawn(self._embed(lesson_set))

    async def _embed(self, lesson_set: LessonSet) -> None:
        """Add the embeddings to a set, and try again until a model server can make them.

        It ends without them if the model knows none of the languages, or once the set was replaced or left the memory.
        """
        while not lesson_set.model:
            try:
                model = self._model or await self._host.models.first("embeddings")
                known = await self._host.models.languages("embeddings", model)
                if known is not None and known.isdisjoint(lesson_set.languages):
                    lesson_set.keep_to_words()
                    return
                await self._attach_embeddings(lesson_set, model)
                lesson_set.end_wait(model)
            except _NoLongerUsed:
                lesson_set.end_wait()
                return
            except UserError as error:
                log.info("The lessons are searched by their words alone for now: %s", error)
            except Exception:
                # Answers need no embeddings, and the error may pass.
                log.exception("The lessons are searched by their words alone for now")
            if not lesson_set.model:
                lesson_set.wanted.clear()
                lesson_set.end_wait()
                with suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_SECONDS):
                        await lesson_set.wanted.wait()
                if not self._is_used(lesson_set):
                    return

    def _is_used(self, lesson_set: LessonSet) -> bool:
        used = [*self._server_sets.values(), *filter(None, [self._shared_set])]
        return any(lesson_set is one or lesson_set in one.translated.values() for one in used)

    async def _attach_embeddings(self, lesson_set: LessonSet, model: str) -> None:
        import numpy as np

        from plugins.explain.search.embedding.embedded_texts import texts_of
        from plugins.explain.search.embedding.embeddings import embed_passages, load_embeddings, model_scale

        store, models, reference = self._host.store, self._host.models, lesson_set.reference
        reference_count = len(reference.passages) if reference else 0
        total = reference_count + len(lesson_set.index.passages)
        lesson_set.report_progress(0, total)
        scale = await model_scale(store, models, model)

        async def attach(index: Index, done: int) -> None:
            known = await load_embeddings(store, models, texts_of(index.passages), model)
            rows = []
            for start in range(0, len(index.passages), PASSAGES_PER_STEP):
                if not self._is_used(lesson_set):
                    raise _NoLongerUsed
                lesson_set.report_progress(done + start, total)
                passages = index.passages[start : start + PASSAGES_PER_STEP]
                rows.append(await embed_passages(store, models, passages, model, known))
            async with self._computing:
                await asyncio.to_thread(index.attach, np.concatenate(rows), scale)

        if reference is not None:
            # All sets share the reference lesson, so only the first one embeds it with this model. It comes before the
            # set's own lessons, which are compared with it as soon as they have their embeddings.
            async with self._locks["embeddings of the reference lesson"]:
                if self._reference_models.get(reference) != model:
                    await attach(reference, 0)
                    self._reference_models[reference] = model
        await attach(lesson_set.index, reference_count)


def _build_index(passages: Sequence[Passage], reference: Index | None = None, language: str = "") -> Index:
    import bm25s  # noqa: F401 - its import sets its own log level to debug

    from plugins.explain.search.index import Index
    from plugins.explain.search.words import spelling
    from plugins.explain.search.words.glossary import search_language

    logging.getLogger("bm25s").setLevel(logging.WARNING)
    # Before the first questions, each of which would read them in a thread of its own, while everybody waits.
    spelling.read_words()
    return Index(passages, reference, search_language(language))
