"""The face engine: the generator of a DCGAN (arXiv 1511.06434), which draws one face of each job in each step.

Face k of a request is drawn from the seed `seed + k`, and never in a batch, so that its bytes do not depend on how many
faces were asked for: face 3 of seed 7 is face 0 of seed 10.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from model_server.engines.common.device import pick_device
from model_server.engines.common.images import to_images
from model_server.engines.common.refusal import JobRefused
from model_server.engines.common.seeding import make_generator
from model_server.images import encode, enlarge, make_grid
from model_server.jobs import Faces, Finished, Picture, Progress, Started

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from PIL import Image

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import Event, FaceLayout, Job

WEIGHTS_FILE = "weights.tar"
STATE_KEY = "netG_state_dict"
MAX_FACES = 16
"""The most faces in one request."""
WELL_LIT = 0.75
"""How bright the brightest twentieth of a picture is in good light.

The mean brightness would choose light skin; most dark faces in good light have highlights, too.
"""
EDGE_RANGE_PIXELS = (16, 1024)
"""The smallest and the largest edge of a face that a request can ask for."""
DUEL_FIELDS: dict[str, Any] = {"captions": False, "snapshot": None, "run": "good", "blend": None, "frames": ()}
"""Fields that need a discriminator or snapshots, each with the value that changes nothing."""
CAPACITY = 8
CANDIDATE_COUNT = 256
NEAREST_COUNT = 16


@dataclass(slots=True)
class FaceJob:
    """An active job: `done` of its `total` faces are drawn, and `faces` are kept for what shows them together."""

    job_id: str
    task: Faces
    total: int
    done: int = 0
    faces: list[Image.Image] = field(default_factory=list)


class FaceEngine:
    """Draws faces in the size of the generator, in float32. `spec.folder` holds weights.tar.

    Truncation t in (0, 1] moves each latent z towards the latent m of an ordinary face: t z + (1 - t) m, rescaled to
    the length t |z| + (1 - t) |m|. Shortening z alone, to t z, does not work: a DCGAN was trained on latents of about
    one length, and draws a texture without a face from short ones.
    """

    capacity = CAPACITY
    layouts: tuple[FaceLayout, ...] = ("separate", "grid")
    has_discriminator = False

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._device = pick_device(spec.device)
        self._new: list[Job] = []
        self._running: list[FaceJob] = []

    def load(self) -> None:
        weights = torch.load(self._spec.folder / WEIGHTS_FILE, map_location="cpu", weights_only=True)[STATE_KEY]
        self._generator = build_generator(weights)
        self._latent_size = next(tensor.shape[0] for tensor in weights.values() if tensor.ndim == 4)
        # On the CPU for every device, because another rounding could choose other candidates, and change faces.
        self._ordinary_latent = find_ordinary_latent(self._generator, self._latent_size)
        self._generator.to(self._device)
        torch.backends.cudnn.deterministic = True
        self._draw(self._ordinary_latent)

    def add(self, job: Job) -> None:
        self._new.append(job)

    def step(self) -> Sequence[Event]:
        """Start the new jobs, then draw one face of every active job."""
        new, self._new = self._new, []
        events = [self._start(job) for job in new]
        for face_job in self._running:
            events += self._advance(face_job)
        self._running = [face_job for face_job in self._running if face_job.done < face_job.total]
        return events

    def remove(self, job_id: str) -> None:
        self._new = [job for job in self._new if job.id != job_id]
        self._running = [face_job for face_job in self._running if face_job.job_id != job_id]

    def _start(self, job: Job) -> Event:
        try:
            task = self._check(job)
        except JobRefused as refused:
            return refused.to_event(job.id)
        if task.best_of > 1:
            task = replace(task, seed=self._choose(task))
        self._running.append(self._plan(job.id, task))
        return Started(job.id, seed=task.seed)

    def _choose(self, task: Faces) -> int:
        """Return the one of `best_of` seeds in a row whose faces are rated best together."""
        ratings = [self._rate(task, task.seed + place) for place in range(task.best_of + task.count - 1)]
        totals = [sum(ratings[place : place + task.count]) for place in range(task.best_of)]
        return task.seed + totals.index(max(totals))

    def _rate(self, task: Faces, seed: int) -> float:
        """Return how good a face looks: in good light, and looking at us, so that it is like its mirror image."""
        face = self._draw(self._truncate(draw_latent(seed, self._latent_size), task.truncation))
        grey = np.asarray(face.convert("L"), dtype=np.float32) / 255
        asymmetry = float(np.abs(grey - grey[:, ::-1]).mean() / max(float(grey.std()), 1 / 255))
        return -asymmetry - 2 * max(0.0, WELL_LIT - float(np.percentile(grey, 95)))

    def _plan(self, job_id: str, task: Faces) -> FaceJob:
        return FaceJob(job_id, task, task.count)

    def _check(self, job: Job) -> Faces:
        task = job.task
        if not isinstance(task, Faces):
            raise JobRefused(f"{self._spec.name} only draws faces; it cannot do this.", param="model")
        if not 1 <= task.count <= MAX_FACES:
            raise JobRefused(f"The number of faces is {task.count}; it must be from 1 to {MAX_FACES}.", param="n")
        if not 0 < task.truncation <= 1:
            raise JobRefused(
                f"The truncation is {task.truncation:g}; it must be over 0 and at most 1.", param="truncation"
            )
        for name, neutral in DUEL_FIELDS.items():
            if getattr(task, name) != neutral and not self.has_discriminator:
                sentence = f"{self._spec.name} has neither a discriminator nor snapshots of its training, so that "
                raise JobRefused(f"{sentence}`{name}` has no meaning for it.", param=name)
        if task.best_of > 1 and (task.layout not in ("separate", "grid") or task.blend is not None):
            sentence = "Only faces by themselves or in a grid can be the best of several; this shows them another way."
            raise JobRefused(sentence, param="best_of")
        if task.layout not in self.layouts:
            sentence = f"{self._spec.name} has the layouts {', '.join(self.layouts)}, but not {task.layout}."
            raise JobRefused(sentence, param="layout")
        smallest, largest = EDGE_RANGE_PIXELS
        if task.size is not None and not smallest <= task.size <= largest:
            sentence = f"The size is {task.size} pixels; it must be from {smallest} to {largest}."
            raise JobRefused(sentence, param="size")
        return task

    def _advance(self, face_job: FaceJob) -> list[Event]:
        task = face_job.task
        seed = task.seed + face_job.done
        face = self._draw(self._truncate(draw_latent(seed, self._latent_size), task.truncation))
        if task.size is not None:
            face = enlarge(face, task.size)
        events: list[Event] = []
        if task.layout == "separate":
            events.append(self._make_picture(face_job, face, seed=seed, index=face_job.done))
        else:
            face_job.faces.append(face)
        face_job.done += 1
        events.append(Progress(face_job.job_id, face_job.done, face_job.total))
        if face_job.done == task.count:
            if task.layout == "grid":
                events.append(self._make_picture(face_job, make_grid(face_job.faces), seed=task.seed, count=task.count))
            events.append(Finished(face_job.job_id))
        return events

    def _make_picture(self, face_job: FaceJob, picture: Image.Image, **made_by: int) -> Picture:
        stamp = self._stamp(face_job.task) | {name: str(value) for name, value in made_by.items()}
        return Picture(face_job.job_id, encode(picture, stamp))

    def _stamp(self, task: Faces) -> dict[str, str]:
        return {"model": self._spec.name, "truncation": f"{task.truncation:g}"}

    def _truncate(self, z: torch.Tensor, truncation: float) -> torch.Tensor:
        if truncation == 1:
            return z
        mixed = z.mul(truncation).add(self._ordinary_latent, alpha=1 - truncation)
        length = truncation * float(z.norm()) + (1 - truncation) * float(self._ordinary_latent.norm())
        return mixed.mul(length / float(mixed.norm()))

    @torch.inference_mode()
    def _draw(self, z: torch.Tensor) -> Image.Image:
        """Draw the face of one latent, a tensor of L numbers in any shape."""
        values = self._generator(z.reshape(1, -1, 1, 1).to(self._device))
        [face] = to_images(values)
        return face


def draw_latent(seed: int, length: int) -> torch.Tensor:
    """Draw the latent of a seed: `length` standard normal numbers, on the CPU so that no device changes them."""
    return torch.randn(length, generator=make_generator(seed))


def build_generator(weights: Mapping[str, torch.Tensor]) -> nn.Sequential:
    """Build the generator that fits `weights`: (N, L, 1, 1) standard normal numbers to (N, 3, H, W) in [-1, 1].

    The layers follow from the shapes of the convolutions (in, out, k, k): the first turns the latent into k x k, each
    further one doubles the edge, and all but the last are followed by batch normalisation and ReLU. Normalisation uses
    the running statistics, because those of a batch would make one face depend on the others.
    """
    kernels = [tensor for tensor in weights.values() if tensor.ndim == 4]
    layers: list[nn.Module] = []
    for depth, (inputs, outputs, edge, _) in enumerate(kernel.shape for kernel in kernels):
        stride, padding = (1, 0) if depth == 0 else (2, 1)
        layers.append(nn.ConvTranspose2d(inputs, outputs, edge, stride, padding, bias=False))
        last = depth == len(kernels) - 1
        layers += [nn.Tanh()] if last else [nn.BatchNorm2d(outputs), nn.ReLU()]
    generator = nn.Sequential(*layers)
    generator.load_state_dict({name.removeprefix("main."): tensor for name, tensor in weights.items()})
    return generator.eval()


@torch.inference_mode()
def find_ordinary_latent(generator: Callable[[torch.Tensor], torch.Tensor], length: int) -> torch.Tensor:
    """Find the latent (L numbers) of an ordinary face: the mean of those whose faces are nearest to the mean face."""
    candidates = torch.stack([draw_latent(seed, length) for seed in range(CANDIDATE_COUNT)])
    faces = generator(candidates.reshape(CANDIDATE_COUNT, length, 1, 1))
    distances = (faces - faces.mean(dim=0)).square().flatten(1).mean(dim=1)
    mean = candidates[distances.argsort()[:NEAREST_COUNT]].mean(dim=0)
    return mean.mul(float(candidates.norm(dim=1).mean()) / float(mean.norm()))
