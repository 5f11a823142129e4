"""The state of one job for pictures: its progress, frames and previews, and the events that report them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from model_server.engines.diffusion.request import (
    ANIMATION_FRAMES,
    MAX_FILE_PIXELS,
    MAX_REQUEST_PIXELS,
    STRIP_FRAMES,
    append_style,
    choose_style,
    count_files,
    count_pictures_per_file,
    split_task,
)
from model_server.images import (
    NUMBER_RATIO,
    add_captions,
    animate,
    encode,
    enlarge,
    make_grid,
    make_rows,
    make_strip,
    read_stamp,
)
from model_server.jobs import (
    MAX_REFERENCES,
    EncodedPrompt,
    Finished,
    Picture,
    Preview,
    Progress,
    ResolvedSettings,
    Started,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal

    from PIL import Image

    from http_server.wire import NearestDrawing, ReferenceDrawing
    from model_server.engines.diffusion.parts import Parts
    from model_server.engines.diffusion.request import Capabilities
    from model_server.jobs import Event, GuidedBy, Imagine

MAX_FIRST_PREVIEW_STEP = 3
"""The first preview comes after this step or an earlier one."""
MAX_PREVIEW_EDGE_PIXELS = 256
"""The largest longer side to which previews are enlarged; they are small because there are many."""


class PictureJob:
    """The pictures of one job, numbered from 0, one for each of `request.split_task`.

    `task` comes from `request.complete_task`. `steps_each`: the steps that each picture takes, which are fewer than its
    task's `steps` when it starts from a picture, or when only earlier frames of it are asked for. `split`: the things
    of which each picture is put together, if it is. `read`: the prompts that the network reads, one for each of these,
    if they are not the task's. `enlarger`: the name of the model's enlarger, if it has one.
    """

    def __init__(
        self,
        job_id: str,
        task: Imagine,
        capabilities: Capabilities,
        steps_each: Sequence[int],
        split: Parts | None = None,
        read: Sequence[str] = (),
        enlarger: str = "",
    ) -> None:
        self.job_id = job_id
        self.task = task
        self.single_tasks = split_task(task)
        self.steps = max(1, *steps_each)
        self.enlarged_by = enlarger if is_enlarged_finished(task) else ""
        """The enlarger through which each picture goes before it is given to `finish`; "" if through none."""
        self._capabilities = capabilities
        self._steps_each = steps_each
        self._done = [0] * len(steps_each)
        self._preview_steps = choose_preview_steps(self.steps, task.previews)
        self._preview_count = 0
        self._frame_steps = frozenset(task.frames) or choose_frame_steps(task.layout, self.steps)
        self._frames: list[dict[int, Image.Image]] = [{} for _ in steps_each]
        self._finished: dict[int, Image.Image] = {}
        self._guided_by: dict[int, GuidedBy] = {}
        self._references: dict[int, Sequence[ReferenceDrawing]] = {}
        self._nearest: dict[int, NearestDrawing | None] = {}
        self._next_index = 0
        self._edge = choose_edge(task)
        self._split = split
        self._read = read or (split.prompts if split else (task.prompt,))
        self._source_seed = "" if task.initial is None else _read_seed(task.initial)

    @property
    def step(self) -> int:
        """Number of steps done, on average over the pictures and scaled to `steps`."""
        return sum(self._done) * self.steps // max(1, sum(self._steps_each))

    @property
    def is_finished(self) -> bool:
        """True if all pictures are finished."""
        return len(self._finished) == len(self._steps_each)

    def make_start_events(self, encode_prompt: Callable[[str], EncodedPrompt]) -> list[Event]:
        """Return the events that open the job. `encode_prompt` returns the tokens that the model reads of a text."""
        task, can, split = self.task, self._capabilities, self._split
        # A single picture has one style, which its text encoder reads, too.
        style = choose_style(task, can.styles) if len(self.single_tasks) == 1 else ""
        read = [encode_prompt(append_style(text, style)) for text in dict.fromkeys(self._read)]
        chosen = ResolvedSettings(
            job=self.job_id,
            steps=max(one.steps or 0 for one in self.single_tasks),
            guidance=max(one.guidance or 0.0 for one in self.single_tasks),
            width=task.width or 0,
            height=task.height or 0,
            sampler=can.sampler,
            strength=None if task.initial is None else task.strength,
            prompt=_join(read),
            negative_prompt=encode_prompt(task.negative_prompt) if task.negative_prompt else None,
            starts=can.can_start_from_picture,
            shows=can.can_show_steps,
            # The same weights draw another picture of the same words and seed since things are drawn one by one.
            fingerprint=f"{can.fingerprint}-parts" if split and can.fingerprint else can.fingerprint,
            references=max(one.references or 0 for one in self.single_tasks),
            parts=split.names if split else (),
            meant="" if split or self._read[0] == task.prompt else self._read[0],
            enlarged_by=self.enlarged_by,
        )
        return [Started(self.job_id), chosen]

    def needs_frame(self, step: int) -> bool:
        """Return whether the strip or the animation has a frame after `step` steps."""
        return step in self._frame_steps

    def add_frame(self, index: int, step: int, frame: Image.Image) -> None:
        """Keep picture `index` as it looks after `step` steps, with its noise."""
        self._frames[index][step] = self._resize(frame)

    def advance(self, index: int, step: int) -> None:
        """Record that `step` steps of picture `index` are done."""
        self._done[index] = step

    @property
    def is_preview_due(self) -> bool:
        """True if the next preview is to be made now."""
        return (
            self._preview_count < len(self._preview_steps)
            and self.step >= self._preview_steps[self._preview_count]
            and not self.is_finished
        )

    def make_preview_event(self, pictures: Sequence[Image.Image]) -> Preview:
        """Return the event with the next preview; `pictures` are all predicted pictures, in order."""
        edge = min(MAX_PREVIEW_EDGE_PIXELS, self.task.edge or max(pictures[0].size))
        sized = [enlarge(picture, edge) for picture in pictures]
        index, self._preview_count = self._preview_count, self._preview_count + 1
        combined = sized[0] if len(sized) == 1 else self._combine(sized)
        return Preview(self.job_id, encode(combined, {}), index, self.step, self.steps)

    def skip_preview(self) -> None:
        """Leave out the preview that is due."""
        self._preview_count += 1

    def make_progress_event(self) -> Progress:
        """Return the event that reports the number of steps done."""
        return Progress(self.job_id, self.step, self.steps)

    def finish(
        self,
        index: int,
        picture: Image.Image,
        guided_by: GuidedBy,
        references: Sequence[ReferenceDrawing] = (),
        nearest: NearestDrawing | None = None,
    ) -> list[Event]:
        """Record that picture `index` is finished; return the events of all pictures that can be sent now, in order.

        `references` are the drawings that the network looked at for it, and `nearest` is the one most like it.
        """
        self._guided_by[index], self._references[index], self._nearest[index] = guided_by, references, nearest
        self._done[index] = self._steps_each[index]
        self._finished[index] = self._resize(picture)
        in_one = self.task.sweep is not None or self.task.layout == "grid"
        events: list[Event] = []
        while not in_one and self._next_index in self._finished:
            events.append(self._make_picture_event(self._next_index))
            self._next_index += 1
        if self.is_finished:
            if in_one:
                pictures = [self._finished[index] for index in range(len(self._steps_each))]
                combined = encode(self._combine(pictures), self._describe(0))
                events.append(self._make_event(combined, range(len(pictures))))
            events.append(Finished(self.job_id))
        return events

    def _make_event(
        self, data: bytes, indices: Sequence[int], media_type: Literal["image/png", "image/gif"] = "image/png"
    ) -> Picture:
        """Return the event of a file with the pictures `indices`."""
        references = dict.fromkeys(reference for index in indices for reference in self._references[index])
        return Picture(
            self.job_id,
            data,
            media_type,
            self._guided_by[indices[0]],
            tuple(references)[:MAX_REFERENCES],
            self._nearest[indices[0]],
        )

    def _combine(self, pictures: Sequence[Image.Image]) -> Image.Image:
        sweep = self.task.sweep
        if sweep is None:
            return make_grid(pictures)
        return make_rows(add_captions(pictures, [f"{sweep.knob} {value:g}" for value in sweep.values]))

    def _make_picture_event(self, index: int) -> Picture:
        made_by = self._describe(index)
        frames = [*self._frames[index].values(), self._finished[index]]
        match self.task.layout:
            case "strip":
                if len(frames) > 1:
                    steps = [*self._frames[index], self._steps_each[index]]
                    frames = add_captions(frames, [str(step) for step in steps], NUMBER_RATIO)
                return self._make_event(encode(make_strip(frames), made_by), [index])
            case "animation":
                return self._make_event(animate(frames, made_by), [index], "image/gif")
            case _:
                return self._make_event(encode(self._finished[index], made_by), [index])

    def _resize(self, picture: Image.Image) -> Image.Image:
        return picture if self._edge is None else enlarge(picture, self._edge)

    def _describe(self, index: int) -> dict[str, str]:
        task = self.single_tasks[index]
        made_by = {
            "model": self._capabilities.name,
            "prompt": task.prompt,
            "seed": str(task.seed),
            "steps": str(task.steps),
            "guidance": f"{task.guidance:g}",
            "sampler": self._capabilities.sampler,
            "size": f"{task.width}x{task.height}",
        }
        if self._capabilities.guidance_rescale:
            made_by["guidance_rescale"] = f"{self._capabilities.guidance_rescale:g}"
        style = choose_style(task, self._capabilities.styles)
        if style and (self.task.layout != "grid" or self.task.count == 1):
            made_by["style"] = style
        if task.references:
            made_by["references"] = str(task.references)
        if self.enlarged_by:
            made_by["enlarged_by"] = self.enlarged_by
        if self._split is not None:
            made_by["parts"] = str(len(self._split.prompts))
        if task.negative_prompt:
            made_by["negative_prompt"] = task.negative_prompt
        if task.initial is not None:
            made_by["strength"] = f"{task.strength:g}"
            made_by |= {"source_seed": self._source_seed} if self._source_seed else {}
        if sweep := self.task.sweep:
            made_by[sweep.knob] = ", ".join(f"{value:g}" for value in sweep.values)
        elif task.layout != "separate":
            made_by["layout"] = task.layout
            made_by |= {"count": str(self.task.count)} if task.layout == "grid" else {}
        if task.frames:
            made_by["frames"] = ", ".join(map(str, task.frames))
        return made_by


def _join(prompts: Sequence[EncodedPrompt]) -> EncodedPrompt:
    """Return what the text encoder read of several prompts, one after the other."""
    return EncodedPrompt(
        tuple(token for prompt in prompts for token in prompt.tokens),
        tuple(token for prompt in prompts for token in prompt.dropped),
        prompts[0].limit,
        tuple(word for prompt in prompts for word in prompt.unknown),
    )


def _read_seed(picture: bytes) -> str:
    """Return the seed in the text fields of an encoded picture that was drawn here; "" for any other picture."""
    # Anybody can write text fields, and this one is copied into the next file.
    seed = re.fullmatch(r"-?[0-9]{1,20}", read_stamp(picture).get("seed", ""))
    return seed[0] if seed else ""


def choose_preview_steps(steps: int, count: int) -> list[int]:
    """Return the steps after which previews come, evenly spaced: the first by MAX_FIRST_PREVIEW_STEP, none last."""
    count = min(count, steps - 1)
    if count < 1:
        return []
    first = min(MAX_FIRST_PREVIEW_STEP, max(1, steps // (count + 1)))
    return [first + place * (steps - first) // count for place in range(count)]


def choose_frame_steps(layout: str, steps: int) -> frozenset[int]:
    """Return the numbers of steps done in the frames of a strip or an animation, without the finished picture."""
    frame_count = {"strip": STRIP_FRAMES, "animation": ANIMATION_FRAMES}.get(layout, 1)
    intervals = min(frame_count - 1, steps)
    return frozenset(round(place * steps / intervals) for place in range(intervals))


def choose_edge(task: Imagine) -> int | None:
    """Return the longer side in pixels to which pictures are resized; None leaves them as they are drawn.

    `task.edge` shrinks the pictures of a strip, an animation or a sweep, but never a picture that stands by itself.
    """
    if task.edge is not None and (_is_in_row(task) or is_enlarged_finished(task)):
        return task.edge
    return fit_edge(task)


def is_enlarged_finished(task: Imagine) -> bool:
    """Return whether finished pictures of a task, which stand by themselves or in a grid, become larger."""
    return not _is_in_row(task) and (task.edge or 0) > max(task.width or 0, task.height or 0)


def _is_in_row(task: Imagine) -> bool:
    return task.layout in ("strip", "animation") or task.sweep is not None


def fit_edge(task: Imagine) -> int | None:
    """Return the longer side in pixels to which pictures must be shrunk to keep a file within its limit; None if not.

    All files of a request together are limited, too, because a single step can finish all of them.
    """
    width, height, frames = task.width or 0, task.height or 0, count_pictures_per_file(task)
    scale = math.sqrt(min(MAX_FILE_PIXELS, MAX_REQUEST_PIXELS / count_files(task)) / max(1, frames * width * height))
    return int(max(width, height) * scale) if scale < 1 and frames > 1 else None
