"""Enlarges finished pictures with a second network, which draws the edges of what is there sharply again.

The network is SRVGGNetCompact of Real-ESRGAN (Wang et al., arXiv 2107.10833): convolutions at the size of the picture,
whose last channels become the pixels between, added to the picture itself.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from model_server.engines.common.device import pick_device, pick_dtype
from model_server.engines.common.images import to_images
from model_server.engines.contract import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from http_server.wire import NearestDrawing, ReferenceDrawing
    from model_server.engines.contract import EngineSpec
    from model_server.engines.diffusion.picture_job import PictureJob
    from model_server.jobs import Event, GuidedBy

FILE, NAME = "model.safetensors", "name"
"""The file of the weights, and the field of its metadata with the network's name."""


class EnlargingNetwork(nn.Module):
    """SRVGGNetCompact: N × 3 × H × W values in [0, 1] to N × 3 × (scale · H) × (scale · W)."""

    def __init__(self, scale: int, channels: int, layers: int) -> None:
        """`layers`: the convolutions between the first and the last."""
        super().__init__()
        self.scale = scale
        body: list[nn.Module] = []
        for inputs in (3, *[channels] * layers):
            body += [nn.Conv2d(inputs, channels, 3, padding=1), nn.PReLU(channels)]
        self.body = nn.Sequential(*body, nn.Conv2d(channels, 3 * scale * scale, 3, padding=1))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        # The picture is added in float32, because bfloat16 cannot tell neighbouring bright pixels apart.
        change = self.body(values.to(next(self.parameters()).dtype)).float()
        base = nn.functional.interpolate(values, scale_factor=self.scale, mode="nearest")
        return base + nn.functional.pixel_shuffle(change, self.scale)


class Enlarger:
    """A network that enlarges RGB pictures `scale` times, one at a time, so that each is the same in any company."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype) -> None:
        """Read the weights in `folder`. Raises Misconfigured if they are missing or of another network."""
        self._device = device
        try:
            with safe_open(folder / FILE, "pt") as file:
                self.name = str((file.metadata() or {}).get(NAME, folder.name))
                weights = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 - no mapping
            layers = sum(one.ndim == 4 for one in weights.values()) - 2
            self.scale = math.isqrt(len(weights[f"body.{2 * layers + 2}.weight"]) // 3)
            network = EnlargingNetwork(self.scale, len(weights["body.0.weight"]), layers)
            network.load_state_dict(weights)
        except (OSError, SafetensorError, LookupError, RuntimeError) as error:
            raise Misconfigured(f"{folder} should hold an enlarger, with {FILE}: {error}") from None
        self._network = network.eval().to(device, dtype)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def enlarge(self, picture: Image.Image) -> Image.Image:
        """Return an RGB picture, `scale` times as wide and high."""
        values = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].to(self._device).float() / 255
        [enlarged] = to_images(self._network(values) * 2 - 1)
        return enlarged


class EnlargingQueue:
    """Finished pictures that wait for the enlarger, which is in the folder that the option `enlarger` names, if any."""

    def __init__(self, spec: EngineSpec, trial: Image.Image) -> None:
        """Load the enlarger and try it with a picture; the first one of a size takes longer."""
        self._enlarger: Enlarger | None = None
        self._waiting: list[
            tuple[PictureJob, int, Image.Image, GuidedBy, Sequence[ReferenceDrawing], NearestDrawing | None]
        ] = []
        if folder := spec.options.get("enlarger"):
            device = pick_device(spec.device)
            self._enlarger = Enlarger(Path(str(folder)), device, pick_dtype(spec.dtype, device))
            self._enlarger.enlarge(trial)

    @property
    def name(self) -> str:
        """The name of the enlarger; "" if there is none."""
        return "" if self._enlarger is None else self._enlarger.name

    @property
    def next_job(self) -> str | None:
        """The id of the job of which `finish_next` enlarges a picture."""
        return self._waiting[0][0].job_id if self._waiting else None

    def add(
        self,
        picture_job: PictureJob,
        index: int,
        image: Image.Image,
        guided_by: GuidedBy,
        references: Sequence[ReferenceDrawing] = (),
        nearest: NearestDrawing | None = None,
    ) -> None:
        """Let picture `index` of a job wait, in the size in which it was drawn; the rest is for `PictureJob.finish`."""
        self._waiting.append((picture_job, index, image, guided_by, references, nearest))

    def finish_next(self) -> tuple[PictureJob, list[Event]]:
        """Enlarge the picture that has waited longest; return its job, and the events that can be sent now."""
        picture_job, index, image, guided_by, references, nearest = self._waiting.pop(0)
        enlarged = image if self._enlarger is None else self._enlarger.enlarge(image)
        events = picture_job.finish(index, enlarged, guided_by, references, nearest)
        return picture_job, events or [picture_job.make_progress_event()]

    def remove(self, job_id: str) -> None:
        """Drop the pictures of a job."""
        self._waiting = [one for one in self._waiting if one[0].job_id != job_id]
