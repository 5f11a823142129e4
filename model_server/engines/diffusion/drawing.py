"""One job on its way from noise to stamped pictures: what engines of any kind keep of it, and what they tell of it."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from model_server.engines.diffusion.request import (
    ANIMATION_FRAMES,
    MOST_KEPT,
    MOST_PIXELS,
    STRIP_FRAMES,
    files_in,
    frames_in,
    singles,
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
from model_server.jobs import Finished, Picture, Preview, Progress, ResolvedSettings, Started

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from model_server.engines.diffusion.request import Capabilities
    from model_server.jobs import EncodedPrompt, Event, GuidedBy, Imagine

FIRST_PREVIEW = 3
"""The step after which the first one comes at the latest."""
PREVIEW_EDGE = 256
"""To how many pixels previews are enlarged at most; there are many of them."""


class PictureJob:
    """The pictures of one job, numbered from 0, each of which is one of `request.singles`.

    `task` has all choices made. `each` is how many steps each picture takes: fewer than its task's from a start, or
    when it is only wanted as it looks before its end.
    """

    def __init__(self, job_id: str, task: Imagine, can: Capabilities, each: Sequence[int]) -> None:
        self.job_id = job_id
        self.task = task
        self.singles = singles(task)
        self.steps = max(1, *each)
        self._can = can
        self._each = each
        self._done = [0] * len(each)
        self._previews = preview_steps(self.steps, task.previews)
        self._shown = 0
        self._frame_steps = frozenset(task.frames) or frame_steps(task.layout, self.steps)
        self._frames: list[dict[int, Image.Image]] = [{} for _ in each]
        self._finished: dict[int, Image.Image] = {}
        self._guided: dict[int, GuidedBy] = {}
        self._told = 0
        self._edge = final_edge(task)
        self._source_seed = "" if task.initial is None else _seed_in(task.initial)

    @property
    def step(self) -> int:
        """How many of `steps` the pictures have behind them; some may be a little further."""
        return sum(self._done) * self.steps // max(1, sum(self._each))

    @property
    def over(self) -> bool:
        """Whether all pictures are finished."""
        return len(self._finished) == len(self._each)

    def opening(self, prompt: EncodedPrompt, negative_prompt: EncodedPrompt | None) -> list[Event]:
        """What to tell when the work begins."""
        task = self.task
        chosen = ResolvedSettings(
            job=self.job_id,
            steps=max(one.steps or 0 for one in self.singles),
            guidance=max(one.guidance or 0.0 for one in self.singles),
            width=task.width or 0,
            height=task.height or 0,
            sampler=self._can.sampler,
            strength=None if task.initial is None else task.strength,
            prompt=prompt,
            negative_prompt=negative_prompt,
            starts=self._can.starts,
            shows=self._can.shows,
        )
        return [Started(self.job_id), chosen]

    def wants_frame(self, step: int) -> bool:
        """Whether its strip or animation shows a picture with `step` steps behind it."""
        return step in self._frame_steps

    def add_frame(self, index: int, step: int, frame: Image.Image) -> None:
        """Keep how picture `index` looked after `step` steps, noise and all."""
        self._frames[index][step] = self._sized(frame)

    def advance(self, index: int, step: int) -> None:
        """Picture `index` has `step` steps behind it."""
        self._done[index] = step

    @property
    def wants_preview(self) -> bool:
        """Whether it is time for the next one."""
        return self._shown < len(self._previews) and self.step >= self._previews[self._shown] and not self.over

    def preview(self, pictures: Sequence[Image.Image]) -> Preview:
        """All pictures, in order, as they are going to be."""
        edge = min(PREVIEW_EDGE, self.task.edge or max(pictures[0].size))
        sized = [enlarge(picture, edge) for picture in pictures]
        index, self._shown = self._shown, self._shown + 1
        whole = sized[0] if len(sized) == 1 else self._together(sized)
        return Preview(self.job_id, encode(whole, {}), index, self.step, self.steps)

    def leave_preview_out(self) -> None:
        """There is none this time; the next one comes when it is due."""
        self._shown += 1

    def progress(self) -> Progress:
        """How far it is."""
        return Progress(self.job_id, self.step, self.steps)

    def finish(self, index: int, picture: Image.Image, guided_by: GuidedBy) -> list[Event]:
        """Picture `index` is finished. They are told in their order, whichever is finished first."""
        self._guided[index] = guided_by
        self._done[index] = self._each[index]
        self._finished[index] = self._sized(picture)
        in_one = self.task.sweep is not None or self.task.layout == "grid"
        events: list[Event] = []
        while not in_one and self._told in self._finished:
            events.append(self._whole(self._told))
            self._told += 1
        if self.over:
            if in_one:
                pictures = [self._finished[index] for index in range(len(self._each))]
                whole = encode(self._together(pictures), self._made_by(0))
                events.append(Picture(self.job_id, whole, guided_by=self._guided[0]))
            events.append(Finished(self.job_id))
        return events

    def _together(self, pictures: Sequence[Image.Image]) -> Image.Image:
        sweep = self.task.sweep
        if sweep is None:
            return make_grid(pictures)
        return make_rows(add_captions(pictures, [f"{sweep.knob} {value:g}" for value in sweep.values]))

    def _whole(self, index: int) -> Picture:
        made_by, guided_by = self._made_by(index), self._guided[index]
        frames = [*self._frames[index].values(), self._finished[index]]
        match self.task.layout:
            case "strip":
                if len(frames) > 1:
                    steps = [*self._frames[index], self._each[index]]
                    frames = add_captions(frames, [str(step) for step in steps], NUMBER_RATIO)
                return Picture(self.job_id, encode(make_strip(frames), made_by), guided_by=guided_by)
            case "animation":
                return Picture(self.job_id, animate(frames, made_by), "image/gif", guided_by)
            case _:
                return Picture(self.job_id, encode(self._finished[index], made_by), guided_by=guided_by)

    def _sized(self, picture: Image.Image) -> Image.Image:
        return picture if self._edge is None else enlarge(picture, self._edge)

    def _made_by(self, index: int) -> dict[str, str]:
        task = self.singles[index]
        made_by = {
            "model": self._can.name,
            "prompt": task.prompt,
            "seed": str(task.seed),
            "steps": str(task.steps),
            "guidance": f"{task.guidance:g}",
            "sampler": self._can.sampler,
            "size": f"{task.width}x{task.height}",
        }
        if self._can.guidance_rescale:
            made_by["guidance_rescale"] = f"{self._can.guidance_rescale:g}"
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


def _seed_in(picture: bytes) -> str:
    """The seed that drew an encoded picture, if it was drawn here; "" else."""
    # Anybody can write into a file whatever they like, and this goes into the next one.
    seed = re.fullmatch(r"-?[0-9]{1,20}", read_stamp(picture).get("seed", ""))
    return seed[0] if seed else ""


def preview_steps(steps: int, count: int) -> list[int]:
    """After which steps previews come: evenly, the first within FIRST_PREVIEW, none after the last step."""
    count = min(count, steps - 1)
    if count < 1:
        return []
    first = min(FIRST_PREVIEW, max(1, steps // (count + 1)))
    return [first + place * (steps - first) // count for place in range(count)]


def frame_steps(layout: str, steps: int) -> frozenset[int]:
    """How many steps are behind each frame of a strip or an animation, but for the finished picture, which is last."""
    most = {"strip": STRIP_FRAMES, "animation": ANIMATION_FRAMES}.get(layout, 1)
    intervals = min(most - 1, steps)
    return frozenset(round(place * steps / intervals) for place in range(intervals))


def final_edge(task: Imagine) -> int | None:
    """The longer side, in pixels, that pictures are brought to; None leaves them as they were drawn.

    `edge` makes none smaller that is there for its own sake, as those of a row or a film are not.
    """
    in_row = task.layout in ("strip", "animation") or task.sweep is not None
    if task.edge is not None and (in_row or task.edge > max(task.width or 0, task.height or 0)):
        return task.edge
    return fitting_edge(task)


def fitting_edge(task: Imagine) -> int | None:
    """The longer side, in pixels, that pictures are made smaller to where too many large ones lie in one file.

    All files of that kind together are bounded, too, since those of one request can be finished by a single step.
    """
    width, height, frames = task.width or 0, task.height or 0, frames_in(task)
    scale = math.sqrt(min(MOST_PIXELS, MOST_KEPT / files_in(task)) / max(1, frames * width * height))
    return int(max(width, height) * scale) if scale < 1 and frames > 1 else None
