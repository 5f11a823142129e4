"""Reads one lesson file in a process of its own: `python -m plugins.explain.library.reader_process`.

`lesson_reader.py` starts it with the file's name and title.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bot import Page, Part, answer_as_child
from bot.documents.limits import Limit
from plugins.explain.lessons.passages import Passage
from plugins.explain.library.lesson_set import Lesson, read_lesson


def main() -> None:
    """Read the file on stdin and answer on stdout."""
    answer_as_child(_answer, cpu_seconds=Limit.CPU_SECONDS.value, memory_mb=Limit.MEMORY_MB.value)


def _answer(request: Mapping[str, Any], data: bytes) -> Iterator[dict[str, Any]]:
    """Yield the lesson in pieces."""
    lesson = read_lesson(data, request["filename"], request["title"])
    yield {"title": lesson.title, "page": lesson.page.name}
    yield from ({"part": asdict(part)} for part in lesson.page.parts)
    yield from ({"passage": asdict(passage)} for passage in lesson.passages)


def build_lesson(pieces: Iterable[dict[str, Any]]) -> Lesson:
    """Return the lesson that was answered in pieces."""
    head, *others = pieces
    parts, passages = [], []
    for piece in others:
        if part := piece.get("part"):
            parts.append(Part(**part))
        else:
            passage = piece["passage"]
            both = {"path": tuple(passage["path"]), "wordings": tuple(passage["wordings"])}
            passages.append(Passage(**passage | both))
    page = Page(name=head["page"], title=head["title"], parts=tuple(parts))
    return Lesson(head["title"], tuple(passages), page)


if __name__ == "__main__":
    main()
