"""The face engine: the generator of a DCGAN (arXiv 1511.06434), one face in each step.

Face k of a request is drawn from the seed `seed + k` and alone, never in a batch, so that its bytes do not depend on
how many were asked for: face 3 of seed 7 is face 0 of seed 10.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import nn

from model_server.engines.common.device import pick_device
from model_server.engines.common.refusal import JobRefused
from model_server.engines.common.seeding import seeded
from model_server.images import encode, enlarge, make_grid
from model_server.jobs import Faces, Finished, Picture, Progress, Started

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import Event, Job

FILE = "weights.tar"
KEY = "netG_state_dict"
MOST = 16
"""Faces in one request."""
EDGES = (16, 1024)
"""Smallest and largest edge of one face that can be asked for, in pixels."""
CAPACITY = 8
CANDIDATES = 256
NEAREST = 16


@dataclass(slots=True)
class _FaceJob:
    """A job on its way, with the faces drawn for its grid."""

    job_id: str
    task: Faces
    done: int = 0
    faces: list[Image.Image] = field(default_factory=list)


class FaceEngine:
    """Faces of as many pixels as the generator makes. `spec.folder` holds weights.tar; always float32.

    Truncation t in (0, 1] pulls each latent z towards that of an ordinary face m: t z + (1 - t) m, brought back to the
    length t |z| + (1 - t) |m|. Plain t z would not do: a DCGAN has only ever seen latents of about one length, and
    what it draws from short ones is a texture without a face.
    """

    capacity = CAPACITY

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._device = pick_device(spec.device)
        self._new: list[Job] = []
        self._running: list[_FaceJob] = []

    def load(self) -> None:
        weights = torch.load(self._spec.folder / FILE, map_location="cpu", weights_only=True)[KEY]
        self._generator = build_generator(weights)
        self._latent = next(tensor.shape[0] for tensor in weights.values() if tensor.ndim == 4)
        # On the CPU for every device, since another choice of candidates would make other faces.
        self._ordinary = ordinary_latent(self._generator, self._latent)
        self._generator.to(self._device)
        torch.backends.cudnn.deterministic = True
        self._draw(self._ordinary)

    def add(self, job: Job) -> None:
        self._new.append(job)

    def step(self) -> Sequence[Event]:
        """Take in what is new, then draw one face for every job."""
        new, self._new = self._new, []
        events = [self._start(job) for job in new]
        for sitting in self._running:
            events += self._advance(sitting)
        self._running = [sitting for sitting in self._running if sitting.done < sitting.task.count]
        return events

    def remove(self, job_id: str) -> None:
        self._new = [job for job in self._new if job.id != job_id]
        self._running = [sitting for sitting in self._running if sitting.job_id != job_id]

    def _start(self, job: Job) -> Event:
        try:
            task = self._check(job)
        except JobRefused as refused:
            return refused.event(job.id)
        self._running.append(_FaceJob(job.id, task))
        return Started(job.id)

    def _check(self, job: Job) -> Faces:
        task = job.task
        if not isinstance(task, Faces):
            raise JobRefused(f"{self._spec.name} only draws faces; it cannot do this.", param="model")
        if not 1 <= task.count <= MOST:
            raise JobRefused(f"The number of faces is {task.count}; it must be from 1 to {MOST}.", param="n")
        if not 0 < task.truncation <= 1:
            raise JobRefused(
                f"The truncation is {task.truncation:g}; it must be over 0 and at most 1.", param="truncation"
            )
        smallest, largest = EDGES
        if task.size is not None and not smallest <= task.size <= largest:
            sentence = f"The size is {task.size} pixels; it must be from {smallest} to {largest}."
            raise JobRefused(sentence, param="size")
        return task

    def _advance(self, sitting: _FaceJob) -> list[Event]:
        task = sitting.task
        seed = task.seed + sitting.done
        face = self._draw(self._truncated(latent(seed, self._latent), task.truncation))
        if task.size is not None:
            face = enlarge(face, task.size)
        events: list[Event] = []
        if task.layout == "separate":
            events.append(self._picture(sitting, face, seed=seed, index=sitting.done))
        else:
            sitting.faces.append(face)
        sitting.done += 1
        events.append(Progress(sitting.job_id, sitting.done, task.count))
        if sitting.done == task.count:
            if task.layout == "grid":
                events.append(self._picture(sitting, make_grid(sitting.faces), seed=task.seed, count=task.count))
            events.append(Finished(sitting.job_id))
        return events

    def _picture(self, sitting: _FaceJob, picture: Image.Image, **made_by: int) -> Picture:
        stamp = {"model": self._spec.name, "truncation": f"{sitting.task.truncation:g}"}
        return Picture(sitting.job_id, encode(picture, stamp | {name: str(value) for name, value in made_by.items()}))

    def _truncated(self, z: torch.Tensor, truncation: float) -> torch.Tensor:
        if truncation == 1:
            return z
        mixed = z.mul(truncation).add(self._ordinary, alpha=1 - truncation)
        length = truncation * float(z.norm()) + (1 - truncation) * float(self._ordinary.norm())
        return mixed.mul(length / float(mixed.norm()))

    @torch.inference_mode()
    def _draw(self, z: torch.Tensor) -> Image.Image:
        """The face of one latent (any shape of L numbers)."""
        values = self._generator(z.reshape(1, -1, 1, 1).to(self._device))[0]
        pixels = ((values.to("cpu") + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def latent(seed: int, length: int) -> torch.Tensor:
    """The `length` standard normal numbers of a seed, drawn on the CPU so that every device sees the same ones."""
    return torch.randn(length, generator=seeded(seed))


def build_generator(weights: Mapping[str, torch.Tensor]) -> nn.Sequential:
    """The generator that fits `weights`, ready to draw: (N, L, 1, 1) standard normal to (N, 3, H, W) in [-1, 1].

    The convolutions' shapes (in, out, k, k) give all there is to know: the first opens the latent to k x k, each
    further one doubles the edge, and all but the last are followed by batch normalisation and ReLU. Its running
    statistics are used: those of the batch itself would make one face depend on the others.
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
def ordinary_latent(generator: nn.Module, length: int) -> torch.Tensor:
    """The latent (L numbers) of an ordinary face: the mean of those whose faces are nearest to the average picture."""
    candidates = torch.stack([latent(seed, length) for seed in range(CANDIDATES)])
    faces = generator(candidates.reshape(CANDIDATES, length, 1, 1))
    distances = (faces - faces.mean(dim=0)).square().flatten(1).mean(dim=1)
    mean = candidates[distances.argsort()[:NEAREST]].mean(dim=0)
    return mean.mul(float(candidates.norm(dim=1).mean()) / float(mean.norm()))
