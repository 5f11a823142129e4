"""Any text-to-image pipeline of diffusers: its capabilities, one call of it, and its latents after each step."""

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
from model_server.engines.common.seeding import make_generator
from model_server.engines.contract import Misconfigured
from model_server.engines.diffusion.request import (
    TOKENIZERS,
    add_style,
    encode_prompt,
    make_capabilities,
    read_special_names_as_text,
)
from model_server.jobs import EncodedPrompt, Imagine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL import Image

    from model_server.engines.contract import EngineSpec
    from model_server.engines.diffusion.request import Capabilities
    from model_server.jobs import GuidedBy

log = logging.getLogger(__name__)

TRIAL_STEPS = 2
DEFAULT_EDGE_PIXELS = 1024
MAX_DIFFERENCE = 2.0
"""The largest mean difference of channels, from 0 to 255, at which two pictures count as the same."""
CALLBACK = "callback_on_step_end"
GUIDANCE_INPUTS = ("guidance", "timestep_cond")
"""Names of the input of distilled networks that read the guidance as a number; other networks predict twice for it."""
ZERO_BASED_GUIDANCE = ("ZImage", "Krea2", "Kandinsky3")
"""Pipelines in which guidance 0 means the prediction with the prompt alone, as 1 does in all others."""


@dataclass(frozen=True, slots=True)
class StepState:
    """The latents of a call after `step` of its `steps`, one row for each picture.

    `noisy`: now. `clean`: the clean latents that the step predicted, None where the scheduler does not tell them.
    `initial`: before the first step.
    """

    step: int
    steps: int
    noisy: torch.Tensor
    clean: torch.Tensor | None
    initial: torch.Tensor | None


