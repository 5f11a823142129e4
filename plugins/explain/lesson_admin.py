"""What moderators are told about lessons and about what is missing in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bot import Attachment, Context, Reply, UserError

if TYPE_CHECKING:
    from plugins.explain.gaps import Gap
    from plugins.explain.library.lesson_store import StoredLesson, Version
    from plugins.explain.library.library import Book, Library

GAPS = 25
"""How many of each kind are listed."""


def given(title: str, text: str | None, file: Attachment | None) -> tuple[str, bytes]:
    """The name and the bytes of the one thing that was given as a lesson."""
    if (text is None) == (file is None):
        raise UserError("Give the lesson either as a file or as text.")
    if file is not None:
        return file.filename, file.data
    return f"{title}.md", (text or "").encode()


def listed(ctx: Context, library: Library) -> str:
    """All lessons that hold here, and those of the server that are left out, with the reason."""
    lines = [f"- {_line(ctx, book)}" for book in library.books]
    for title, error in library.left_out.items():
        lines.append(f"- **{title}** – {ctx.translate('left out: {reason}', reason=error.sentence)}")
    return "\n".join(lines) or ctx.translate("There are no lessons here. /lesson add brings one in.")


def _line(ctx: Context, book: Book) -> str:
    count = ctx.translate("passages: {count}", count=len(book.passages))
    if book.version is None:
        return f"**{book.title}** – {ctx.translate('of this bot')}, {count}"
    about = {"number": book.version.number, "date": book.version.date}
    return f"**{book.title}** – {ctx.translate('version {number} of {date}', **about)}, {count}"


def added(ctx: Context, book: Book, version: Version, *, is_new: bool) -> str:
    """That a lesson was added, and what it was read as: the teacher sees whether its headings were found."""
    sentence = "“{title}” is version {number} now (passages: {count}). Its topics:"
    if not is_new:
        sentence = "“{title}” was the same already in version {number} (passages: {count}). Its topics:"
    about = {"title": book.title, "number": version.number, "count": len(book.passages)}
    return f"{ctx.translate(sentence, **about)}\n\n{_contents(book)}"


def shown(ctx: Context, book: Book, kept: StoredLesson | None, file: Attachment, address: str) -> Reply:
    """A lesson: its versions, its headings, where to read it, and its file."""
    lines = [f"**{book.title}**", ""]
    for version in reversed(kept.versions if kept else ()):
        told = ctx.translate("version {number} of {date}", number=version.number, date=version.date)
        lines.append(f"- {told}: {version.filename}, {max(1, round(version.size / 1000))} kB")
    if kept is None:
        lines.append(ctx.translate("It is one of this bot's own."))
    lines += ["", ctx.translate("Its topics:"), "", _contents(book)]
    if address:
        lines += ["", f"[{ctx.translate('Read it in the lesson')}]({address})"]
    return Reply(text="\n".join(lines), attachments=(file,), final=True)


def _contents(book: Book) -> str:
    paths = dict.fromkeys(
        passage.path[:depth] for passage in book.passages for depth in range(1, len(passage.path) + 1)
    )
    return "\n".join(f"{'  ' * (len(path) - 1)}- {path[-1]}" for path in paths) or f"- {book.title}"


def gaps(ctx: Context, asked: Sequence[Gap], unhelpful: Sequence[Gap]) -> str:
    """What was asked and not found, and what did not help."""
    if not asked and not unhelpful:
        return ctx.translate("So far every question was answered, and nobody said that an answer did not help.")
    parts = []
    if asked:
        parts.append(_counted(ctx.translate("Asked, and not found in the lessons:"), asked))
    if unhelpful:
        parts.append(_counted(ctx.translate("Answered, but it did not help:"), unhelpful))
    return "\n\n".join(parts)


def _counted(title: str, found: Sequence[Gap]) -> str:
    lines = [f"- {gap.count} × {gap.text}" for gap in found[:GAPS]]
    return "\n".join([title, "", *lines, *(["- …"] if len(found) > GAPS else [])])
