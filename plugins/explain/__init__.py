"""/explain: answers questions with passages of lessons and their source; /lesson: the lessons that teachers add.

Lesson files are split into passages. A question finds the passage that answers it, or the reply says that none does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from bot import (
    Attachment,
    Caller,
    Choice,
    Context,
    Page,
    Person,
    Place,
    Plugin,
    Range,
    Reference,
    Reply,
    Sentence,
    Shelf,
    User,
    UserError,
    autocomplete,
    command,
    language_code,
    message_command,
    repeat,
)
from plugins.explain import lesson_admin, replies
from plugins.explain.gaps import Gaps
from plugins.explain.library.lesson_set import Lesson, LessonSet
from plugins.explain.library.lesson_store import title_key
from plugins.explain.library.library import LessonLibrary
from plugins.explain.search.decision import Answer, DidYouMean, Ranking
from plugins.explain.search.words.glossary import choose_language, name_language
from plugins.explain.simplify import simplify_passage

log = logging.getLogger(__name__)

EMBEDDINGS_WAIT_SECONDS = 30.0
"""How long a question waits until the lessons are embedded; after that only its words are searched."""
QUESTION_EMBEDDING_SECONDS, CONTEXT_EMBEDDING_SECONDS = 15.0, 1.0
"""How long the embedding of a question may take for /explain, and where the answer is only context for another command.
"""
WORDS_ALONE = (
    "Only the words of the question were compared, because the embedding model cannot be used at the moment; "
    "ask again later for a better result."
)
MAX_CONTEXT_QUESTION_CHARACTERS = 500
"""The longest question of another command that is looked up; a longer one is rather a text to work on."""
MAX_REMEMBERED_PRESSES = 2000
"""Presses of buttons that count what did not help; the oldest are dropped, after which the same person counts again."""
CLEANUP_DELAY_SECONDS = 60.0
"""Time from the start until unused embeddings are deleted, so that the start does not wait for it."""
FORGET_INTERVAL_SECONDS = 3600.0
"""Time between two deletions of questions that are older than the retention period."""


class ExplainPlugin(Plugin):
    """Answers questions from lessons, and manages the lessons of each server."""

    name = "explain"
    title = "Lessons (/explain)"
    examples = (("/explain", Sentence("what does the temperature do")),)

    async def start(self) -> None:
        self.library = LessonLibrary(self.host, self.spawn)
        self.gaps = Gaps(self.host.store, self.host.retention_days)
        self._counted_presses: dict[tuple[str, ...], None] = {}
        self.spawn(self._prepare_lessons())
        self.spawn(repeat(self.gaps.forget_old, FORGET_INTERVAL_SECONDS, at_once=True))

    async def pages(self, place: Place) -> Sequence[Page]:
        lesson_set = await self.library.lesson_set(_server_of(place))
        return [
            replace(lesson.page, translations={code: other.page for code, other in lesson.translations.items()})
            for lesson in lesson_set.lessons
        ]

    async def shelf(self, caller: Caller) -> Shelf:
        caller.require_moderator()
        server = _server_of(caller.place)
        lesson_set, stored = await self.library.lesson_set(server), await self.library.store.lessons(server)
        return lesson_admin.build_shelf(lesson_set, stored, *await self.gaps.list_gaps(server), caller.user.locale)

    async def knows(self, place: Place, question: str, user: User) -> Reference | None:
        if len(question) > MAX_CONTEXT_QUESTION_CHARACTERS:
            return None
        language = choose_language(question, user.locale)
        passage = await self.library.find_answer(
            _server_of(place), question, CONTEXT_EMBEDDING_SECONDS, user=user.id, language=language
        )
        if passage is None:
            return None

        # An answer below “What is temperature in AI?” begins with “It is”.
        text = f"{passage.heading}\n{passage.plain_text}"
        return Reference(text, replies.breadcrumb(passage), name_language(question))

    async def forget(self, person: Person) -> None:
        requests = [(one.command, one.server or person.platform, one.text) for one in person.asked]
        questions = [(server, text) for command, server, text in requests if command == "explain"]
        # Their own question was counted once: when it was refused, or when they pressed “None of these” below it.
        presses = {(server, text) for command, server, text in requests if command == "explain-missed"}
        for server, text in (*questions, *(presses - set(questions))):
            await self.gaps.forget_question(server, text)
        self._counted_presses = {press: None for press in self._counted_presses if press[1] != person.id}

    @message_command("Explain this")
    @command(form=("question", "style"), threads=True, written_if={"style": "quote"})
    async def explain(
        self,
        ctx: Context,
        question: Range[str, 1, 1000],
        style: Choice["quote", "simple"] = "quote",  # noqa: UP037 - values, not types
    ) -> AsyncIterator[Reply]:
        """Read what the lessons say about a question.

        question: What you want to know, in your own words
        style: The lesson's own words, or a language model's simpler ones
        """
        yield Reply(status=ctx.translate("Looking it up in the lessons …"))
        language = choose_language(question, ctx.user.locale)
        lesson_set = await self.library.lesson_set(_server_of(ctx.place), language)
        if not await asyncio.to_thread(lesson_set.index.has_literally, question):
            lesson_set.want_embeddings()
            async for done, total in lesson_set.watch_progress(EMBEDDINGS_WAIT_SECONDS):
                if total:
                    counts = {"done": done, "total": total}
                    yield Reply(status=ctx.translate("Getting to know the lessons: {done} of {total} …", **counts))
        ranking = await self.library.rank(lesson_set, question, QUESTION_EMBEDDING_SECONDS, user=ctx.user.id)
        # The same question gets another result only if it is said why.
        is_certain = ranking.is_literal or ranking.with_embeddings or not lesson_set.is_to_embed
        note = "" if is_certain else ctx.translate(WORDS_ALONE)
        async for reply in self._reply(ctx, lesson_set, ranking, question, style):
            yield replace(reply, status=reply.status or note) if reply.final else reply

    async def _reply(
        self, ctx: Context, lesson_set: LessonSet, ranking: Ranking, question: str, style: str
    ) -> AsyncIterator[Reply]:
        """Show the answer, suggestions or a refusal."""
        decision = lesson_set.index.decide(ranking)
        if isinstance(decision, Answer) and style == "simple":
            async for reply in simplify_passage(ctx, lesson_set, decision.passage, question):
                yield reply
        elif isinstance(decision, Answer):
            yield replies.show_passage(ctx, lesson_set, decision.passage, question)
        elif isinstance(decision, DidYouMean):
            yield replies.suggest(ctx, lesson_set, decision.passages, question)
        else:
            await self._count_gap(ctx, question)
            yield replies.refuse(ctx, decision.topics, question)

    @autocomplete("explain", "question")
    async def complete_question(self, ctx: Context, typed: str) -> Sequence[str]:
        """Suggest questions of FAQs, and headings."""
        # It runs with every keystroke, so it avoids the database.
        server, language = _server_of(ctx.place), language_code(ctx.user.locale)
        lesson_set = self.library.cached(server, language) or await self.library.lesson_set(server)
        return await asyncio.to_thread(replies.complete_question, lesson_set, typed)

    @command("explain-at", hidden=True, written_if={})
    async def at(self, ctx: Context, question: str, lesson: str, anchor: str, part: int) -> AsyncIterator[Reply]:
        """Show a passage."""
        lesson_set = await self.library.set_with(_server_of(ctx.place), lesson)
        yield replies.show_passage(ctx, lesson_set, lesson_set.passage(lesson, anchor, part), question)

    @command("explain-simpler", hidden=True)
    async def simpler(self, ctx: Context, question: str, lesson: str, anchor: str, part: int) -> AsyncIterator[Reply]:
        """Show a passage in simpler words."""
        lesson_set = await self.library.set_with(_server_of(ctx.place), lesson)
        async for reply in simplify_passage(ctx, lesson_set, lesson_set.passage(lesson, anchor, part), question):
            yield reply

    @command("explain-source", hidden=True, private=True, free=True, written_if={})
    async def source(self, ctx: Context, question: str, lesson: str, anchor: str, part: int) -> AsyncIterator[Reply]:
        """Show where a passage stands."""
        lesson_set = await self.library.set_with(_server_of(ctx.place), lesson)
        yield replies.show_source(ctx, lesson_set, lesson_set.passage(lesson, anchor, part))

    @command("explain-missed", hidden=True, private=True, free=True, written_if={})
    async def missed(
        self, ctx: Context, question: str, lesson: str | None = None, anchor: str = "", part: int = 0
    ) -> AsyncIterator[Reply]:
        """Count what did not help."""
        # A person counts once until the bot restarts; the database never holds who it was.
        press = (_server_of(ctx.place), ctx.user.id, lesson or question, anchor)
        if press not in self._counted_presses:
            self._counted_presses[press] = None
            if len(self._counted_presses) > MAX_REMEMBERED_PRESSES:
                del self._counted_presses[next(iter(self._counted_presses))]
            try:
                await self._count_missed(ctx, question, lesson, anchor, part)
            except BaseException:
                self._counted_presses.pop(press, None)
                raise
        thanks = "Thank you. Teachers see what did not help, and not who said so. Try other words, or /ask."
        yield Reply(text=ctx.translate(thanks), final=True)

    async def _count_missed(self, ctx: Context, question: str, lesson: str | None, anchor: str, part: int) -> None:
        if lesson is None:
            await self._count_gap(ctx, question)
            return
        lesson_set = await self.library.set_with(_server_of(ctx.place), lesson)
        heading = replies.breadcrumb(lesson_set.passage(lesson, anchor, part))
        await self.gaps.count_unhelpful(_server_of(ctx.place), heading)

    @command("lesson list", moderator=True, private=True)
    async def list(self, ctx: Context, server: str | None = None) -> AsyncIterator[Reply]:
        """List the lessons that /explain answers from here.

        server: Another server, such as web; for whoever runs this bot
        """
        lesson_set = await self.library.lesson_set(_server_of(ctx.settings.scope(server=server).place))
        yield Reply(text=lesson_admin.list_lessons(ctx, lesson_set), final=True)

    @command("lesson add", form=("title", "file", "text"), moderator=True, private=True)
    async def add(
        self,
        ctx: Context,
        title: Range[str, 1, 100],
        file: Attachment | None = None,
        text: Range[str, 1, 200_000] | None = None,
        server: str | None = None,
    ) -> AsyncIterator[Reply]:
        """Add a lesson for this server, or a new version of one.

        title: What it is called; the same title again makes a new version
        file: Markdown, plain text, HTML, Word (.docx) or PDF, up to 5 MB
        text: The lesson itself, instead of a file
        server: Another server, such as web; for whoever runs this bot
        """
        scope = ctx.settings.scope(server=server)
        server_key = _server_of(scope.place)
        filename, data = lesson_admin.read_upload(title, text, file)
        yield Reply(status=ctx.translate("Reading the lesson …"))
        lesson = await self.library.read_upload(server_key, data, filename, title)
        before_it = (await self.library.lesson_set(server_key)).lesson(title)
        version, is_new = await self.library.store.add(server_key, title, filename, data)
        if is_new:
            self.library.remember_read(server_key, lesson, version)
            before = {"version": version.number - 1} if version.number > 1 else None
            after = {"version": version.number, "file": filename}
            await ctx.audit.note(ctx.caller, scope, "lesson add", title, before=before, after=after)
        # It is read and indexed now, so that the first question need not wait for it.
        await self.library.lesson_set(server_key)
        if is_new:
            self.spawn(self._delete_embeddings_of(before_it))
            fill = lesson_admin.forget_filled_gaps(self.gaps, self.library, server_key, QUESTION_EMBEDDING_SECONDS)
            self.spawn(fill)
        yield Reply(text=lesson_admin.confirm_added(ctx, lesson, version, is_new=is_new), final=True)

    @command("lesson remove", moderator=True, private=True)
    async def remove(self, ctx: Context, title: str, server: str | None = None) -> AsyncIterator[Reply]:
        """Remove a lesson of this server with all its versions.

        title: Which one
        server: Another server, such as web; for whoever runs this bot
        """
        scope = ctx.settings.scope(server=server)
        server_key = _server_of(scope.place)
        stored = await self.library.store.lesson(server_key, title)
        if stored is None:
            _, lesson = await self._require_lesson(server_key, title)
            sentence = "“{title}” is one of this bot's own; whoever runs the bot can take it out of explain.lessons."
            raise UserError(sentence, title=lesson.title)
        removed = (await self.library.lesson_set(server_key)).lesson(title)
        await self.library.store.remove(server_key, stored)
        before = {"version": stored.newest.number, "file": stored.newest.filename} if stored.versions else None
        await ctx.audit.note(ctx.caller, scope, "lesson remove", stored.title, before=before)
        # The set in memory must not hold it any more, or its embeddings would count as used.
        await self.library.lesson_set(server_key)
        self.spawn(self._delete_embeddings_of(removed))
        yield Reply(text=ctx.translate("“{title}” is removed.", title=stored.title), final=True)

    @command("lesson restore", moderator=True, private=True)
    async def restore(
        self, ctx: Context, title: str, version: Range[int, 1, None], server: str | None = None
    ) -> AsyncIterator[Reply]:
        """Use an earlier version of a lesson again, as its newest one.

        title: Which one
        version: Which of its versions
        server: Another server, such as web; for whoever runs this bot
        """
        server_key = _server_of(ctx.settings.scope(server=server).place)
        stored = await self.library.store.lesson(server_key, title)
        if stored is None:
            _, lesson = await self._require_lesson(server_key, title)
            raise UserError("“{title}” has no versions.", title=lesson.title)
        file = await self.library.read_version(server_key, stored, version)
        async for reply in self.add(ctx, stored.title, file, server=server):
            yield reply

    @command("lesson show", moderator=True, private=True)
    async def show(
        self, ctx: Context, title: str, version: Range[int, 1, None] | None = None, server: str | None = None
    ) -> AsyncIterator[Reply]:
        """Show a lesson: its versions, its headings and its file.

        title: Which one
        version: Whose file you want, if not the newest one's
        server: Another server, such as web; for whoever runs this bot
        """
        server_key = _server_of(ctx.settings.scope(server=server).place)
        lesson_set, lesson = await self._require_lesson(server_key, title)
        stored = await self.library.store.lesson(server_key, title) if lesson.version else None
        file = await self.library.read_file(server_key, lesson, stored, version)
        address = replies.page_link(ctx, lesson_set, lesson.passages[0])
        yield lesson_admin.show_lesson(ctx, lesson, stored, file, address)

    @command("lesson gaps", moderator=True, private=True)
    async def list_gaps(self, ctx: Context, server: str | None = None) -> AsyncIterator[Reply]:
        """Show what was asked and not found in the lessons, and what did not help.

        server: Another server, such as web; for whoever runs this bot
        """
        asked, unhelpful = await self.gaps.list_gaps(_server_of(ctx.settings.scope(server=server).place))
        yield Reply(text=lesson_admin.list_gaps(ctx, asked, unhelpful), final=True)

    @autocomplete("lesson show", "title")
    async def complete_show(self, ctx: Context, typed: str) -> Sequence[str]:
        """Suggest all lessons that are used here."""
        lesson_set = await self.library.lesson_set(_server_of(ctx.place))
        return [lesson.title for lesson in lesson_set.lessons if typed.casefold() in lesson.title.casefold()]

    @autocomplete("lesson restore", "title")
    async def complete_restore(self, ctx: Context, typed: str) -> Sequence[str]:
        """Suggest the lessons that have versions."""
        return await self.complete_remove(ctx, typed)

    @autocomplete("lesson remove", "title")
    async def complete_remove(self, ctx: Context, typed: str) -> Sequence[str]:
        """Suggest this server's own lessons."""
        stored = await self.library.store.lessons(_server_of(ctx.place))
        return [lesson.title for lesson in stored if typed.casefold() in lesson.title.casefold()]

    @autocomplete("lesson add", "title")
    async def complete_add(self, ctx: Context, typed: str) -> Sequence[str]:
        """Suggest the lessons that can get a new version."""
        return await self.complete_remove(ctx, typed)

    async def _require_lesson(self, server: str, title: str) -> tuple[LessonSet, Lesson]:
        """Return the lesson with this title and its set. Raises UserError if it is left out or unknown."""
        lesson_set = await self.library.set_with(server, title)
        if (lesson := lesson_set.lesson(title)) is None:
            for known, error in lesson_set.left_out.items():
                if title_key(known) == title_key(title):
                    raise UserError("“{title}” is left out: {reason}", title=known, reason=error.sentence)
            names = ", ".join(f"“{lesson.title}”" for lesson in lesson_set.lessons)
            if not names:
                raise UserError("There is no lesson “{title}” here, and no other one either.", title=title)
            raise UserError("There is no lesson “{title}” here. There is: {names}.", title=title, names=names)
        return lesson_set, lesson

    async def _count_gap(self, ctx: Context, question: str) -> None:
        # No teacher could read the gaps of a direct message, and none may read those of a private place.
        if (ctx.place.server and not ctx.request.alone) or ctx.capabilities().is_local:
            await self.gaps.count_question(_server_of(ctx.place), question)

    async def _prepare_lessons(self) -> None:
        """Read the configured lessons before somebody asks, and later delete unused embeddings."""
        await self.library.lesson_set("")
        await asyncio.sleep(CLEANUP_DELAY_SECONDS)
        try:
            await self.library.delete_unused_embeddings()
        except UserError as error:
            log.info("Unused embeddings are not deleted yet: %s", error)

    async def _delete_embeddings_of(self, lesson: Lesson | None) -> None:
        """Delete the embeddings of a lesson that is gone, if there was one and it was the server's own."""
        if lesson is None or lesson.version is None:
            return
        try:
            await self.library.delete_embeddings_of(lesson)
        except UserError as error:
            log.info("The embeddings of a former lesson are deleted after the next start: %s", error)


def _server_of(place: Place) -> str:
    """Return the key of the lessons of a place: its server, or else its platform, as for direct messages."""
    return place.server or place.platform
