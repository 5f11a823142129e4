"""The engine of emoji faces: the generator of a GAN draws them, and its discriminator says how real each of them looks.

It answers what the face engine answers, shows how both networks became what they are, and lays out sheets of real and
generated pictures for people who want to compete with the discriminator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from model_server.engines.common.refusal import JobRefused
from model_server.engines.common.seeding import make_generator
from model_server.engines.duel.networks import EDGE
from model_server.engines.duel.weights import REAL_FILE, RUN_FILES, load_real_pictures, load_run
from model_server.engines.face import FaceEngine, FaceJob, draw_latent, find_ordinary_latent
from model_server.images import (
    BACKGROUND,
    MAX_PIXELS,
    NUMBER_RATIO,
    add_captions,
    animate,
    enlarge,
    make_column,
    make_grid,
    make_strip,
)
from model_server.jobs import Faces, Finished, Judged, Picture, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from model_server.engines.duel.weights import Run, Snapshot
    from model_server.jobs import Event, FaceLayout, Job

CANDIDATES_AT_ONCE = 32
MAX_SEED = 2**31
FRAME_REPEATS = 4
"""A film of faces shows each but the last so many times as long as a film of denoising steps shows a frame."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """One face to be drawn: from `latent` by a snapshot, or the real picture with the number `real`."""

    snapshot: int
    latent: torch.Tensor | None = None
    seed: int = 0
    real: int | None = None


@dataclass(slots=True)
class DuelJob(FaceJob):
    """A job with a plan of its faces, and the verdicts about those that are drawn."""

    cells: Sequence[_Cell] = ()
    verdicts: list[float] = field(default_factory=list)


class DuelEngine(FaceEngine):
    """Draws and judges emoji faces of 64 × 64 on the CPU. `spec.folder` holds the runs and the real pictures.

    Everything is computed face by face, in single precision on the CPU, so that a seed gives the same bytes everywhere.
    """

    layouts: tuple[FaceLayout, ...] = ("separate", "grid", "strip", "animation", "duel")
    has_discriminator = True

    def load(self) -> None:
        self._runs = {name: load_run(self._spec.folder / file) for name, file in RUN_FILES.items()}
        self._real = load_real_pictures(self._spec.folder / REAL_FILE)
        last = self._runs["good"].snapshots[-1]
        self._latent_size = last.generator.latent_size

        def draw_all(latents: torch.Tensor) -> torch.Tensor:
            starts = range(0, len(latents), CANDIDATES_AT_ONCE)
            return torch.cat(
                [last.generator(latents[start : start + CANDIDATES_AT_ONCE].flatten(1)) for start in starts]
            )

        self._ordinary_latent = find_ordinary_latent(draw_all, self._latent_size)

    def _check(self, job: Job) -> Faces:
        task = super()._check(job)
        count = len(self._runs[task.run].snapshots)
        for name, numbers in (("snapshot", (task.snapshot or 0,)), ("frames", task.frames)):
            if wrong := [number for number in numbers if not 0 <= number < count]:
                sentence = f"There is no snapshot {wrong[0]}; this run has those from 0 to {count - 1}."
                raise JobRefused(sentence, param=name)
        faces, edge = task.count * len(self._list_snapshots(task)), task.size or EDGE
        if faces * edge**2 > MAX_PIXELS:
            most = math.isqrt(MAX_PIXELS // faces)
            sentence = f"{faces} faces of {edge} pixels are too large together; they may have up to {most} pixels each."
            raise JobRefused(sentence, param="size")
        if task.blend is not None and (task.count < 2 or task.layout == "duel"):
            raise JobRefused("A blend has 2 faces or more, and all of them are generated.", param="blend")
        if task.layout == "duel" and (task.count % 2 or task.count // 2 > len(self._real)):
            most = 2 * len(self._real)
            sentence = (
                f"Half of a sheet of {task.count} faces cannot be real; it must have an even number up to {most}."
            )
            raise JobRefused(sentence, param="n")
        return task

    def _plan(self, job_id: str, task: Faces) -> FaceJob:
        if task.layout == "duel":
            cells = self._plan_sheet(task)
        else:
            latents = self._find_latents(task)
            cells = [
                _Cell(number, latent, task.seed + place)
                for number in self._list_snapshots(task)
                for place, latent in enumerate(latents)
            ]
        return DuelJob(job_id, task, len(cells), cells=cells)

    def _plan_sheet(self, task: Faces) -> list[_Cell]:
        """Plan a sheet, half of it real; the seed decides which pictures these are, and the order of all."""
        random, half = make_generator(task.seed), task.count // 2
        number = self._list_snapshots(task)[0]
        real = torch.randperm(len(self._real), generator=random)[:half].tolist()
        seeds = torch.randint(MAX_SEED, (half,), generator=random).tolist()
        cells = [_Cell(number, real=picture) for picture in real]
        cells += [_Cell(number, self._truncate(self._draw_latent(seed), task.truncation), seed) for seed in seeds]
        return [cells[place] for place in torch.randperm(task.count, generator=random).tolist()]

    def _rate(self, task: Faces, seed: int) -> float:
        """Return how real the discriminator finds a face."""
        snapshot = self._runs[task.run].snapshots[self._list_snapshots(task)[0]]
        return snapshot.judge(snapshot.draw(self._truncate(self._draw_latent(seed), task.truncation)))

    def _find_latents(self, task: Faces) -> list[torch.Tensor]:
        """Return the latent of each face: of seeds in a row, or on the way from one seed to another."""
        if task.blend is None:
            latents = [self._draw_latent(task.seed + place) for place in range(task.count)]
        else:
            first, last = self._draw_latent(task.seed), self._draw_latent(task.blend)
            latents = [interpolate(first, last, place / (task.count - 1)) for place in range(task.count)]
        return [self._truncate(latent, task.truncation) for latent in latents]

    def _draw_latent(self, seed: int) -> torch.Tensor:
        return draw_latent(seed, self._latent_size)

    def _list_snapshots(self, task: Faces) -> Sequence[int]:
        """Return the numbers of the snapshots that draw: one, unless a strip or an animation shows the training."""
        count = len(self._runs[task.run].snapshots)
        if shows_training(task):
            return task.frames or range(count)
        return (count - 1 if task.snapshot is None else task.snapshot,)

    def _advance(self, face_job: FaceJob) -> list[Event]:
        assert isinstance(face_job, DuelJob)  # noqa: S101 - made by _plan
        task, cell = face_job.task, face_job.cells[face_job.done]
        snapshot = self._runs[task.run].snapshots[cell.snapshot]
        face = self._draw_cell(snapshot, cell)
        face_job.verdicts.append(round(snapshot.judge(face), 4))
        face_job.faces.append(face if task.size is None else enlarge(face, task.size))
        face_job.done += 1
        events: list[Event] = []
        if task.layout == "separate":
            events.append(self._make_picture(face_job, face_job.faces[-1], seed=cell.seed, index=face_job.done - 1))
        events.append(Progress(face_job.job_id, face_job.done, face_job.total))
        if face_job.done == face_job.total:
            if task.layout != "separate":
                events.append(self._lay_out(face_job, self._runs[task.run]))
            events += [self._sum_up(face_job, self._runs[task.run]), Finished(face_job.job_id)]
        return events

    def _draw_cell(self, snapshot: Snapshot, cell: _Cell) -> Image.Image:
        if cell.real is not None:
            return self._real[cell.real]
        assert cell.latent is not None  # noqa: S101 - the plan has checked that
        return snapshot.draw(cell.latent)

    def _lay_out(self, face_job: DuelJob, run: Run) -> Event:
        """Return one file with all faces of a job."""
        task = face_job.task
        if shows_training(task):
            return self._show_training(face_job, run)
        faces = face_job.faces
        if task.layout == "duel":
            faces = add_captions(faces, [str(number) for number in range(1, len(faces) + 1)], NUMBER_RATIO)
        elif task.captions:
            faces = add_captions(faces, [f"{verdict:.0%}" for verdict in face_job.verdicts], NUMBER_RATIO)
        if task.layout == "animation":
            return self._make_film(face_job, faces)
        whole = make_strip(faces) if task.layout == "strip" else make_grid(faces)
        return self._make_picture(face_job, whole, seed=task.seed, count=task.count)

    def _show_training(self, face_job: DuelJob, run: Run) -> Event:
        """Return the same faces by one snapshot after the other, each as a column of a strip or a frame of a film."""
        task = face_job.task
        groups = [face_job.faces[start : start + task.count] for start in range(0, len(face_job.faces), task.count)]
        wholes = [
            make_column(group) if task.layout == "strip" else make_grid(group, background=BACKGROUND)
            for group in groups
        ]
        shown = [run.snapshots[number].stage.pictures for number in self._list_snapshots(task)]
        wholes = add_captions(wholes, [format_count(count) for count in shown], NUMBER_RATIO)
        if task.layout == "animation":
            return self._make_film(face_job, wholes)
        return self._make_picture(face_job, make_strip(wholes), seed=task.seed, count=task.count)

    def _make_film(self, face_job: DuelJob, frames: Sequence[Image.Image]) -> Event:
        task = face_job.task
        *passing, last = frames
        repeated = [*(frame for frame in passing for _ in range(FRAME_REPEATS)), last]
        stamp = self._stamp(task) | {"seed": str(task.seed), "count": str(task.count)}
        return Picture(face_job.job_id, animate(repeated, stamp), "image/gif")

    def _sum_up(self, face_job: DuelJob, run: Run) -> Judged:
        task, verdicts = face_job.task, tuple(face_job.verdicts)
        if task.layout == "duel":
            return Judged(
                job=face_job.job_id, verdicts=verdicts, real=tuple(cell.real is not None for cell in face_job.cells)
            )
        if not shows_training(task):
            return Judged(job=face_job.job_id, verdicts=verdicts)
        # As plain tuples, which can be read without this module.
        losses = tuple((one.pictures, one.generator, one.discriminator) for one in run.losses)
        pictures = tuple(run.snapshots[number].stage.pictures for number in self._list_snapshots(task))
        return Judged(job=face_job.job_id, verdicts=verdicts, pictures=pictures, losses=losses)


def shows_training(task: Faces) -> bool:
    """Return whether the job shows the same faces by one snapshot after the other."""
    return task.layout in {"strip", "animation"} and task.blend is None


def interpolate(first: torch.Tensor, last: torch.Tensor, share: float) -> torch.Tensor:
    """Return the latent after `share` of the way on the sphere from the first to the last (Shoemake, 1985).

    On a straight line, those in the middle would be shorter than any that the generator has seen. At the ends, the
    result is exactly the first or the last.
    """
    if share in {0.0, 1.0}:
        return last if share else first
    cosine = float(torch.nn.functional.cosine_similarity(first, last, dim=0))
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    if math.sin(angle) < 1e-6:
        return first.lerp(last, share)
    return (first * math.sin((1 - share) * angle) + last * math.sin(share * angle)) / math.sin(angle)


def format_count(count: int) -> str:
    """Format a number of pictures for a narrow caption: 0, 640, 13 k, 1.2 M."""
    if count < 1000:
        return str(count)
    return f"{round(count / 1000)} k" if count < 999_500 else f"{count / 1e6:.1f} M"
