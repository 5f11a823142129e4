"""Examines one picture in a process of its own: `python -m bot.provenance.child_examination`."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bot.core.child_process import ChildFailed, answer_as_child, read_child_answer, run_child
from bot.core.errors import UserError
from bot.provenance.certificates import Trust
from bot.provenance.examination import Examination, examine
from bot.provenance.manifest import Manifest
from bot.provenance.metadata import Label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bot.core.messages import Attachment

PROGRAM = "bot.provenance.child_examination"
MAX_SECONDS = 120.0
"""The time of one picture, which counts where the system has no limit of computing time."""
CPU_SECONDS, MEMORY_MB = 15, 1024

log = logging.getLogger(__name__)


async def examine_in_child(file: Attachment, trust: Trust) -> Examination:
    """Return what a picture file says of itself. Raises UserError if it is none, or takes too much."""
    try:
        answer = await run_child(PROGRAM, asdict(trust), file.data, seconds=MAX_SECONDS)
        (piece,) = read_child_answer(answer)
    except ChildFailed as failure:
        log.warning("%s cannot be examined: %s", file.filename, failure)
        sentence = "{file} takes more time or memory than a picture may. Save it as a smaller one and try again."
        if failure.cause == "fault":
            sentence = "{file} cannot be examined: it is damaged, or not what its name says."
        raise UserError(sentence, file=file.filename) from None
    return _from_json(piece)


def main() -> None:
    """Examine the file on stdin and answer on stdout."""
    answer_as_child(_answer, cpu_seconds=CPU_SECONDS, memory_mb=MEMORY_MB)


def _answer(request: Mapping[str, Any], data: bytes) -> Iterator[dict[str, Any]]:
    examination = examine(data, Trust(**request))
    plain = asdict(examination) | {"hash": examination.hash.hex()}
    if (manifest := examination.manifest) is not None and manifest.created is not None:
        plain["manifest"]["created"] = manifest.created.isoformat()
    yield plain


def _from_json(plain: dict[str, Any]) -> Examination:
    manifest, label = plain["manifest"], plain["label"]
    if manifest and manifest["created"]:
        manifest["created"] = datetime.fromisoformat(manifest["created"])
    read = {
        "hash": bytes.fromhex(plain["hash"]),
        "manifest": manifest and Manifest(**manifest),
        "label": label and Label(**label),
    }
    return Examination(**plain | read)


if __name__ == "__main__":
    main()