class Pipeline:
    """The pipeline in `spec.folder`.

    Options: `variant` of the files; `offload`, which is "model" or "sequential", to move the pipeline to the graphics
    card part by part; `slicing` and `tiling`, to decode pictures one by one, or in tiles; and those of
    `request.make_capabilities`.
    """

    def __init__(self, spec: EngineSpec) -> None:
        self._pipe = _open_pipeline(spec)
        self._parameters = inspect.signature(self._pipe.__call__).parameters
        self._image_to_image = _open_image_to_image(self._pipe, spec)
        self._guidance_offset = 1.0 if type(self._pipe).__name__.startswith(ZERO_BASED_GUIDANCE) else 0.0
        self._observer = _CallObserver(self._pipe.scheduler, self._denoiser)
        self.capabilities = make_capabilities(
            spec,
            sampler=type(self._pipe.scheduler).__name__.removesuffix("Scheduler"),
            steps=self._default_of("num_inference_steps", 50),
            guidance=self._default_of("guidance_scale", 1.0 - self._guidance_offset) + self._guidance_offset,
            edge=self._default_edge(),
            multiple=self._size_multiple(),
            negative_prompts="negative_prompt" in self._parameters and "true_cfg_scale" not in self._parameters,
            can_start_from_picture=self._image_to_image is not None,
        )
        if self.capabilities.guidance_interval != (0.0, 1.0):
            raise Misconfigured(f"Only a plain Stable Diffusion has guidance_start and guidance_stop, not {spec.name}.")
        if self.capabilities.draws_parts:
            raise Misconfigured(f"Only a plain Stable Diffusion draws in parts, not {spec.name}; leave the option out.")
        if self.capabilities.guidance_rescale and "guidance_rescale" not in self._parameters:
            kind = type(self._pipe).__name__
            raise Misconfigured(f"The option guidance_rescale of {spec.name} means nothing to a {kind}; leave it out.")

    def capabilities_for(self, *, has_initial: bool) -> Capabilities:
        """Return the capabilities for a picture that starts from another one (`has_initial`), or from noise."""
        pipe = self._image_to_image if has_initial else self._pipe
        known = inspect.signature(type(pipe).__call__).parameters
        return self.capabilities if "guidance_rescale" in known else replace(self.capabilities, guidance_rescale=0.0)

    def encode_prompt(self, text: str) -> EncodedPrompt:
        """Return the tokens of `text` that the text encoder with the highest limit reads."""
        found = [tokenizer for name in TOKENIZERS if (tokenizer := getattr(self._pipe, name, None)) is not None]
        if not found:
            return EncodedPrompt((), (), 0)
        longest = max(found, key=self._token_limit)
        return encode_prompt(longest, text, self._token_limit(longest))

    def call(
        self, tasks: Sequence[Imagine], initial_pictures: Sequence[Image.Image], on_step: Callable[[StepState], None]
    ) -> list[Image.Image]:
        """Draw one picture for each task. The tasks may differ in their prompts and seeds alone.

        `initial_pictures`: the picture that each task starts from, or none. `on_step` is called after each step.
        """
        [first, *_] = tasks
        steps = first.steps or 1
        wanted: dict[str, Any] = {
            "prompt": [add_style(task, self.capabilities.styles) for task in tasks],
            "num_inference_steps": steps,
            "guidance_scale": max(0.0, (first.guidance or 0.0) - self._guidance_offset),
            "guidance_rescale": self.capabilities.guidance_rescale,
            "width": first.width,
            "height": first.height,
            "generator": [make_generator(task.seed) for task in tasks],
            # Some pipelines would draw another size, and resize the picture.
            "use_resolution_binning": False,
            CALLBACK: self._observer.make_callback(on_step),
        }
        if first.negative_prompt:
            wanted["negative_prompt"] = [task.negative_prompt for task in tasks]
        pipe = self._pipe
        if initial_pictures:
            pipe = self._image_to_image
            wanted["image"] = list(initial_pictures)
            # Below 1 / steps the pipeline would take no step.
            wanted["strength"] = min(1.0, max(first.strength, (1 + 1e-6) / steps))
        known = inspect.signature(pipe.__call__).parameters
        try:
            return list(pipe(**{name: value for name, value in wanted.items() if name in known}).images)
        except Exception:
            # Only a call that ends normally moves its parts back from the graphics card by itself.
            pipe.maybe_free_model_hooks()
            raise

    def guided_by(self, pictures: int) -> GuidedBy:
        """Return what guided the steps of the last call, which drew `pictures` pictures."""
        if self._observer.prediction_rows > pictures:
            return "comparison"
        return "input" if self._observer.has_guidance_input else "prompt"

    @torch.no_grad()
    def decode(self, latents: torch.Tensor, width: int, height: int) -> list[Image.Image]:
        """Decode latents, scaled and packed as in a call for pictures of `width` × `height` pixels."""
        pipe, vae = self._pipe, self._pipe.vae
        if latents.ndim == 3:
            latents = pipe._unpack_latents(latents, height, width, pipe.vae_scale_factor)
        scaled = _unscale(latents.float(), vae.config)
        upcast = vae.dtype == torch.float16 and vae.config.get("force_upcast")
        if upcast:
            vae.to(torch.float32)
        values = vae.decode(scaled.to(vae.dtype), return_dict=False)[0]
        if upcast:
            vae.to(torch.float16)
        pictures: list[Image.Image] = pipe.image_processor.postprocess(values.float(), output_type="pil")
        return pictures

    def run_trial(self) -> None:
        """Draw a picture to find out whether steps can be shown: decoding the last latents must give that picture.

        Each family of pipelines scales and packs latents in its own way; only a trial tells whether `decode` knows it.
        """
        states: list[StepState] = []
        capabilities = self.capabilities
        trial = Imagine(
            prompt="",
            seed=0,
            steps=TRIAL_STEPS,
            guidance=capabilities.guidance,
            width=capabilities.width,
            height=capabilities.height,
        )
        [picture] = self.call([trial], [], states.append)
        if getattr(self._pipe, "safety_checker", None) is not None:
            log.info(
                "%s: no previews, strips and animations, because its safety checker reads only finished pictures.",
                capabilities.name,
            )
            self.capabilities = replace(capabilities, can_show_steps=False)
            return
        try:
            [decoded] = self.decode(states[-1].noisy, capabilities.width, capabilities.height)
            can_show_steps = _mean_difference(picture, decoded) < MAX_DIFFERENCE
        except Exception as error:  # noqa: BLE001 - pictures can be drawn without showing steps
            log.info("%s: its latents cannot be decoded: %s", capabilities.name, error)
            can_show_steps = False
        if not can_show_steps:
            log.warning(
                "%s: there are no previews, strips and animations, because its latents cannot be decoded correctly.",
                capabilities.name,
            )
        self.capabilities = replace(capabilities, can_show_steps=can_show_steps)

    @property
    def _denoiser(self) -> Any:
        return getattr(self._pipe, "unet", None) or self._pipe.transformer

    def _default_of(self, name: str, fallback: float) -> Any:
        parameter = self._parameters.get(name)
        known = parameter is not None and isinstance(parameter.default, int | float)
        return parameter.default if known and parameter else fallback

    def _default_edge(self) -> int:
        if edge := self._default_of("height", 0):
            return int(edge)
        size = getattr(self._pipe, "default_sample_size", None) or self._denoiser.config.get("sample_size")
        size = size[0] if isinstance(size, list | tuple) else size
        return int(size * self._pipe.vae_scale_factor) if size else DEFAULT_EDGE_PIXELS

    def _size_multiple(self) -> int:
        """Return the multiple that sides must have; transformers read latents in patches of two by two."""
        scale = int(getattr(self._pipe, "vae_scale_factor", 8))
        return max(8, scale) if getattr(self._pipe, "unet", None) is not None else 2 * scale

    def _token_limit(self, tokenizer: Any) -> int:
        limit = self._default_of("max_sequence_length", tokenizer.model_max_length)
        return int(min(limit, tokenizer.model_max_length))


