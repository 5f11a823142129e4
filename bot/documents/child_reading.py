"""Reads one file of a question in a process of its own: `python -m bot.documents.child_reading`."""

from __future__ import annotations

import base64
import logging
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from bot.core.child_process import ChildFailed, answer_as_child, read_child_answer, run_child
from bot.core.errors import UnknownFormat, UserError
from bot.core.messages import ReadFile
from bot.documents.parse import unreadable
from bot.documents.pictures import is_picture, shrink_picture
from bot.documents.text import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bot.core.messages import Attachment

PROGRAM = "bot.documents.child_reading"
MAX_SECONDS = 120.0
"""The time of one file, which counts where the system has no limit of computing time."""
CPU_SECONDS, MEMORY_MB = 20, 1024
MAX_TEXT_CHARACTERS = 60_000
"""How much of a text a model gets at most: a request to our model server may have 1 MiB."""
MAX_NAME_CHARACTERS = 100

log = logging.getLogger(__name__)


async def read_in_child(file: Attachment) -> ReadFile:
    """Return a file as a model reads it. Raises UserError if it cannot be read, or takes too much."""
    name = " ".join(PurePath(file.filename).name.split())[-MAX_NAME_CHARACTERS:]
    try:
        (piece,) = read_child_answer(await run_child(PROGRAM, {"filename": name}, file.data, seconds=MAX_SECONDS))
    except ChildFailed as failure:
        # Without the failure's own words, which may quote the file.
        log.warning("A file of a question cannot be read (%s).", failure.cause)
        if failure.cause == "fault":
            raise unreadable(name) from None
        raise UserError("{file} takes more time or memory to read than a file may.", file=name) from None
    return build_file(name, piece)


def build_file(name: str, piece: Mapping[str, Any]) -> ReadFile:
    """Return the file that `_answer` told about."""
    return ReadFile(
        filename=name,
        text=piece.get("text", ""),
        characters=piece.get("characters", 0),
        picture=base64.b64decode(piece.get("picture", "")),
    )


def main() -> None:
    """Read the file on stdin and answer on stdout."""
    answer_as_child(_answer, cpu_seconds=CPU_SECONDS, memory_mb=MEMORY_MB)


def _answer(request: Mapping[str, Any], data: bytes) -> Iterator[dict[str, Any]]:
    name = request["filename"]
    if is_picture(data):
        yield {"picture": base64.b64encode(shrink_picture(data)).decode()}
        return
    try:
        text = read_text(data, name)
    except UnknownFormat:
        raise UserError(
            "I cannot read {file}. These I can read: pictures (PNG, JPEG, WebP, GIF), Markdown (.md), plain text "
            "(.txt), HTML (.html), Word (.docx) and PDF (.pdf).",
            file=name,
        ) from None
    yield {"text": text[:MAX_TEXT_CHARACTERS], "characters": len(text)}


if __name__ == "__main__":
    main()
