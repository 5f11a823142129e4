"""The solver DPM-Solver++(2M), which turns noise into a picture: Lu et al., arXiv 2211.01095, algorithm 2.

It is of second order, evaluates the network once per step, and adds no noise. Twenty to thirty steps reach what DDIM,
its first-order version, reaches in about fifty; and the seed alone decides the picture. It computes with the predicted
clean latents, which previews show.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DPMSolverMultistepScheduler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME = "DPM-Solver++ 2M"
SCHEDULERS = {
    "DDIMScheduler",
    "PNDMScheduler",
    "EulerDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "UniPCMultistepScheduler",
}
"""Schedulers whose configuration only says how noise was added, so that this solver can be used instead of them."""
PREDICTIONS = {"epsilon", "v_prediction", "sample"}
"""Types of output of the network that the solver understands."""


@dataclass(frozen=True, slots=True)
class SolverStep:
    """The factors of one step. Before it, noisy latents are `alpha` times the picture plus `sigma` times the noise.

    clean = `clean_from_noisy` * noisy + `clean_from_output` * output of the network;
    next noisy = `noisy_weight` * noisy + `clean_weight` * clean + `previous_weight` * clean of the previous step.
    """

    timestep: int
    alpha: float
    sigma: float
    clean_from_noisy: float
    clean_from_output: float
    noisy_weight: float
    clean_weight: float
    previous_weight: float


class Solver:
    """Computes the schedule for any number of steps. It holds no state of pictures."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """`config`: the configuration of the network's own scheduler, which says how the network was trained."""
        wanted = {"algorithm_type": "dpmsolver++", "final_sigmas_type": "zero"}
        known = inspect.signature(DPMSolverMultistepScheduler).parameters
        self._config = {name: value for name, value in config.items() if name in known} | wanted
        self._prediction = str(config.get("prediction_type", "epsilon"))
        self.schedule = lru_cache(maxsize=64)(self._make_schedule)
        """`schedule(n)`: the n steps from noise to a picture."""

    def find_first_step(self, steps: int, strength: float) -> int:
        """Return the index of the first step for a picture that starts from another with a `strength` in (0, 1]."""
        return steps - max(1, min(steps, int(steps * strength)))

    def _make_schedule(self, steps: int) -> tuple[SolverStep, ...]:
        scheduler = DPMSolverMultistepScheduler(**self._config)
        scheduler.set_timesteps(steps)
        # For some numbers, such as 61, rounding in diffusers adds one step after the last.
        ratios = [*(float(sigma) for sigma in scheduler.sigmas[:steps]), 0.0]
        timesteps = scheduler.timesteps[:steps].tolist()
        return tuple(self._make_step(timestep, ratios, place) for place, timestep in enumerate(timesteps))

    def _make_step(self, timestep: int, ratios: Sequence[float], place: int) -> SolverStep:
        """Return step number `place`. `ratios`: sigma / alpha before each step and after the last."""
        alpha, sigma = _alpha_and_sigma(ratios[place])
        next_alpha, next_sigma = _alpha_and_sigma(ratios[place + 1])
        known = (timestep, alpha, sigma, *self._clean_factors(alpha, sigma))
        if next_sigma == 0:
            return SolverStep(*known, noisy_weight=0.0, clean_weight=1.0, previous_weight=0.0)
        # h in the paper: the growth of lambda = log(alpha / sigma) in this step.
        growth = math.log(ratios[place] / ratios[place + 1])
        weight = -next_alpha * math.expm1(-growth)
        extrapolation = growth / (2 * math.log(ratios[place - 1] / ratios[place])) if place else 0.0
        return SolverStep(
            *known,
            noisy_weight=next_sigma / sigma,
            clean_weight=weight * (1 + extrapolation),
            previous_weight=-weight * extrapolation,
        )

    def _clean_factors(self, alpha: float, sigma: float) -> tuple[float, float]:
        match self._prediction:
            case "v_prediction":
                return alpha, -sigma
            case "sample":
                return 0.0, 1.0
            case _:
                return 1 / alpha, -sigma / alpha


def advance(
    steps: Sequence[SolverStep],
    noisy: torch.Tensor,
    output: torch.Tensor,
    previous_clean: Sequence[torch.Tensor | None],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the noisy and the clean latents (N × C × H × W, float32) of N pictures after one step of each.

    `output`: the network's output for `noisy`. `previous_clean`: the clean latents of each picture's previous step,
    None at its first.
    """
    rows = [
        (step.clean_from_noisy, step.clean_from_output, step.noisy_weight, step.clean_weight, step.previous_weight)
        for step in steps
    ]
    factors = torch.tensor(rows, device=noisy.device)[:, :, None, None, None]
    clean_from_noisy, clean_from_output, noisy_weight, clean_weight, previous_weight = factors.unbind(1)
    clean = clean_from_noisy * noisy + clean_from_output * output
    # At the first step the clean latents stand in for the previous ones, which makes the step one of first order.
    previous = torch.stack([own if last is None else last for own, last in zip(clean, previous_clean, strict=True)])
    return noisy_weight * noisy + clean_weight * clean + previous_weight * previous, clean


def _alpha_and_sigma(ratio: float) -> tuple[float, float]:
    """Return alpha and sigma = `ratio` * alpha whose squares add up to 1."""
    alpha = 1 / math.sqrt(1 + ratio * ratio)
    return alpha, ratio * alpha
