"""Responses with images, in OpenAI's formats, with an object `tempera` in each response and event.

`tempera` has `job` and `seed`, and at the end `seconds`. For images of a prompt it also has `steps`, `guidance`,
`references`, `width`, `height`, `sampler`, `strength`, `starts`, `shows`, `fingerprint`, `parts`, `meant`,
`enlarged_by`, the tokens that the text encoder read of `prompt` and `negative_prompt`, and at the end `guided_by` (see
`jobs.GuidedBy`). Events before the last have `queue` {place, eta_s}, or `step` and `steps`. Where the model looks at
drawings, each picture has those in a `tempera` of its own, in a stream in that of its last event: `looked_at` and
`nearest` (see `jobs.Picture`).
In these events `steps` is the number of steps to take. At the end `steps` is the value that reproduces the image in a
new request, and, in a stream, `step` is the number of steps taken: fewer after a start from an image, or if all wanted
frames come before the last step.
"""

from __future__ import annotations

import base64
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from model_server.api.responses import to_api_error
from model_server.images import measure_size
from model_server.jobs import Failed, Finished, Judged, Picture, Preview, Progress, ResolvedSettings, Started
from model_server.scheduling.ticket import Queued

if TYPE_CHECKING:
    from collections.abc import Iterator

    from http_server.wire import ReferenceDrawing
    from model_server.jobs import Faces, Imagine
    from model_server.scheduling.ticket import Ticket, TicketEvent

PROGRESS_EVENT = "tempera.progress"
PARTIAL_EVENT = "image_generation.partial_image"
COMPLETED_EVENT = "image_generation.completed"


class ImageAnswer:
    """Collects the images of one job event by event and builds the response or the events of a stream."""

    def __init__(self, ticket: Ticket, task: Faces | Imagine) -> None:
        self._ticket = ticket
        self._created = int(time.time())
        self._pictures: list[Picture] = []
        self._prompt_tokens = 0
        self._steps_done = 0
        self._tempera: dict[str, Any] = {"job": ticket.job.id, "seed": task.seed}

    def add(self, event: TicketEvent) -> None:
        """Collect an event. Raises ApiError if the job failed."""
        match event:
            case Started(seed=int(seed)):
                self._tempera["seed"] = seed
            case ResolvedSettings():
                chosen = asdict(event)
                del chosen["job"]
                self._tempera |= chosen
                prompts = [event.prompt, *filter(None, [event.negative_prompt])]
                self._prompt_tokens = sum(len(prompt.tokens) for prompt in prompts)
            case Progress(step=step):
                self._steps_done = step
            case Picture():
                self._pictures.append(event)
                if event.guided_by is not None:
                    self._tempera["guided_by"] = event.guided_by
            case Judged():
                told = asdict(event)
                del told["job"]
                self._tempera |= {name: value for name, value in told.items() if value is not None}
            case Finished():
                self._tempera["seconds"] = round(self._ticket.run_seconds, 3)
            case Failed():
                raise to_api_error(event)

    def build_response(self) -> dict[str, Any]:
        """Return the response, once `Finished` was added."""
        return {
            "created": self._created,
            "data": [
                {
                    "b64_json": _encode_base64(picture.data),
                    **({"tempera": own} if (own := _tell_drawings(picture)) else {}),
                }
                for picture in self._pictures
            ],
            "output_format": _format_name(self._pictures[0]),
            "tempera": self._tempera,
        }

    def build_event(self, event: TicketEvent) -> dict[str, Any] | None:
        """Return an event's part of a stream; None if it has none, or comes at the end."""
        match event:
            case Queued(place, eta_s):
                return {
                    "type": PROGRESS_EVENT,
                    "tempera": self._tempera_fields({"queue": {"place": place, "eta_s": eta_s}}),
                }
            case Progress(step=step, steps=steps):
                return {"type": PROGRESS_EVENT, "tempera": self._tempera_fields({"step": step, "steps": steps})}
            case Preview(png=png, index=index):
                shown = self._image_fields(png, "png") | {"partial_image_index": index}
                tempera = self._tempera_fields({"step": event.step, "steps": event.steps})
                return {"type": PARTIAL_EVENT, **shown, "tempera": tempera}
        return None

    def build_completed_events(self) -> Iterator[dict[str, Any]]:
        """Return the last events of a stream, one for each image, once `Finished` was added."""
        tempera = self._tempera | {"step": self._steps_done}
        for picture in self._pictures:
            shown = self._image_fields(picture.data, _format_name(picture))
            yield {
                "type": COMPLETED_EVENT,
                **shown,
                "usage": self._usage(),
                "tempera": tempera | _tell_drawings(picture),
            }

    def _tempera_fields(self, news: dict[str, Any]) -> dict[str, Any]:
        return {"job": self._ticket.job.id, **news}

    def _image_fields(self, data: bytes, kind: str) -> dict[str, Any]:
        width, height = measure_size(data)
        return {
            "b64_json": _encode_base64(data),
            "created_at": int(time.time()),
            "size": f"{width}x{height}",
            "quality": "auto",
            "background": "opaque",
            "output_format": kind,
        }

    def _usage(self) -> dict[str, Any]:
        """Return the usage, which counts the tokens of the prompts only, because images have none here."""
        return {
            "input_tokens": self._prompt_tokens,
            "input_tokens_details": {"text_tokens": self._prompt_tokens, "image_tokens": 0},
            "output_tokens": 0,
            "total_tokens": self._prompt_tokens,
        }


def _tell_drawings(picture: Picture) -> dict[str, Any]:
    """Return the drawings that the model looked at for a picture, and the one nearest to it; {} if there are none."""
    told: dict[str, Any] = {}
    if picture.references:
        told["looked_at"] = [_tell_drawing(reference) for reference in picture.references]
    if picture.nearest is not None:
        told["nearest"] = _tell_drawing(picture.nearest.drawing) | {"distance": round(picture.nearest.distance, 4)}
    return told


def _tell_drawing(reference: ReferenceDrawing) -> dict[str, str]:
    told = asdict(reference)
    return told | {"picture": _encode_base64(told["picture"])}


def _encode_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _format_name(picture: Picture) -> str:
    return picture.media_type.removeprefix("image/")
