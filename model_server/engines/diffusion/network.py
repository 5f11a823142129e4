"""The parts of a plain Stable Diffusion, and what they do for rows that share nothing but a forward pass."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from model_server.engines.common.device import pick_device, pick_dtype
from model_server.engines.common.seeding import seeded
from model_server.engines.diffusion.batch_invariance import make_steady
from model_server.engines.diffusion.request import read
from model_server.engines.diffusion.solver import Solver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import EncodedPrompt

log = logging.getLogger(__name__)

CACHED_TEXTS = 256


class Network:
    """Text encoder, UNet and autoencoder of `spec.folder`. Latents are float32 outside, C × H × W each.

    What it makes of a row does not depend on the other rows: see `steady`. By default it is computed in bfloat16 where
    the processor multiplies that more quickly than float32, else in float32, on graphics cards, too.
    """

    def __init__(self, spec: EngineSpec, rows: int) -> None:
        """`rows` is how many the UNet will be given at once at most."""
        self._device = pick_device(spec.device)
        automatic = "float32" if self._device.type == "cuda" else "auto"
        self._dtype = pick_dtype(automatic if spec.dtype == "auto" else spec.dtype, self._device)
        self._load(spec)
        if not self._settle(rows) and spec.dtype == "auto":
            log.info("%s: rows would depend on their company in %s.", spec.name, self._dtype)
            self._dtype = torch.float32
            self._load(spec)
        config = self._unet.config
        size = config.sample_size if isinstance(config.sample_size, int) else config.sample_size[0]
        self.channels = int(config.in_channels)
        self.scale = int(self._pipeline.vae_scale_factor)
        """Pixels along one side of a latent."""
        self.edge = int(size) * self.scale
        """Of a picture as the network is used to it."""
        self.solver = Solver(self._pipeline.scheduler.config)
        self.states = lru_cache(maxsize=CACHED_TEXTS)(self._states)
        """`states(text)`: what the UNet reads of a prompt, tokens × width."""

    @property
    def dtype(self) -> str:
        """The numbers that it is computed in."""
        return str(self._dtype).removeprefix("torch.")

    def reading(self, text: str) -> EncodedPrompt:
        """What the text encoder sees of `text`."""
        tokenizer = self._pipeline.tokenizer
        return read(tokenizer, text, tokenizer.model_max_length)

    @torch.inference_mode()
    def predict(self, noisy: torch.Tensor, timesteps: Sequence[int], states: Sequence[torch.Tensor]) -> torch.Tensor:
        """The UNet's output for N rows (N × C × H × W), each with its own timestep and text."""
        rows = noisy.to(self._dtype).contiguous(memory_format=torch.channels_last)
        times = torch.tensor(timesteps, device=self._device)
        output: torch.Tensor = self._unet(rows, times, torch.stack(list(states)), return_dict=False)[0]
        return output.float()

    def noise(self, seed: int, width: int, height: int) -> torch.Tensor:
        """The noise of a seed for a picture of so many pixels, the same on every device."""
        shape = (self.channels, height // self.scale, width // self.scale)
        noise = torch.randn(shape, generator=seeded(seed))
        return noise.to(self._device)

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor) -> list[Image.Image]:
        """The pictures of N × C × H × W latents."""
        vae = self._vae
        scaled = latents / vae.config.scaling_factor + (vae.config.shift_factor or 0)
        rows = scaled.to(self._dtype).contiguous(memory_format=torch.channels_last)
        values = vae.decode(rows, return_dict=False)[0].float()
        pixels = ((values + 1) * 127.5).round().clamp(0, 255).to("cpu", torch.uint8)
        return [Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()) for picture in pixels]

    @torch.inference_mode()
    def encode(self, picture: Image.Image) -> torch.Tensor:
        """The latents of an RGB picture."""
        vae = self._vae
        values = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 127.5 - 1
        rows = values.to(self._device, self._dtype).contiguous(memory_format=torch.channels_last)
        latents: torch.Tensor = vae.encode(rows).latent_dist.mode()[0].float()
        scaled: torch.Tensor = (latents - (vae.config.shift_factor or 0)) * vae.config.scaling_factor
        return scaled

    def _load(self, spec: EngineSpec) -> None:
        # What the text encoder says is computed once for a prompt, so that it may be exact.
        dtypes = {"unet": self._dtype, "vae": self._dtype, "default": torch.float32}
        self._pipeline: Any = StableDiffusionPipeline.from_pretrained(
            spec.folder, dtype=dtypes, local_files_only=True, safety_checker=None, requires_safety_checker=False
        ).to(self._device)
        self._unet = self._pipeline.unet.eval().to(memory_format=torch.channels_last)
        self._vae = self._pipeline.vae.eval().to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def _states(self, text: str) -> torch.Tensor:
        states: torch.Tensor = self._pipeline.encode_prompt(text, self._device, 1, do_classifier_free_guidance=False)[0]
        return states[0].to(self._dtype)

    @torch.inference_mode()
    def _settle(self, rows: int) -> bool:
        """Whether pictures come out the same alone and in company; that of float32 is not seen in 8 bits."""
        if self._dtype == torch.float32 or self._device.type != "cpu":
            return True
        generator = seeded(0)
        config = self._unet.config
        size = config.sample_size if isinstance(config.sample_size, int) else config.sample_size[0]
        noisy = torch.randn(rows, config.in_channels, size, size, generator=generator)
        states = torch.randn(self._states("").shape, generator=generator).to(self._dtype)
        times = torch.linspace(0, 999, rows).long().tolist()
        return make_steady(self._unet, lambda count: self.predict(noisy[:count], times[:count], [states] * count), rows)
