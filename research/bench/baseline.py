"""The baseline of the benchmark, a process without a server: `python -m research.bench.baseline SPEC`.

SPEC is an EngineSpec as JSON. Each line on stdin requests one measurement, whose `seconds` come as a line on stdout:

    {"what": "loop", "prompt": …, "seed": …, "steps": …, "guidance": …}        the loop alone, for one picture
    {"what": "stock", "dtype": …, "prompts": …, "steps": …, "guidance": …}     the stock pipeline, picture after picture
    {"what": "passes", "rows": …}                                              one forward pass for each number of rows

`dtype` is "default", which is float32, or "served", the engine's dtype, which the first line on stdout names.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DiffusionPipeline, DPMSolverMultistepScheduler

from model_server.engines.common.device import DTYPES, pick_device
from model_server.engines.common.seeding import make_generator
from model_server.engines.contract import EngineSpec
from model_server.engines.diffusion import silence_libraries
from model_server.engines.diffusion.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable

ATTEMPTS = 5


class BarePipeline:
    """The model without this project's code: its network alone, and the pipeline as diffusers opens it."""

    def __init__(self, spec: EngineSpec) -> None:
        self._device = pick_device(spec.device)
        self.dtype = Network(spec, 2).dtype
        self._pipelines = {"default": self._open(spec, torch.float32), "served": self._open(spec, DTYPES[self.dtype])}
        served = self._pipelines["served"]
        self._unet = served.unet.to(memory_format=torch.channels_last)

    def measure(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make one measurement; `request` is as in the module's docstring."""
        with torch.inference_mode():
            match request.pop("what"):
                case "loop":
                    return {"seconds": self._time_loop(**request)}
                case "stock":
                    return {"seconds": self._time_stock(**request)}
                case _:
                    return {"seconds": [self._time_pass(rows) for rows in request["rows"]]}

    def _open(self, spec: EngineSpec, dtype: torch.dtype) -> Any:
        pipeline = DiffusionPipeline.from_pretrained(spec.folder, dtype=dtype, local_files_only=True).to(self._device)
        pipeline.set_progress_bar_config(disable=True)
        look_at_nothing(pipeline)
        return pipeline

    def _time_loop(self, prompt: str, seed: int, steps: int, guidance: float) -> float:
        """Return the seconds from noise to pixels, with guidance, without encoding the prompt."""
        pipeline, unet = self._pipelines["served"], self._unet
        states = torch.cat(pipeline.encode_prompt(prompt, self._device, 1, do_classifier_free_guidance=True)[::-1])
        scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
        config = unet.config
        shape = (1, config.in_channels, config.sample_size, config.sample_size)
        start = time.perf_counter()
        latents = torch.randn(shape, generator=make_generator(seed)).to(self._device, unet.dtype)
        scheduler.set_timesteps(steps)
        for timestep in scheduler.timesteps:
            both = torch.cat([latents, latents]).contiguous(memory_format=torch.channels_last)
            without, with_it = unet(both, timestep, states, return_dict=False)[0].chunk(2)
            guided = without + guidance * (with_it - without)
            latents = scheduler.step(guided, timestep, latents, return_dict=False)[0]
        pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0].to("cpu")
        return time.perf_counter() - start

    def _time_stock(self, dtype: str, prompts: list[str], steps: int, guidance: float) -> float:
        start = time.perf_counter()
        for seed, prompt in enumerate(prompts):
            self._pipelines[dtype](
                prompt,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=torch.Generator().manual_seed(seed),
            )
        return time.perf_counter() - start

    def _time_pass(self, rows: int) -> float:
        config = self._unet.config
        states = self._pipelines["served"].encode_prompt("", self._device, 1, do_classifier_free_guidance=False)[0]
        noisy = torch.randn(rows, config.in_channels, config.sample_size, config.sample_size, dtype=self._unet.dtype)
        noisy = noisy.to(self._device).contiguous(memory_format=torch.channels_last)
        run = partial(self._unet, noisy, torch.tensor(500, device=self._device), states.repeat(rows, 1, 1))
        # The minimum, because other programs on the machine can only slow a pass down.
        return min(self._time(run) for _ in range(ATTEMPTS))

    def _time(self, run: Callable[[], Any]) -> float:
        start = time.perf_counter()
        run()
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start


def look_at_nothing(pipeline: Any) -> None:
    """Fill the inputs for drawings with zeros, if the UNet of a pipeline has any: diffusers knows nothing of them."""
    unet, channels = pipeline.unet, pipeline.vae.config.latent_channels
    free, forward = unet.config.in_channels - channels, unet.forward
    if not free:
        return

    def fill(sample: torch.Tensor, *args: Any, **more: Any) -> Any:
        return forward(torch.nn.functional.pad(sample, (0, 0, 0, 0, 0, free)), *args, **more)

    unet.register_to_config(in_channels=channels)
    unet.forward = fill


def main() -> None:
    """Answer the requests on stdin until it ends."""
    silence_libraries()
    baseline = BarePipeline(EngineSpec.from_json(sys.argv[1]))
    _write({"dtype": baseline.dtype})
    for line in sys.stdin:
        _write(baseline.measure(json.loads(line)))


def _write(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
