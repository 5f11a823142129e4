"""The solver, compared with that of diffusers, and for pictures at different steps."""

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler

from model_server.engines.diffusion.solver import Solver, advance

COSINE = {
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "clip_sample": False,
}
LINEAR = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def network(noisy: torch.Tensor, timestep: int) -> torch.Tensor:
    """A smooth function of both, in place of a network."""
    return torch.tanh(noisy * 0.7 + timestep / 1000)


def solved(solver: Solver, steps: int, noisy: torch.Tensor) -> torch.Tensor:
    before: list[torch.Tensor | None] = [None]
    for solver_step in solver.schedule(steps):
        noisy, clean = advance([solver_step], noisy, network(noisy, solver_step.timestep), before)
        before = [clean[0]]
    return noisy


@pytest.mark.parametrize("steps", [1, 2, 7, 30])
@pytest.mark.parametrize(
    "config", [COSINE, LINEAR, LINEAR | {"use_karras_sigmas": True}, COSINE | {"prediction_type": "sample"}], ids=str
)
def test_the_solver_computes_what_diffusers_computes(config: dict[str, Any], steps: int) -> None:
    theirs = DPMSolverMultistepScheduler(
        **{name: value for name, value in config.items() if name != "clip_sample"}, final_sigmas_type="zero"
    )
    theirs.set_timesteps(steps)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    expected = noise
    for timestep in theirs.timesteps:
        expected = theirs.step(network(expected, int(timestep)), timestep, expected, return_dict=False)[0]
    torch.testing.assert_close(solved(Solver(config), steps, noise), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", [DDIMScheduler, EulerDiscreteScheduler])
def test_configurations_of_other_schedulers_are_understood(kind: type) -> None:
    schedule = Solver(dict(kind(**LINEAR).config)).schedule(5)
    assert [solver_step.timestep for solver_step in schedule] == sorted(
        (solver_step.timestep for solver_step in schedule), reverse=True
    )
    assert all(solver_step.alpha**2 + solver_step.sigma**2 == pytest.approx(1) for solver_step in schedule)


def test_the_first_step_begins_with_noise_alone_and_the_last_ends_with_the_picture() -> None:
    schedule = Solver(COSINE).schedule(30)
    assert (schedule[0].timestep, len(schedule)) == (999, 30)
    assert schedule[0].alpha < 1e-3
    assert (schedule[-1].noisy_weight, schedule[-1].clean_weight, schedule[-1].previous_weight) == (0, 1, 0)


@pytest.mark.parametrize("steps", [1, 29, 61, 122, 150])
def test_a_schedule_has_the_requested_number_of_steps(steps: int) -> None:
    schedule = Solver(COSINE).schedule(steps)
    assert len({solver_step.timestep for solver_step in schedule}) == len(schedule) == steps
    assert schedule[-1].timestep >= 0


def test_pictures_at_different_steps_can_be_advanced_together() -> None:
    solver = Solver(COSINE)
    schedule = [solver.schedule(30)[12], solver.schedule(5)[0], solver.schedule(8)[7]]
    generator = torch.Generator().manual_seed(1)
    noisy, output, past = torch.randn(3, 3, 4, 8, 8, generator=generator)
    before = [past[0], None, past[2]]
    together = advance(schedule, noisy, output, before)
    for place in range(3):
        row = slice(place, place + 1)
        alone = advance(schedule[row], noisy[row], output[row], before[row])
        assert torch.equal(alone[0], together[0][row])
        assert torch.equal(alone[1], together[1][row])


@pytest.mark.parametrize(("strength", "start"), [(1.0, 0), (0.6, 12), (0.5, 15), (0.01, 29)])
def test_the_strength_decides_the_first_step(strength: float, start: int) -> None:
    assert Solver(COSINE).find_first_step(30, strength) == start


def test_the_first_step_of_a_variation_is_of_first_order() -> None:
    solver_step = Solver(COSINE).schedule(30)[12]
    noisy, output = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    after, clean = advance([solver_step], noisy, output, [None])
    torch.testing.assert_close(
        after, solver_step.noisy_weight * noisy + (solver_step.clean_weight + solver_step.previous_weight) * clean
    )
