"""How a picture comes out of noise: DPM-Solver++(2M), Lu et al., arXiv 2211.01095, algorithm 2.

Of the second order with one evaluation of the network per step, and with no noise of its own: twenty to thirty steps
show what DDIM (the first order of the same) needs some fifty for, and the seed decides the picture. It computes with
the predicted clean picture, which is what previews show.
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
"""Configurations that say nothing but how noise was added, so that this solver may take it away."""
PREDICTIONS = {"epsilon", "v_prediction", "sample"}


@dataclass(frozen=True, slots=True)
class Move:
    """One step of one picture. What it begins with is `alpha` parts picture and `sigma` parts noise.

    clean = `of_noisy` * noisy + `of_output` * output of the network;
    next noisy = `keep` * noisy + `new` * clean + `old` * the clean one of the step before.
    """

    timestep: int
    alpha: float
    sigma: float
    of_noisy: float
    of_output: float
    keep: float
    new: float
    old: float


class Solver:
    """The moves of any number of steps. Holds no state of a picture: each has its own place among its own moves."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """`config` is that of the scheduler that the network comes with, which says how it was trained."""
        wanted = {"algorithm_type": "dpmsolver++", "final_sigmas_type": "zero"}
        known = inspect.signature(DPMSolverMultistepScheduler).parameters
        self._config = {name: value for name, value in config.items() if name in known} | wanted
        self._prediction = str(config.get("prediction_type", "epsilon"))
        self.moves = lru_cache(maxsize=64)(self._moves)
        """`moves(steps)`: all steps from noise to picture."""

    def start(self, steps: int, strength: float) -> int:
        """The move at which a picture begins that is changed by `strength` in (0, 1] instead of made from noise."""
        return steps - max(1, min(steps, int(steps * strength)))

    def _moves(self, steps: int) -> tuple[Move, ...]:
        scheduler = DPMSolverMultistepScheduler(**self._config)
        scheduler.set_timesteps(steps)
        # For some numbers, 61 among them, diffusers rounds its way to one step more, after the last.
        ratios = [*(float(sigma) for sigma in scheduler.sigmas[:steps]), 0.0]
        timesteps = scheduler.timesteps[:steps].tolist()
        return tuple(self._move(timestep, ratios, place) for place, timestep in enumerate(timesteps))

    def _move(self, timestep: int, ratios: Sequence[float], place: int) -> Move:
        """Move number `place`; `ratios` are those of sigma to alpha, before each move and after the last."""
        alpha, sigma = _parts(ratios[place])
        next_alpha, next_sigma = _parts(ratios[place + 1])
        known = (timestep, alpha, sigma, *self._clean(alpha, sigma))
        if next_sigma == 0:
            return Move(*known, keep=0.0, new=1.0, old=0.0)
        # The paper's h: how much lambda = log(alpha / sigma) grows in this step.
        growth = math.log(ratios[place] / ratios[place + 1])
        weight = -next_alpha * math.expm1(-growth)
        beyond = growth / (2 * math.log(ratios[place - 1] / ratios[place])) if place else 0.0
        return Move(*known, keep=next_sigma / sigma, new=weight * (1 + beyond), old=-weight * beyond)

    def _clean(self, alpha: float, sigma: float) -> tuple[float, float]:
        match self._prediction:
            case "v_prediction":
                return alpha, -sigma
            case "sample":
                return 0.0, 1.0
            case _:
                return 1 / alpha, -sigma / alpha


def advance(
    moves: Sequence[Move], noisy: torch.Tensor, output: torch.Tensor, before: Sequence[torch.Tensor | None]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The next noisy and the clean latents (N × C × H × W, float32) after one move of each of N pictures.

    `output` is what the network said of `noisy`, `before` the clean ones of the step before, None at the first.
    """
    rows = [(move.of_noisy, move.of_output, move.keep, move.new, move.old) for move in moves]
    factors = torch.tensor(rows, device=noisy.device)[:, :, None, None, None]
    of_noisy, of_output, keep, new, old = factors.unbind(1)
    clean = of_noisy * noisy + of_output * output
    # At its first move a picture has no past, and with itself in its place the step is one of the first order.
    past = torch.stack([own if last is None else last for own, last in zip(clean, before, strict=True)])
    return keep * noisy + new * clean + old * past, clean


def _parts(ratio: float) -> tuple[float, float]:
    """Alpha and sigma, whose squares add to 1, where sigma is `ratio` times alpha."""
    alpha = 1 / math.sqrt(1 + ratio * ratio)
    return alpha, ratio * alpha
