"""A text-to-image pipeline of diffusers, whichever it is: what it can, one call of it, and how it looks on the way."""

from __future__ import annotations

import functools
import inspect
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import AutoPipelineForImage2Image, DiffusionPipeline

from model_server.engines.common.device import pick_device, pick_dtype
from model_server.engines.common.seeding import seeded
from model_server.engines.contract import Misconfigured
from model_server.engines.diffusion.request import ability, read
from model_server.jobs import EncodedPrompt, Imagine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL import Image

    from model_server.engines.contract import EngineSpec
    from model_server.engines.diffusion.request import Capabilities
    from model_server.jobs import GuidedBy

log = logging.getLogger(__name__)

TRIAL_STEPS = 2
USUAL_EDGE = 1024
ALIKE = 2.0
"""By how many of 255 two pictures may differ on average that should be the same."""
CALLBACK = "callback_on_step_end"
GUIDANCE_INPUTS = ("guidance", "timestep_cond")
"""What networks call the guidance that they have learnt to be told; the others are called twice for it."""

FROM_ZERO = ("ZImage", "Krea2", "Kandinsky3")
"""Families whose guidance 0 is the guess with the prompt as it is, which is 1 in all others."""


@dataclass(frozen=True, slots=True)
class StepState:
    """Where the latents of a call are after `step` of its `steps`. One row for each picture.

    `clean` is what they are expected to become, where the scheduler tells; `start` what they were before the first.
    """

    step: int
    steps: int
    noisy: torch.Tensor
    clean: torch.Tensor | None
    start: torch.Tensor | None


