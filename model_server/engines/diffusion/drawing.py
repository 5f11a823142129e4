"""One job on its way from noise to stamped pictures: what engines of any kind keep of it, and what they tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_server.engines.diffusion.request import ANIMATION_FRAMES, STRIP_FRAMES
from model_server.engines.safety import check_picture
from model_server.job import Chosen, Finished, Picture, Preview, Progress, Started
from model_server.pictures import animate, encode, enlarge, grid, strip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from model_server.engines.diffusion.request import Ability
    from model_server.job import Event, Imagine, Reading

FIRST_PREVIEW = 3
"""The step after which the first one comes at the latest."""
PREVIEW_EDGE = 256
"""To how many pixels previews are enlarged at most; there are many of them."""


class Drawing:
    """The pictures of one job, numbered from 0, each with its own seed.

    `task` has all choices made. `steps` is how many each picture takes; fewer than `task.steps` from a start.
    """

    def __init__(self, job_id: str, task: Imagine, can: Ability, steps: int) -> None:
        self.job_id = job_id
        self.task = task
        self.steps = steps
        self._can = can
        self._done = [0] * task.count
        self._previews = preview_steps(steps, task.previews)
        self._shown = 0
        self._frame_steps = frame_steps(task.layout, steps)
        self._frames: list[dict[int, Image.Image]] = [{} for _ in range(task.count)]
        self._finished: dict[int, Image.Image] = {}
        self._told = 0

    @property
    def step(self) -> int:
        """How many steps the pictures have behind them; some may be a little further."""
        return sum(self._done) // len(self._done)

    @property
    def over(self) -> bool:
        """Whether all pictures are finished."""
        return len(self._finished) == self.task.count

    def seed(self, index: int) -> int:
        """Where the noise of picture `index` comes from."""
        return self.task.seed + index

    def opening(self, prompt: Reading, negative_prompt: Reading | None) -> list[Event]:
        """What to tell when the work begins."""
        task = self.task
        assert task.steps is not None and task.guidance is not None  # noqa: S101, PT018 - all choices are made
        chosen = Chosen(
            job=self.job_id,
            steps=task.steps,
            guidance=task.guidance,
            width=task.width or 0,
            height=task.height or 0,
            sampler=self._can.sampler,
            strength=None if task.initial is None else task.strength,
            prompt=prompt,
            negative_prompt=negative_prompt,
        )
        return [Started(self.job_id), chosen]

    def wants_frame(self, step: int) -> bool:
        """Whether its strip or animation shows a picture with `step` steps behind it."""
        return step in self._frame_steps

    def add_frame(self, index: int, step: int, frame: Image.Image) -> None:
        """Keep how picture `index` looked after `step` steps, noise and all."""
        self._frames[index][step] = self._sized(check_picture(frame))

    def advance(self, index: int, step: int) -> None:
        """Picture `index` has `step` steps behind it."""
        self._done[index] = step

    @property
    def wants_preview(self) -> bool:
        """Whether it is time for the next one."""
        return self._shown < len(self._previews) and self.step >= self._previews[self._shown] and not self.over

    def preview(self, pictures: Sequence[Image.Image]) -> Preview:
        """All pictures, in order, as they are going to be."""
        edge = min(PREVIEW_EDGE, self.task.edge or 0)
        checked = [check_picture(picture) for picture in pictures]
        sized = [enlarge(picture, edge) if edge > max(picture.size) else picture for picture in checked]
        index, self._shown = self._shown, self._shown + 1
        return Preview(self.job_id, encode(sized[0] if len(sized) == 1 else grid(sized), {}), index)

    def progress(self) -> Progress:
        """How far it is."""
        return Progress(self.job_id, self.step, self.steps)

    def finish(self, index: int, picture: Image.Image) -> list[Event]:
        """Picture `index` is finished. They are told in their order, whichever is finished first."""
        self._done[index] = self.steps
        self._finished[index] = self._sized(check_picture(picture))
        events: list[Event] = []
        while self.task.layout != "grid" and self._told in self._finished:
            events.append(self._whole(self._told))
            self._told += 1
        if self.over:
            if self.task.layout == "grid":
                pictures = [self._finished[index] for index in range(self.task.count)]
                made_by = self._made_by(self.task.seed) | {"count": str(self.task.count)}
                events.append(Picture(self.job_id, encode(grid(pictures), made_by)))
            events.append(Finished(self.job_id))
        return events

    def _whole(self, index: int) -> Picture:
        made_by = self._made_by(self.seed(index))
        frames = [*self._frames[index].values(), self._finished[index]]
        match self.task.layout:
            case "strip":
                return Picture(self.job_id, encode(strip(frames), made_by | {"layout": "strip"}))
            case "animation":
                return Picture(self.job_id, animate(frames, made_by), "image/gif")
            case _:
                return Picture(self.job_id, encode(self._finished[index], made_by))

    def _sized(self, picture: Image.Image) -> Image.Image:
        return picture if self.task.edge is None else enlarge(picture, self.task.edge)

    def _made_by(self, seed: int) -> dict[str, str]:
        task = self.task
        made_by = {
            "model": self._can.name,
            "prompt": task.prompt,
            "seed": str(seed),
            "steps": str(task.steps),
            "guidance": f"{task.guidance:g}",
            "sampler": self._can.sampler,
            "size": f"{task.width}x{task.height}",
        }
        if task.negative_prompt:
            made_by["negative_prompt"] = task.negative_prompt
        if task.initial is not None:
            made_by["strength"] = f"{task.strength:g}"
        return made_by


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
