"""What the benchmark compares with, in a process without a server: python -m model_server.engines.diffusion.peer SPEC

SPEC is an EngineSpec as JSON. Each line on stdin asks for one measurement, and a line on stdout has its `seconds`:

    {"what": "loop", "prompt": …, "seed": …, "steps": …, "guidance": …}        the bare loop, for one picture
    {"what": "stock", "dtype": …, "prompts": …, "steps": …, "guidance": …}     the stock pipeline, one after the other
    {"what": "passes", "rows": …}                                              a forward pass of so many rows, each

The pipeline computes in its "default" numbers, or in those "served", which the first line on stdout names.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DiffusionPipeline, DPMSolverMultistepScheduler

from model_server.engines.common.device import DTYPES, pick_device
from model_server.engines.common.seeding import seeded
from model_server.engines.contract import EngineSpec
from model_server.engines.diffusion import quieten
from model_server.engines.diffusion.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable

TRIES = 5


class BarePipeline:
    """The same network without anything of ours around it, and the pipeline as it comes."""

    def __init__(self, spec: EngineSpec) -> None:
        self._device = pick_device(spec.device)
        self.dtype = Network(spec, 2).dtype
        self._pipes = {"default": self._open(spec, torch.float32), "served": self._open(spec, DTYPES[self.dtype])}
        served = self._pipes["served"]
        self._unet = served.unet.to(memory_format=torch.channels_last)

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """One measurement."""
        with torch.inference_mode():
            match asked.pop("what"):
                case "loop":
                    return {"seconds": self._loop(**asked)}
                case "stock":
                    return {"seconds": self._stock(**asked)}
                case _:
                    return {"seconds": [self._pass(rows) for rows in asked["rows"]]}

    def _open(self, spec: EngineSpec, dtype: torch.dtype) -> Any:
        pipe = DiffusionPipeline.from_pretrained(spec.folder, dtype=dtype, local_files_only=True).to(self._device)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def _loop(self, prompt: str, seed: int, steps: int, guidance: float) -> float:
        """From noise to pixels, with guidance; the text is encoded before."""
        pipe, unet = self._pipes["served"], self._unet
        states = torch.cat(pipe.encode_prompt(prompt, self._device, 1, do_classifier_free_guidance=True)[::-1])
        scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
        config = unet.config
        shape = (1, config.in_channels, config.sample_size, config.sample_size)
        began = time.perf_counter()
        latents = torch.randn(shape, generator=seeded(seed)).to(self._device, unet.dtype)
        scheduler.set_timesteps(steps)
        for timestep in scheduler.timesteps:
            both = torch.cat([latents, latents]).contiguous(memory_format=torch.channels_last)
            without, with_it = unet(both, timestep, states, return_dict=False)[0].chunk(2)
            guided = without + guidance * (with_it - without)
            latents = scheduler.step(guided, timestep, latents, return_dict=False)[0]
        pipe.vae.decode(latents / pipe.vae.config.scaling_factor, return_dict=False)[0].to("cpu")
        return time.perf_counter() - began

    def _stock(self, dtype: str, prompts: list[str], steps: int, guidance: float) -> float:
        began = time.perf_counter()
        for seed, prompt in enumerate(prompts):
            self._pipes[dtype](
                prompt,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=torch.Generator().manual_seed(seed),
            )
        return time.perf_counter() - began

    def _pass(self, rows: int) -> float:
        config = self._unet.config
        states = self._pipes["served"].encode_prompt("", self._device, 1, do_classifier_free_guidance=False)[0]
        noisy = torch.randn(rows, config.in_channels, config.sample_size, config.sample_size, dtype=self._unet.dtype)
        noisy = noisy.to(self._device).contiguous(memory_format=torch.channels_last)
        run = partial(self._unet, noisy, torch.tensor(500, device=self._device), states.repeat(rows, 1, 1))
        # Whatever else runs on the machine only ever makes it slower.
        return min(self._timed(run) for _ in range(TRIES))

    def _timed(self, run: Callable[[], Any]) -> float:
        began = time.perf_counter()
        run()
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began


def _spec(text: str) -> EngineSpec:
    fields = json.loads(text)
    return EngineSpec(**fields | {"folder": Path(fields["folder"])})


def main() -> None:
    """Answer until there is nothing more to read."""
    quieten()
    peer = BarePipeline(_spec(sys.argv[1]))
    _say({"dtype": peer.dtype})
    for line in sys.stdin:
        _say(peer.answer(json.loads(line)))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