class Pipeline:
    """`spec.folder`, opened as it asks to be.

    Options: `variant` of the files; `offload`: "model" or "sequential", to bring it to the graphics card in parts;
    `slicing` and `tiling`, to decode pictures one by one, or in parts; and those of `request.ability`.
    """

    def __init__(self, spec: EngineSpec) -> None:
        self._pipe = _open(spec)
        self._parameters = inspect.signature(self._pipe.__call__).parameters
        self._from_picture = _image_to_image(self._pipe, spec)
        self._offset = 1.0 if type(self._pipe).__name__.startswith(FROM_ZERO) else 0.0
        self._watch = _Watch(self._pipe.scheduler, self._core)
        self.can = ability(
            spec,
            sampler=type(self._pipe.scheduler).__name__.removesuffix("Scheduler"),
            steps=self._usual("num_inference_steps", 50),
            guidance=self._usual("guidance_scale", 1.0 - self._offset) + self._offset,
            edge=self._usual_edge(),
            multiple=self._multiple(),
            negative_prompts="negative_prompt" in self._parameters and "true_cfg_scale" not in self._parameters,
            starts=self._from_picture is not None,
        )
        if self.can.guidance_rescale and "guidance_rescale" not in self._parameters:
            kind = type(self._pipe).__name__
            raise Misconfigured(f"The option guidance_rescale of {spec.name} means nothing to a {kind}; leave it out.")

    def able(self, *, starts: bool) -> Capabilities:
        """What it can for a picture that starts from another (`starts`), or from noise alone."""
        pipe = self._from_picture if starts else self._pipe
        known = inspect.signature(type(pipe).__call__).parameters
        return self.can if "guidance_rescale" in known else replace(self.can, guidance_rescale=0.0)

    def reading(self, text: str) -> EncodedPrompt:
        """What the text encoder that reads most sees of `text`."""
        names = ("tokenizer", "tokenizer_2", "tokenizer_3")
        found = [tokenizer for name in names if (tokenizer := getattr(self._pipe, name, None)) is not None]
        if not found:
            return EncodedPrompt((), (), 0)
        longest = max(found, key=self._limit)
        return read(longest, text, self._limit(longest))

    def call(
        self, tasks: Sequence[Imagine], starts: Sequence[Image.Image], pause: Callable[[StepState], None]
    ) -> list[Image.Image]:
        """The pictures of tasks that differ in prompts and seeds alone, and in `starts`, one for each or none at all.

        `pause` hears of each step.
        """
        [first, *_] = tasks
        steps = first.steps or 1
        wanted: dict[str, Any] = {
            "prompt": [task.prompt for task in tasks],
            "num_inference_steps": steps,
            "guidance_scale": max(0.0, (first.guidance or 0.0) - self._offset),
            "guidance_rescale": self.can.guidance_rescale,
            "width": first.width,
            "height": first.height,
            "generator": [seeded(task.seed) for task in tasks],
            # Some would draw another size and bring it to the one that is asked for.
            "use_resolution_binning": False,
            CALLBACK: self._watch.callback(pause),
        }
        if first.negative_prompt:
            wanted["negative_prompt"] = [task.negative_prompt for task in tasks]
        pipe = self._pipe
        if starts:
            pipe = self._from_picture
            wanted["image"] = list(starts)
            # Less than one step would be none.
            wanted["strength"] = min(1.0, max(first.strength, (1 + 1e-6) / steps))
        known = inspect.signature(pipe.__call__).parameters
        try:
            return list(pipe(**{name: value for name, value in wanted.items() if name in known}).images)
        except Exception:
            # Only a call that comes to its end brings back by itself what it brought to the graphics card.
            pipe.maybe_free_model_hooks()
            raise

    def guided_by(self, pictures: int) -> GuidedBy:
        """What led the steps of the last call, which was one for so many pictures."""
        if self._watch.rows > pictures:
            return "comparison"
        return "input" if self._watch.told else "prompt"

    @torch.no_grad()
    def decode(self, latents: torch.Tensor, width: int, height: int) -> list[Image.Image]:
        """Pictures of latents as they are inside a call for pictures of so many pixels."""
        pipe, vae = self._pipe, self._pipe.vae
        if latents.ndim == 3:
            latents = pipe._unpack_latents(latents, height, width, pipe.vae_scale_factor)
        scaled = _unscaled(latents.float(), vae.config)
        narrow = vae.dtype == torch.float16 and vae.config.get("force_upcast")
        if narrow:
            vae.to(torch.float32)
        values = vae.decode(scaled.to(vae.dtype), return_dict=False)[0]
        if narrow:
            vae.to(torch.float16)
        pictures: list[Image.Image] = pipe.image_processor.postprocess(values.float(), output_type="pil")
        return pictures

    def try_out(self) -> None:
        """Draw a picture, and find out whether steps can be shown: the last latents must be decoded to that picture.

        Each family scales and packs its latents in its own way, and only a look tells whether it is a known one.
        """
        moments: list[StepState] = []
        can = self.can
        trial = Imagine(prompt="", seed=0, steps=TRIAL_STEPS, guidance=can.guidance, width=can.width, height=can.height)
        [picture] = self.call([trial], [], moments.append)
        if getattr(self._pipe, "safety_checker", None) is not None:
            log.info("%s: no previews, strips and animations, as its safety checker looks at pictures alone.", can.name)
            self.can = replace(can, shows=False)
            return
        try:
            [decoded] = self.decode(moments[-1].noisy, can.width, can.height)
            shows = _difference(picture, decoded) < ALIKE
        except Exception as error:  # noqa: BLE001 - whatever goes wrong there, pictures are drawn without it
            log.info("%s: %s", can.name, error)
            shows = False
        if not shows:
            log.warning("%s: its steps cannot be shown, so there are no previews, strips and animations.", can.name)
        self.can = replace(can, shows=shows)

    @property
    def _core(self) -> Any:
        return getattr(self._pipe, "unet", None) or self._pipe.transformer

    def _usual(self, name: str, otherwise: float) -> Any:
        parameter = self._parameters.get(name)
        known = parameter is not None and isinstance(parameter.default, int | float)
        return parameter.default if known and parameter else otherwise

    def _usual_edge(self) -> int:
        if edge := self._usual("height", 0):
            return int(edge)
        size = getattr(self._pipe, "default_sample_size", None) or self._core.config.get("sample_size")
        size = size[0] if isinstance(size, list | tuple) else size
        return int(size * self._pipe.vae_scale_factor) if size else USUAL_EDGE

    def _multiple(self) -> int:
        """Transformers see latents in squares of two by two."""
        scale = int(getattr(self._pipe, "vae_scale_factor", 8))
        return max(8, scale) if getattr(self._pipe, "unet", None) is not None else 2 * scale

    def _limit(self, tokenizer: Any) -> int:
        most = self._usual("max_sequence_length", tokenizer.model_max_length)
        return int(min(most, tokenizer.model_max_length))


