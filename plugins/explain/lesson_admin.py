"""The replies of /lesson to moderators: about the lessons, and about the gaps in them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

from bot import Attachment, Context, Document, Reply, Shelf, UserError
from plugins.explain import replies
from plugins.explain.gaps import Gap, Gaps
from plugins.explain.library.lesson_set import Lesson, LessonSet
from plugins.explain.library.lesson_store import StoredLesson, Version
from plugins.explain.library.library import LessonLibrary
from plugins.explain.search.decision import Answer
from plugins.explain.search.words.glossary import choose_language

log = logging.getLogger(__name__)

MAX_LISTED_HEADINGS = 200
"""The number of headings of a lesson that a reply lists."""
MAX_LISTED_GAPS = 25
"""The number of gaps of each kind that a reply lists."""


def read_upload(title: str, text: str | None, file: Attachment | None) -> tuple[str, bytes]:
    """Return the filename and the bytes of a lesson. Raises UserError unless exactly one of text and file is given."""
    if (text is None) == (file is None):
        raise UserError("Give the lesson either as a file or as text.")
    if file is not None:
        return file.filename, file.data
    return f"{title}.md", (text or "").encode()


def list_lessons(ctx: Context, lesson_set: LessonSet) -> str:
    """List all lessons that are used here, and those of the server that are left out, with the reason."""
    lines = []
    for lesson in lesson_set.lessons:
        lines.append(f"- {_describe(ctx, lesson)}")
        lines += [f"  - {_describe(ctx, translated)}" for translated in lesson.translations.values()]
    for title, error in lesson_set.left_out.items():
        lines.append(f"- **{title}** – {ctx.translate('left out: {reason}', reason=error.sentence)}")
    return "\n".join(lines) or ctx.translate("There are no lessons here. /lesson add brings one in.")


def _describe(ctx: Context, lesson: Lesson) -> str:
    count = ctx.translate("passages: {count}", count=len(lesson.passages))
    if lesson.version is None:
        return f"**{lesson.title}** – {ctx.translate('of this bot')}, {count}"
    return f"**{lesson.title}** – {replies.describe_version(ctx, lesson.version)}, {count}"


def confirm_added(ctx: Context, lesson: Lesson, version: Version, *, is_new: bool) -> str:
    """Confirm that a lesson was added, and list its headings: so the teacher sees whether they were found."""
    sentence = "“{title}” is version {number} now (passages: {count}). Its topics:"
    if not is_new:
        sentence = "“{title}” was the same already in version {number} (passages: {count}). Its topics:"
    about = {"title": lesson.title, "number": version.number, "count": len(lesson.passages)}
    return f"{ctx.translate(sentence, **about)}\n\n{_outline(lesson)}"


def show_lesson(ctx: Context, lesson: Lesson, stored: StoredLesson | None, file: Attachment, address: str) -> Reply:
    """Show a lesson: its versions, its headings, the `address` of its page, and its file."""
    lines = [f"**{lesson.title}**", ""]
    for version in reversed(stored.versions if stored else ()):
        kilobytes = max(1, round(version.size / 1000))
        lines.append(f"- {replies.describe_version(ctx, version)}: {version.filename}, {kilobytes} kB")
    if stored is None:
        lines.append(ctx.translate("It is one of this bot's own."))
    lines += ["", ctx.translate("Its topics:"), "", _outline(lesson)]
    if address:
        lines += ["", f"[{ctx.translate('Read it in the lesson')}]({address})"]
    return Reply(text="\n".join(lines), attachments=(file,), final=True)


def _outline(lesson: Lesson) -> str:
    paths = dict.fromkeys(
        passage.path[:depth] for passage in lesson.passages for depth in range(1, len(passage.path) + 1)
    )
    lines = [f"{'  ' * (len(path) - 1)}- {path[-1]}" for path in islice(paths, MAX_LISTED_HEADINGS)]
    return "\n".join([*lines, *(["- …"] if len(paths) > len(lines) else [])]) or f"- {lesson.title}"


def build_shelf(
    lesson_set: LessonSet, stored: Sequence[StoredLesson], asked: Sequence[Gap], unhelpful: Sequence[Gap], locale: str
) -> Shelf:
    """Return the lessons of a server with their versions, those that are left out, and the gaps."""
    versions = {
        lesson.title: tuple((one.number, one.filename, one.added) for one in reversed(lesson.versions))
        for lesson in stored
    }
    used = [
        Document(lesson.title, lesson.page.name, versions.get(lesson.title, ()) if lesson.version else ())
        for lesson in lesson_set.lessons
    ]
    left_out = [
        Document(title, versions=versions.get(title, ()), problem=error.sentence.in_language(locale))
        for title, error in lesson_set.left_out.items()
    ]
    return Shelf(
        documents=(*used, *left_out),
        missed=tuple((gap.text, gap.count) for gap in asked[:MAX_LISTED_GAPS]),
        unhelpful=tuple((gap.text, gap.count) for gap in unhelpful[:MAX_LISTED_GAPS]),
        add="lesson add",
        restore="lesson restore",
        remove="lesson remove",
    )


async def forget_filled_gaps(gaps: Gaps, library: LessonLibrary, server: str, max_seconds: float) -> None:
    """Delete the questions that the lessons of a server answer by now.

    The embeddings of the lessons, and of each question, are waited for at most `max_seconds`.
    """

    async def is_answered(question: str) -> bool:
        lesson_set = await library.lesson_set(server, choose_language(question, ""))
        with suppress(TimeoutError):
            await asyncio.wait_for(lesson_set.ready.wait(), max_seconds)
        ranking = await library.rank(lesson_set, question, max_seconds)
        return isinstance(lesson_set.index.decide(ranking), Answer)

    try:
        await gaps.forget_answered(server, is_answered)
    except UserError as error:
        log.info("Gaps that a lesson fills stay until the next one is added: %s", error)


def list_gaps(ctx: Context, asked: Sequence[Gap], unhelpful: Sequence[Gap]) -> str:
    """List the questions without an answer, and the answers that did not help."""
    if not asked and not unhelpful:
        return ctx.translate("So far every question was answered, and nobody said that an answer did not help.")
    lists = []
    if asked:
        lists.append(_format_gaps(ctx.translate("Asked, and not found in the lessons:"), asked))
    if unhelpful:
        lists.append(_format_gaps(ctx.translate("Answered, but it did not help:"), unhelpful))
    return "\n\n".join(lists)


def _format_gaps(title: str, gaps: Sequence[Gap]) -> str:
    lines = [f"- {gap.count} × {gap.text}" for gap in gaps[:MAX_LISTED_GAPS]]
    return "\n".join([title, "", *lines, *(["- …"] if len(gaps) > MAX_LISTED_GAPS else [])])
