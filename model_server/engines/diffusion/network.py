"""The networks of a plain Stable Diffusion, computed for batches of unrelated rows."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from model_server.engines.common.device import dtype_name, pick_device, pick_dtype
from model_server.engines.common.images import to_images
from model_server.engines.common.seeding import make_generator
from model_server.engines.diffusion.batch_invariance import make_batch_invariant
from model_server.engines.diffusion.references import TENSORS_FILE, ReferenceBank
from model_server.engines.diffusion.request import encode_prompt, read_special_names_as_text
from model_server.engines.diffusion.solver import Solver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import EncodedPrompt

log = logging.getLogger(__name__)

MAX_CACHED_PROMPTS = 256


class Network:
    """Text encoder, UNet and autoencoder in `spec.folder`. Latents go in and out in float32, C × H × W each.

    The UNet's output for a row does not depend on the other rows: see `batch_invariance`. The default dtype is bfloat16
    on processors that multiply it faster than float32, else float32, also on graphics cards.
    """

    def __init__(self, spec: EngineSpec, rows: int) -> None:
        """`rows`: the most rows that the UNet will be given at once."""
        self._device = pick_device(spec.device)
        automatic = "float32" if self._device.type == "cuda" else "auto"
        self._dtype = pick_dtype(automatic if spec.dtype == "auto" else spec.dtype, self._device)
        self._load(spec)
        if not self._make_batch_invariant(rows) and spec.dtype == "auto":
            log.info("%s: rows depend on their batch in %s, so that float32 is used.", spec.name, self._dtype)
            self._dtype = torch.float32
            self._load(spec)
        self.channels = int(self._pipeline.vae.config.latent_channels)
        has_bank = (spec.folder / TENSORS_FILE).is_file()
        self.bank = ReferenceBank(spec.folder, self._embed_meaning) if has_bank else None
        """The drawings that the UNet can look at: their latents are inputs beside the noisy ones."""
        self.scale = int(self._pipeline.vae_scale_factor)
        """Edge in pixels of the square that one latent stands for."""
        self.edge = self._latent_edge * self.scale
        """Edge in pixels of the pictures that the network was trained on."""
        self.solver = Solver(self._pipeline.scheduler.config)
        self.embed_prompt = lru_cache(maxsize=MAX_CACHED_PROMPTS)(self._embed_prompt)
        """`embed_prompt(text)`: the embeddings of a prompt that the UNet reads, tokens × width."""

    @property
    def dtype(self) -> str:
        """Name of the dtype of UNet and autoencoder."""
        return dtype_name(self._dtype)

    @property
    def _latent_edge(self) -> int:
        size = self._unet.config.sample_size
        return int(size if isinstance(size, int) else size[0])

    def encode_prompt(self, text: str) -> EncodedPrompt:
        """Return the tokens of `text` that the text encoder reads."""
        tokenizer = self._pipeline.tokenizer
        return encode_prompt(tokenizer, text, tokenizer.model_max_length)

    @torch.inference_mode()
    def predict(
        self,
        noisy: torch.Tensor,
        timesteps: Sequence[int],
        states: Sequence[torch.Tensor],
        references: Sequence[torch.Tensor] = (),
    ) -> torch.Tensor:
        """Return the UNet's output for N rows (N × C × H × W), each with its own timestep and prompt embeddings.

        `references` has for each row what the UNet looks at (`ReferenceBank.stack`), if it can look at anything.
        """
        inputs = torch.cat([noisy, torch.stack(list(references)).to(noisy)], 1) if references else noisy
        rows = inputs.to(self._dtype).contiguous(memory_format=torch.channels_last)
        times = torch.tensor(timesteps, device=self._device)
        output: torch.Tensor = self._unet(rows, times, torch.stack(list(states)), return_dict=False)[0]
        return output.float()

    def make_noises(self, seed: int, count: int, width: int, height: int) -> list[torch.Tensor]:
        """Draw the noise (C × H × W) of a seed for each of `count` parts of a picture of `width` × `height` pixels.

        It is the same on every device, and that of the first part is the same for any number of parts.
        """
        shape, generator = (self.channels, height // self.scale, width // self.scale), make_generator(seed)
        return [torch.randn(shape, generator=generator).to(self._device) for _ in range(count)]

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor) -> list[Image.Image]:
        """Return the pictures of N × C × H × W latents."""
        vae = self._vae
        scaled = latents / vae.config.scaling_factor + (vae.config.shift_factor or 0)
        rows = scaled.to(self._dtype).contiguous(memory_format=torch.channels_last)
        return to_images(vae.decode(rows, return_dict=False)[0].float())

    @torch.inference_mode()
    def encode(self, picture: Image.Image) -> torch.Tensor:
        """Return the latents (C × H × W) of an RGB picture."""
        vae = self._vae
        values = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 127.5 - 1
        rows = values.to(self._device, self._dtype).contiguous(memory_format=torch.channels_last)
        latents: torch.Tensor = vae.encode(rows).latent_dist.mode()[0].float()
        scaled: torch.Tensor = (latents - (vae.config.shift_factor or 0)) * vae.config.scaling_factor
        return scaled

    def _load(self, spec: EngineSpec) -> None:
        # The text encoder runs once for each prompt, so that full precision costs little.
        dtypes = {"unet": self._dtype, "vae": self._dtype, "default": torch.float32}
        self._pipeline: Any = StableDiffusionPipeline.from_pretrained(
            spec.folder, dtype=dtypes, local_files_only=True, safety_checker=None, requires_safety_checker=False
        ).to(self._device)
        read_special_names_as_text(self._pipeline)
        self._unet = self._pipeline.unet.eval().to(memory_format=torch.channels_last)
        self._vae = self._pipeline.vae.eval().to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def _embed_prompt(self, text: str) -> torch.Tensor:
        states: torch.Tensor = self._pipeline.encode_prompt(text, self._device, 1, do_classifier_free_guidance=False)[0]
        return states[0].to(self._dtype)

    @torch.inference_mode()
    def _embed_meaning(self, text: str) -> torch.Tensor:
        """Return the unit vector of what `text` means: the mean over its tokens."""
        encoder, tokenizer = self._pipeline.text_encoder, self._pipeline.tokenizer
        tokens = tokenizer(text, truncation=True, return_tensors="pt").to(self._device)
        states: torch.Tensor = encoder(tokens.input_ids, attention_mask=tokens.attention_mask)[0][0]
        return torch.nn.functional.normalize(states.mean(0), dim=0)

    @torch.inference_mode()
    def _make_batch_invariant(self, rows: int) -> bool:
        """Make the UNet batch-invariant and return whether it is; 8-bit pixels hide the rounding of float32."""
        if self._dtype == torch.float32 or self._device.type != "cpu":
            return True
        generator = make_generator(0)
        edge = self._latent_edge
        noisy = torch.randn(rows, self._unet.config.in_channels, edge, edge, generator=generator)
        states = torch.randn(self._embed_prompt("").shape, generator=generator).to(self._dtype)
        times = torch.linspace(0, 999, rows).long().tolist()
        return make_batch_invariant(
            self._unet, lambda count: self.predict(noisy[:count], times[:count], [states] * count), rows
        )