class _CallObserver:
    """Observes scheduler and network during a call, for what the pipeline does not tell its callback.

    `prediction_rows`: the rows that the network predicted for the first step. `has_guidance_input`: whether it read the
    guidance as a number.
    """

    def __init__(self, scheduler: Any, network: Any) -> None:
        self.prediction_rows, self.has_guidance_input = 0, False
        network.register_forward_pre_hook(self._count_predictions, with_kwargs=True)
        self._scheduler = scheduler
        self._original_step = scheduler.step
        self._start_latents: torch.Tensor | None = None
        self._clean_latents: torch.Tensor | None = None

        # `wraps`, because pipelines read from the signature which arguments a scheduler's step takes.
        @functools.wraps(scheduler.step)
        def step(*args: Any, **kwargs: Any) -> Any:
            return self._step(*args, **kwargs)

        scheduler.step = step

    def make_callback(self, on_step: Callable[[StepState], None]) -> Callable[..., dict[str, Any]]:
        """Return the callback for one call, which the pipeline calls after each step."""
        self._start_latents = self._clean_latents = None
        self.prediction_rows, self.has_guidance_input = 0, False

        def after(pipe: Any, index: int, _: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            noisy = self._scale_as_input(tensors["latents"])
            on_step(StepState(index + 1, pipe.num_timesteps, noisy, self._clean_latents, self._start_latents))
            return tensors

        return after

    def _count_predictions(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._start_latents is None:
            # The first input of every network is the latents, with one row for each prediction.
            self.prediction_rows += len(next(iter((*args, *kwargs.values()))))
            self.has_guidance_input |= any(kwargs.get(name) is not None for name in GUIDANCE_INPUTS)

    def _step(self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, *rest: Any, **more: Any) -> Any:
        as_object = more.pop("return_dict", True)
        result = self._original_step(model_output, timestep, sample, *rest, **more, return_dict=True)
        if self._start_latents is None:
            self._start_latents = self._scale_as_input(sample, before=True)
        self._clean_latents = self._find_clean(result, model_output, sample)
        return result if as_object else result.to_tuple()

    def _scale_as_input(self, latents: torch.Tensor, *, before: bool = False) -> torch.Tensor:
        """Scale latents as the network reads them: some schedulers keep them with much stronger noise."""
        if float(getattr(self._scheduler, "init_noise_sigma", 1.0)) <= 1.0:
            return latents
        sigma = self._scheduler.sigmas[self._scheduler.step_index - (1 if before else 0)]
        scaled: torch.Tensor = latents / (sigma**2 + 1) ** 0.5
        return scaled

    def _find_clean(self, result: Any, output: torch.Tensor, sample: torch.Tensor) -> torch.Tensor | None:
        """Return the clean latents that a step predicted, None where the scheduler does not tell them."""
        for name in ("pred_original_sample", "denoised"):
            if isinstance(clean := getattr(result, name, None), torch.Tensor):
                return clean
        scheduler, kind = self._scheduler, type(self._scheduler).__name__
        expected: torch.Tensor | None = None
        if kind == "FlowMatchEulerDiscreteScheduler":
            expected = sample.float() - scheduler.sigmas[scheduler.step_index - 1] * output.float()
        elif kind in {"DPMSolverMultistepScheduler", "UniPCMultistepScheduler"}:
            predicts_clean = scheduler.config.get("algorithm_type", "dpmsolver++").endswith("++")
            if predicts_clean and scheduler.config.get("predict_x0", True):
                expected = scheduler.model_outputs[-1]
        return expected


def _open_pipeline(spec: EngineSpec) -> Any:
    device = pick_device(spec.device)
    offload = str(spec.options.get("offload", "none"))
    if offload != "none" and device.type != "cuda":
        raise Misconfigured(f"The option offload of {spec.name} needs a graphics card; leave it out on a processor.")
    variant = {"variant": str(spec.options["variant"])} if "variant" in spec.options else {}
    pipe: Any = DiffusionPipeline.from_pretrained(
        spec.folder, dtype=pick_dtype(spec.dtype, device), local_files_only=True, **variant
    )
    pipe.set_progress_bar_config(disable=True)
    read_special_names_as_text(pipe)
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


def _open_image_to_image(pipe: Any, spec: EngineSpec) -> Any | None:
    """Return the pipeline of the same parts that starts from a picture, None if there is none."""
    # Sharing the parts would remove the hooks that move them to the graphics card.
    if spec.options.get("offload", "none") != "none":
        return None
    try:
        result = AutoPipelineForImage2Image.from_pipe(pipe)
    except ValueError:
        return None
    result.set_progress_bar_config(disable=True)
    return result


def _unscale(latents: torch.Tensor, config: Any) -> torch.Tensor:
    """Return latents (N × C × H × W) on the scale of the autoencoder."""
    factor: float = config.scaling_factor
    mean, deviation = config.get("latents_mean"), config.get("latents_std")
    if mean is None or deviation is None:
        return latents / factor + (config.get("shift_factor") or 0)
    means, deviations = (torch.tensor(values, device=latents.device).view(1, -1, 1, 1) for values in (mean, deviation))
    return latents * deviations / factor + means


def _mean_difference(one: Image.Image, other: Image.Image) -> float:
    first, second = (np.asarray(picture.convert("RGB")).astype(np.int16) for picture in (one, other))
    return float(np.abs(first - second).mean()) if first.shape == second.shape else 255.0
