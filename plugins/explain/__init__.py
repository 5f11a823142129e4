"""/explain: answers in the words of lessons, with where they stand; /lesson: the lessons that teachers add.

Files are read into passages, a question finds the passage that answers it, and where none does that is said.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from bot import (
    Attachment,
    Choice,
    Context,
    Page,
    Person,
    Place,
    Plugin,
    Range,
    Reference,
    Reply,
    User,
    UserError,
    autocomplete,
    command,
    message_command,
    repeat,
)
from plugins.explain import lesson_admin, replies
from plugins.explain.gaps import Gaps
from plugins.explain.library.library import Book, LessonLibrary, Library, bound
from plugins.explain.simplify import retell

log = logging.getLogger(__name__)

PATIENCE_SECONDS, PATIENCE_AT_A_TERMINAL = 2.0, 30.0
"""How long a question waits for the lessons' embeddings, which are made once; then its words alone decide.

A terminal waits longer: where it asks a single question the bot ends with the answer, and would never be done.
"""
EMBEDDING_SECONDS, ASIDE_SECONDS = 5.0, 0.3
"""How long the embedding of a question may take: when it is what somebody waits for, and when it comes on top."""
LONGEST_ASIDE = 500
"""Characters of a question that others ask; a longer one is rather a text that something shall be done with."""
MOST_MARKS = 2000
"""How many of those who said that something did not help are remembered; the oldest make way, and count anew."""
TIDY_SECONDS = 60.0
"""When what is no longer needed is looked for, so that nothing at the start has to wait for it."""
FORGET_SECONDS = 3600.0
"""How often questions are forgotten that were kept long enough."""


class ExplainPlugin(Plugin):
    """Answers from lessons."""

    name = "explain"
    title = "Lessons (/explain)"

    async def start(self) -> None:
        self.shelf = LessonLibrary(self.host, self.spawn)
        self.gaps = Gaps(self.host.store, self.host.retention_days)
        self._counted: dict[tuple[str, ...], None] = {}
        self.spawn(self._prepare())
        self.spawn(repeat(self.gaps.forget_old, FORGET_SECONDS, at_once=True))

    async def pages(self, place: Place) -> Sequence[Page]:
        return [book.page for book in (await self.shelf.library(_here(place))).books]

    async def knows(self, place: Place, question: str, user: User) -> Reference | None:
        if len(question) > LONGEST_ASIDE:
            return None
        passage = await self.shelf.known(_here(place), question, ASIDE_SECONDS, user=user.id)
        return Reference(passage.plain, replies.trail(passage)) if passage else None

    async def forget(self, person: Person) -> None:
        said = [(one.command, one.server or person.platform, one.text) for one in person.asked]
        questions = [(server, text) for command, server, text in said if command == "explain"]
        # One's own question is counted when it is refused or when “None of these” is pressed below it, and not twice.
        pressed = {(server, text) for command, server, text in said if command == "explain-missed"}
        for server, text in (*questions, *(pressed - set(questions))):
            await self.gaps.forget(server, text)
        self._counted = {mark: None for mark in self._counted if mark[1] != person.id}

    @message_command("Explain this")
    @command(form=("question", "style"), threads=True)
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
        from plugins.explain.search.decision import Answer, DidYouMean

        yield Reply(status=ctx.translate("Looking it up in the lessons …"))
        library = await self.shelf.library(_here(ctx.place))
        async for reply in self._until_ready(ctx, library):
            yield reply
        found = await self.shelf.find(library, question, EMBEDDING_SECONDS, user=ctx.user.id)
        if isinstance(found, Answer) and style == "simple":
            async for reply in retell(ctx, library, found.passage, question):
                yield reply
        elif isinstance(found, Answer):
            yield replies.answer(ctx, library, found.passage, question)
        elif isinstance(found, DidYouMean):
            yield replies.suggestions(ctx, library, found.passages, question)
        else:
            await self._note_gap(ctx, question)
            yield replies.refusal(ctx, found.topics, question)

    @autocomplete("explain", "question")
    async def complete_question(self, ctx: Context, typed: str) -> Sequence[str]:
        """Questions of the FAQ and headings."""
        # With every key that is pressed, so not from the database.
        library = self.shelf.at_hand(_here(ctx.place)) or await self.shelf.library(_here(ctx.place))
        return replies.fitting(library, typed)

    @command("explain-at", hidden=True)
    async def at(self, ctx: Context, question: str, lesson: str, anchor: str, part: int) -> AsyncIterator[Reply]:
        """Show a passage."""
        library = await self.shelf.library(_here(ctx.place))
        yield replies.answer(ctx, library, library.passage(lesson, anchor, part), question)

    @command("explain-simpler", hidden=True)
    async def simpler(self, ctx: Context, question: str, lesson: str, anchor: str, part: int) -> AsyncIterator[Reply]:
        """Show a passage in simpler words."""
        library = await self.shelf.library(_here(ctx.place))
        async for reply in retell(ctx, library, library.passage(lesson, anchor, part), question):
            yield reply

    @command("explain-source", hidden=True, private=True, free=True)
    async def source(self, ctx: Context, question: str, lesson: str, anchor: str, part: int) -> AsyncIterator[Reply]:
        """Show where a passage stands."""
        library = await self.shelf.library(_here(ctx.place))
        yield replies.source(ctx, library, library.passage(lesson, anchor, part))

    @command("explain-missed", hidden=True, private=True, free=True)
    async def missed(
        self, ctx: Context, question: str, lesson: str | None = None, anchor: str = "", part: int = 0
    ) -> AsyncIterator[Reply]:
        """Count what did not help."""
        # Within one run of the bot, a person counts once; who they are is kept nowhere.
        mark = (_here(ctx.place), ctx.user.id, lesson or question, anchor)
        if mark not in self._counted:
            self._counted[mark] = None
            if len(self._counted) > MOST_MARKS:
                del self._counted[next(iter(self._counted))]
            if lesson is None:
                await self._note_gap(ctx, question)
            else:
                library = await self.shelf.library(_here(ctx.place))
                heading = replies.trail(library.passage(lesson, anchor, part))
                await self.gaps.unhelpful(_here(ctx.place), heading)
        thanks = "Thank you. Teachers see what did not help, and not who said so. Try other words, or /ask."
        yield Reply(text=ctx.translate(thanks), final=True)

    @command("lesson list", moderator=True, private=True)
    async def list(self, ctx: Context, server: str | None = None) -> AsyncIterator[Reply]:
        """List the lessons that /explain answers from here.

        server: Another server, such as web; for whoever runs this bot
        """
        library = await self.shelf.library(_here(ctx.settings.scope(server=server).place))
        yield Reply(text=lesson_admin.listed(ctx, library), final=True)

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
        where = _here(scope.place)
        filename, data = lesson_admin.given(title, text, file)
        yield Reply(status=ctx.translate("Reading the lesson …"))
        book = await asyncio.to_thread(bound, data, filename, title)
        version, is_new = await self.shelf.teaching.add(where, title, filename, data)
        if is_new:
            before = {"version": version.number - 1} if version.number > 1 else None
            after = {"version": version.number, "file": filename}
            await ctx.audit.note(scope, "lesson add", title, before=before, after=after)
        # Read and indexed now, so that the first question need not wait for it.
        await self.shelf.library(where)
        self.spawn(self._tidy())
        yield Reply(text=lesson_admin.added(ctx, book, version, is_new=is_new), final=True)

    @command("lesson remove", moderator=True, private=True)
    async def remove(self, ctx: Context, title: str, server: str | None = None) -> AsyncIterator[Reply]:
        """Remove a lesson of this server with all its versions.

        title: Which one
        server: Another server, such as web; for whoever runs this bot
        """
        scope = ctx.settings.scope(server=server)
        where = _here(scope.place)
        kept = await self.shelf.teaching.lesson(where, title)
        if kept is None:
            _, book = await self._found(where, title)
            sentence = "“{title}” is one of this bot's own; whoever runs the bot can take it out of explain.lessons."
            raise UserError(sentence, title=book.title)
        await self.shelf.teaching.remove(where, kept)
        before = {"version": kept.newest.number, "file": kept.newest.filename} if kept.versions else None
        await ctx.audit.note(scope, "lesson remove", kept.title, before=before)
        self.spawn(self._tidy())
        yield Reply(text=ctx.translate("“{title}” is removed.", title=kept.title), final=True)

    @command("lesson show", moderator=True, private=True)
    async def show(
        self, ctx: Context, title: str, version: Range[int, 1, None] | None = None, server: str | None = None
    ) -> AsyncIterator[Reply]:
        """Show a lesson: its versions, its headings and its file.

        title: Which one
        version: Whose file you want, if not the newest one's
        server: Another server, such as web; for whoever runs this bot
        """
        where = _here(ctx.settings.scope(server=server).place)
        library, book = await self._found(where, title)
        kept = await self.shelf.teaching.lesson(where, title) if book.version else None
        file = await self.shelf.file(where, book, kept, version)
        address = replies.link(ctx, library, book.passages[0])
        yield lesson_admin.shown(ctx, book, kept, file, address)

    @command("lesson gaps", moderator=True, private=True)
    async def list_gaps(self, ctx: Context, server: str | None = None) -> AsyncIterator[Reply]:
        """Show what was asked and not found in the lessons, and what did not help.

        server: Another server, such as web; for whoever runs this bot
        """
        asked, unhelpful = await self.gaps.listed(_here(ctx.settings.scope(server=server).place))
        yield Reply(text=lesson_admin.gaps(ctx, asked, unhelpful), final=True)

    @autocomplete("lesson show", "title")
    async def complete_show(self, ctx: Context, typed: str) -> Sequence[str]:
        """All lessons that hold here."""
        library = await self.shelf.library(_here(ctx.place))
        return [book.title for book in library.books if typed.casefold() in book.title.casefold()]

    @autocomplete("lesson remove", "title")
    async def complete_remove(self, ctx: Context, typed: str) -> Sequence[str]:
        """This server's own lessons."""
        kept = await self.shelf.teaching.lessons(_here(ctx.place))
        return [one.title for one in kept if typed.casefold() in one.title.casefold()]

    @autocomplete("lesson add", "title")
    async def complete_add(self, ctx: Context, typed: str) -> Sequence[str]:
        """Those that can get a new version."""
        return await self.complete_remove(ctx, typed)

    async def _until_ready(self, ctx: Context, library: Library) -> AsyncIterator[Reply]:
        """Tell how far the lessons' embeddings are, until they are there or it has taken too long."""
        patience = PATIENCE_AT_A_TERMINAL if ctx.capabilities().is_local else PATIENCE_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                async for done, total in library.waiting():
                    about = {"done": done, "total": total}
                    yield Reply(status=ctx.translate("Getting to know the lessons: {done} of {total} …", **about))

    async def _found(self, server: str, title: str) -> tuple[Library, Book]:
        library = await self.shelf.library(server)
        if (book := library.book(title)) is None:
            for known, error in library.left_out.items():
                if known.casefold() == title.casefold():
                    raise UserError("“{title}” is left out: {reason}", title=known, reason=error.sentence)
            names = ", ".join(f"“{book.title}”" for book in library.books)
            if not names:
                raise UserError("There is no lesson “{title}” here, and no other one either.", title=title)
            raise UserError("There is no lesson “{title}” here. There is: {names}.", title=title, names=names)
        return library, book

    async def _note_gap(self, ctx: Context, question: str) -> None:
        # In a direct message there is no teacher who could read it.
        if ctx.place.server or ctx.capabilities().is_local:
            await self.gaps.asked(_here(ctx.place), question)

    async def _prepare(self) -> None:
        """Have the deployment's lessons ready before somebody asks, and later clear up what nobody needs."""
        await self.shelf.library("")
        await asyncio.sleep(TIDY_SECONDS)
        await self._tidy()

    async def _tidy(self) -> None:
        try:
            await self.shelf.tidy()
        except UserError as error:
            log.info("Old embeddings stay for now: %s", error)


def _here(place: Place) -> str:
    return place.server or place.platform
