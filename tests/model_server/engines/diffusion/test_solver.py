"""The solver beside diffusers' own, and pictures at different places in one step."""

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
    """Something smooth that depends on both."""
    return torch.tanh(noisy * 0.7 + timestep / 1000)


def solved(solver: Solver, steps: int, noisy: torch.Tensor) -> torch.Tensor:
    before: list[torch.Tensor | None] = [None]
    for move in solver.moves(steps):
        noisy, clean = advance([move], noisy, network(noisy, move.timestep), before)
        before = [clean[0]]
    return noisy


@pytest.mark.parametrize("steps", [1, 2, 7, 30])
@pytest.mark.parametrize(
    "config", [COSINE, LINEAR, LINEAR | {"use_karras_sigmas": True}, COSINE | {"prediction_type": "sample"}], ids=str
)
def test_the_steps_are_those_of_diffusers(config: dict[str, Any], steps: int) -> None:
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
def test_any_known_configuration_is_understood(kind: type) -> None:
    moves = Solver(dict(kind(**LINEAR).config)).moves(5)
    assert [move.timestep for move in moves] == sorted((move.timestep for move in moves), reverse=True)
    assert all(move.alpha**2 + move.sigma**2 == pytest.approx(1) for move in moves)


def test_the_first_step_begins_with_noise_alone_and_the_last_ends_with_the_picture() -> None:
    moves = Solver(COSINE).moves(30)
    assert (moves[0].timestep, len(moves)) == (999, 30)
    assert moves[0].alpha < 1e-3
    assert (moves[-1].keep, moves[-1].new, moves[-1].old) == (0, 1, 0)


@pytest.mark.parametrize("steps", [1, 29, 61, 122, 150])
def test_there_are_as_many_steps_as_were_asked_for(steps: int) -> None:
    moves = Solver(COSINE).moves(steps)
    assert len({move.timestep for move in moves}) == len(moves) == steps
    assert moves[-1].timestep >= 0


def test_pictures_at_different_places_share_a_step() -> None:
    solver = Solver(COSINE)
    moves = [solver.moves(30)[12], solver.moves(5)[0], solver.moves(8)[7]]
    generator = torch.Generator().manual_seed(1)
    noisy, output, past = torch.randn(3, 3, 4, 8, 8, generator=generator)
    before = [past[0], None, past[2]]
    together = advance(moves, noisy, output, before)
    for place in range(3):
        row = slice(place, place + 1)
        alone = advance(moves[row], noisy[row], output[row], before[row])
        assert torch.equal(alone[0], together[0][row])
        assert torch.equal(alone[1], together[1][row])


def test_a_network_that_knows_the_picture_ends_with_it() -> None:
    solver = Solver(COSINE)
    picture, noise = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    noisy, before = noise, [None]
    for move in solver.moves(6):
        speed = (move.alpha * noisy - picture) / move.sigma
        noisy, clean = advance([move], noisy, speed, before)
        before = [clean[0]]
        torch.testing.assert_close(clean, picture, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(noisy, picture, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("strength", "start"), [(1.0, 0), (0.6, 12), (0.5, 15), (0.01, 29)])
def test_the_strength_says_where_to_begin(strength: float, start: int) -> None:
    assert Solver(COSINE).start(30, strength) == start


def test_a_picture_that_begins_in_the_middle_needs_no_past() -> None:
    move = Solver(COSINE).moves(30)[12]
    noisy, output = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    after, clean = advance([move], noisy, output, [None])
    torch.testing.assert_close(after, move.keep * noisy + (move.new + move.old) * clean)
