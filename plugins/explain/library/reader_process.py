"""Reads one lesson file in a process of its own: `python -m plugins.explain.library.reader_process`.

`lesson_reader.py` starts it, and sends a line of JSON with the file's name, size and title, then the file. The answer
is lines of JSON, so that neither side handles much of it at once. The process limits its own memory and computing time
where the system can do that, and ends when the bot is gone.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bot import Page, Part, UserError
from plugins.explain.lessons.limits import Limit
from plugins.explain.lessons.passages import Passage
from plugins.explain.library.lesson_set import Lesson, read_lesson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OUT_OF_MEMORY_STATUS = 3
"""The exit status after all memory was used up."""
MAX_TRACEBACK_CHARACTERS = 4000


def main() -> None:
    """Read the file on stdin and answer on stdout."""
    logging.disable()
    _limit_this_process()
    request = json.loads(sys.stdin.buffer.readline())
    data = sys.stdin.buffer.read(request["size"])
    threading.Thread(target=_end_with_the_bot, daemon=True).start()
    status = 0
    try:
        for line in _answer(data, request["filename"], request["title"]):
            sys.stdout.buffer.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
        sys.stdout.buffer.flush()
    except MemoryError:
        status = OUT_OF_MEMORY_STATUS
    # The thread may still wait, and Python would wait for what it holds.
    os._exit(status)


def _limit_this_process() -> None:
    # Windows has no such module, and macOS does not know each limit; there the bot's clock alone ends this process.
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        seconds, memory = Limit.CPU_SECONDS.value, Limit.MEMORY_MB.value * 2**20
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _end_with_the_bot() -> None:
    """End this process once the bot has closed its end of the pipe, also because it was killed."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def _answer(data: bytes, filename: str, title: str) -> Iterator[dict[str, Any]]:
    """Yield the lesson in pieces, or why there is none."""
    try:
        lesson = read_lesson(data, filename, title)
    except UserError as error:
        yield {"sentence": error.sentence.text, "values": dict(error.sentence.values)}
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - the bot logs it
        yield {"failure": "".join(traceback.format_exception(error, limit=-5))[-MAX_TRACEBACK_CHARACTERS:]}
    else:
        yield {"title": lesson.title, "page": lesson.page.name}
        yield from ({"part": asdict(part)} for part in lesson.page.parts)
        yield from ({"passage": asdict(passage)} for passage in lesson.passages)


def build_lesson(head: dict[str, str], pieces: Iterable[dict[str, Any]]) -> Lesson:
    """Return the lesson that `_answer` yielded in pieces."""
    parts, passages = [], []
    for piece in pieces:
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
