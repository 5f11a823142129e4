"""The wire, outwards, for pictures: OpenAI's responses and events, with an object `tempera` in each.

In `tempera`: `job` and `seed`, and `seconds` at the end; of what a prompt describes also `steps`, `guidance`, `width`,
`height`, `sampler`, `strength`, `starts`, `shows`, what the text encoder read of `prompt` and `negative_prompt`, and,
at the end, `guided_by` (see `job.GuidedBy`). In the events before the last it has `queue` {place, eta_s}, or `step` and
`steps`.
There `steps` is how many are taken in all. At the end `steps` is what a request names to have the same again, and
`step`, in a stream, how many were taken: fewer from a start, or where only frames before the end are wanted.
"""

from __future__ import annotations

import base64
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from model_server.api.responses import failure
from model_server.images import measure
from model_server.jobs import Chosen, Failed, Finished, Picture, Preview, Progress
from model_server.scheduling.ticket import Queued

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server.jobs import Faces, Imagine
    from model_server.scheduling.ticket import Heard, Ticket

PROGRESS = "tempera.progress"
PARTIAL = "image_generation.partial_image"
COMPLETED = "image_generation.completed"


class ImageAnswer:
    """The pictures of one job, gathered event by event. `news` gives each event's part of a stream."""

    def __init__(self, ticket: Ticket, task: Faces | Imagine) -> None:
        self._ticket = ticket
        self._created = int(time.time())
        self._pictures: list[Picture] = []
        self._tokens = 0
        self._taken = 0
        self._tempera: dict[str, Any] = {"job": ticket.job.id, "seed": task.seed}

    def take(self, event: Heard) -> None:
        """Note what happened. Raises ApiError when the job failed."""
        match event:
            case Chosen():
                chosen = asdict(event)
                del chosen["job"]
                self._tempera |= chosen
                read = [event.prompt, *filter(None, [event.negative_prompt])]
                self._tokens = sum(len(reading.tokens) for reading in read)
            case Progress(step=step):
                self._taken = step
            case Picture():
                self._pictures.append(event)
                if event.guided_by is not None:
                    self._tempera["guided_by"] = event.guided_by
            case Finished():
                self._tempera["seconds"] = round(self._ticket.seconds, 3)
            case Failed():
                raise failure(event)

    def whole(self) -> dict[str, Any]:
        """The response, once `Finished` was taken."""
        return {
            "created": self._created,
            "data": [{"b64_json": _packed(picture.data)} for picture in self._pictures],
            "output_format": _kind(self._pictures[0]),
            "tempera": self._tempera,
        }

    def news(self, event: Heard) -> dict[str, Any] | None:
        """What a stream tells of an event; None when that is nothing, or is told at the end."""
        match event:
            case Queued(place, eta_s):
                return {"type": PROGRESS, "tempera": self._about({"queue": {"place": place, "eta_s": eta_s}})}
            case Progress(step=step, steps=steps):
                return {"type": PROGRESS, "tempera": self._about({"step": step, "steps": steps})}
            case Preview(png=png, index=index):
                shown = self._shown(png, "png") | {"partial_image_index": index}
                tempera = self._about({"step": event.step, "steps": event.steps})
                return {"type": PARTIAL, **shown, "tempera": tempera}
        return None

    def completed(self) -> Iterator[dict[str, Any]]:
        """The last events of a stream, one for each picture, once `Finished` was taken."""
        tempera = self._tempera | {"step": self._taken}
        for picture in self._pictures:
            shown = self._shown(picture.data, _kind(picture))
            yield {"type": COMPLETED, **shown, "usage": self._usage(), "tempera": tempera}

    def _about(self, news: dict[str, Any]) -> dict[str, Any]:
        return {"job": self._ticket.job.id, **news}

    def _shown(self, data: bytes, kind: str) -> dict[str, Any]:
        width, height = measure(data)
        return {
            "b64_json": _packed(data),
            "created_at": int(time.time()),
            "size": f"{width}x{height}",
            "quality": "auto",
            "background": "opaque",
            "output_format": kind,
        }

    def _usage(self) -> dict[str, Any]:
        """Pictures have no tokens here, so only those of the prompts are counted."""
        return {
            "input_tokens": self._tokens,
            "input_tokens_details": {"text_tokens": self._tokens, "image_tokens": 0},
            "output_tokens": 0,
            "total_tokens": self._tokens,
        }


def _packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _kind(picture: Picture) -> str:
    return picture.media_type.removeprefix("image/")