class _Watch:
    """Looks over the shoulders of scheduler and network while their pipeline is called, for what no callback is told.

    `rows` is how many guesses the network made for the first step, `told` whether it was told the guidance.
    """

    def __init__(self, scheduler: Any, network: Any) -> None:
        self.rows, self.told = 0, False
        network.register_forward_pre_hook(self._read, with_kwargs=True)
        self._scheduler = scheduler
        self._take = scheduler.step
        self._start: torch.Tensor | None = None
        self._clean: torch.Tensor | None = None

        # Pipelines read from its signature what a scheduler's step can be given.
        @functools.wraps(scheduler.step)
        def step(*given: Any, **named: Any) -> Any:
            return self._step(*given, **named)

        scheduler.step = step

    def callback(self, pause: Callable[[StepState], None]) -> Callable[..., dict[str, Any]]:
        """What a pipeline calls after each step of one call."""
        self._start = self._clean = None
        self.rows, self.told = 0, False

        def after(pipe: Any, index: int, _: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            noisy = self._seen(tensors["latents"])
            pause(StepState(index + 1, pipe.num_timesteps, noisy, self._clean, self._start))
            return tensors

        return after

    def _read(self, _: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        if self._start is None:
            # What it guesses about comes first in all of them: a row for each guess.
            self.rows += len(next(iter((*given, *named.values()))))
            self.told |= any(named.get(name) is not None for name in GUIDANCE_INPUTS)

    def _step(self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, *rest: Any, **more: Any) -> Any:
        whole = more.pop("return_dict", True)
        made = self._take(model_output, timestep, sample, *rest, **more, return_dict=True)
        if self._start is None:
            self._start = self._seen(sample, before=True)
        self._clean = self._expected(made, model_output, sample)
        return made if whole else made.to_tuple()

    def _seen(self, latents: torch.Tensor, *, before: bool = False) -> torch.Tensor:
        """Latents as the network sees them: some schedulers keep them with noise that is many times as strong."""
        if float(getattr(self._scheduler, "init_noise_sigma", 1.0)) <= 1.0:
            return latents
        sigma = self._scheduler.sigmas[self._scheduler.step_index - (1 if before else 0)]
        scaled: torch.Tensor = latents / (sigma**2 + 1) ** 0.5
        return scaled

    def _expected(self, made: Any, output: torch.Tensor, sample: torch.Tensor) -> torch.Tensor | None:
        """The clean latents that a step led towards, where the scheduler has a way to tell them."""
        for name in ("pred_original_sample", "denoised"):
            if isinstance(clean := getattr(made, name, None), torch.Tensor):
                return clean
        scheduler, kind = self._scheduler, type(self._scheduler).__name__
        expected: torch.Tensor | None = None
        if kind == "FlowMatchEulerDiscreteScheduler":
            expected = sample.float() - scheduler.sigmas[scheduler.step_index - 1] * output.float()
        elif kind in {"DPMSolverMultistepScheduler", "UniPCMultistepScheduler"}:
            solves_for_it = scheduler.config.get("algorithm_type", "dpmsolver++").endswith("++")
            if solves_for_it and scheduler.config.get("predict_x0", True):
                expected = scheduler.model_outputs[-1]
        return expected


def _open(spec: EngineSpec) -> Any:
    device = pick_device(spec.device)
    offload = str(spec.options.get("offload", "none"))
    if offload != "none" and device.type != "cuda":
        raise Misconfigured(f"The option offload of {spec.name} needs a graphics card; leave it out on a processor.")
    variant = {"variant": str(spec.options["variant"])} if "variant" in spec.options else {}
    pipe: Any = DiffusionPipeline.from_pretrained(
        spec.folder, dtype=pick_dtype(spec.dtype, device), local_files_only=True, **variant
    )
    pipe.set_progress_bar_config(disable=True)
    match offload:
        case "model":
            pipe.enable_model_cpu_offload(device=device)
        case "sequential":
            pipe.enable_sequential_cpu_offload(device=device)
        case _:
            pipe.to(device)
    if spec.options.get("slicing"):
        pipe.vae.enable_slicing()
    if spec.options.get("tiling"):
        pipe.vae.enable_tiling()
    return pipe


def _image_to_image(pipe: Any, spec: EngineSpec) -> Any | None:
    """The pipeline of the same parts that starts from a picture, where there is one."""
    # Sharing would take away what brings the parts to the graphics card.
    if spec.options.get("offload", "none") != "none":
        return None
    try:
        made = AutoPipelineForImage2Image.from_pipe(pipe)
    except ValueError:
        return None
    made.set_progress_bar_config(disable=True)
    return made


def _unscaled(latents: torch.Tensor, config: Any) -> torch.Tensor:
    """Latents (N × C × H × W) as the autoencoder made them."""
    factor: float = config.scaling_factor
    mean, deviation = config.get("latents_mean"), config.get("latents_std")
    if mean is None or deviation is None:
        return latents / factor + (config.get("shift_factor") or 0)
    means, deviations = (torch.tensor(values, device=latents.device).view(1, -1, 1, 1) for values in (mean, deviation))
    return latents * deviations / factor + means


def _difference(one: Image.Image, other: Image.Image) -> float:
    first, second = (np.asarray(picture.convert("RGB")).astype(np.int16) for picture in (one, other))
    return float(np.abs(first - second).mean()) if first.shape == second.shape else 255.0
