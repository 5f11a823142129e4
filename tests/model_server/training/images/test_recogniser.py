"""What names things in latents, and in what the UNet guesses of them."""

from types import SimpleNamespace

import pytest
import torch

from model_server.training.images.dataset import NO_THING, TrainingSet
from model_server.training.images.networks import Sizes, make_scheduler, make_unet
from model_server.training.images.recogniser import (
    MAX_SHIFT,
    RecogniserTask,
    cross_entropy,
    denoised_estimate,
    make_recogniser,
)

NARROW = (8, 8)


def test_the_velocity_of_a_latent_and_its_noise_means_the_latent() -> None:
    random = torch.Generator().manual_seed(1)
    scheduler, steps = make_scheduler(), torch.tensor([0, 400, 999])
    latents, noise = torch.randn(2, 3, 4, 2, 2, generator=random)
    velocity = scheduler.get_velocity(latents, noise, steps)
    found = denoised_estimate(scheduler.add_noise(latents, noise, steps), velocity, scheduler.alphas_cumprod[steps])
    assert torch.allclose(found, latents, atol=1e-5)


def test_things_are_told_apart_after_a_while(lesson: TrainingSet, sizes: Sizes) -> None:
    module = make_recogniser(3, seed=1, widths=NARROW)
    task = RecogniserTask(module, lesson, make_unet(sizes, 1))
    task.batch = 24
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-3)
    for step in range(60):
        task.loss(torch.Generator().manual_seed(step)).backward()
        optimizer.step()
        optimizer.zero_grad()
    named = lesson.things != NO_THING
    assert 0 < named.sum() < len(named)
    found = module.eval()(lesson.latents[named].float()).argmax(1)
    assert (found == lesson.things[named]).float().mean() > 0.8


class Remembering(torch.nn.Module):
    """Takes every latent for the first thing, and remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.certainty = torch.nn.Parameter(torch.tensor(5.0))
        self.shown = torch.zeros(0)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        self.shown = latents
        return self.certainty * torch.nn.functional.one_hot(torch.zeros(len(latents), dtype=torch.long), 3)


def test_half_of_a_batch_are_guesses(lesson: TrainingSet) -> None:
    def one_for_all(noisy: torch.Tensor, steps: torch.Tensor, states: torch.Tensor) -> SimpleNamespace:
        kept = make_scheduler().alphas_cumprod[steps].view(-1, 1, 1, 1)
        return SimpleNamespace(sample=(kept.sqrt() * noisy - 100) / (1 - kept).sqrt())

    module = Remembering()
    task = RecogniserTask(module, lesson, one_for_all)  # type: ignore[arg-type]
    task.loss(torch.Generator().manual_seed(1))
    means = module.shown.mean(dim=(1, 2, 3))
    assert len(means) == task.batch
    assert means[:64].abs().max() < 10
    assert means[64:].tolist() == pytest.approx([100] * 64, abs=1)


def test_what_is_taken_for_another_thing_is_further_away_and_is_moved_a_little() -> None:
    module, random = Remembering(), torch.Generator().manual_seed(3)
    spot = torch.zeros(400, 4, 16, 16)
    spot[:, :, 8, 8] = 100
    near, far = cross_entropy(module, spot[:2], torch.tensor([0, 2]), random).tolist()
    assert near < 1 < far
    places = set()
    for _ in range(40):
        cross_entropy(module, spot[:1], torch.tensor([0]), random)
        places.add(divmod(int(module.shown[0, 0].argmax()), 16))
    assert {down for down, _ in places} == {across for _, across in places} == set(range(8 - MAX_SHIFT, 9 + MAX_SHIFT))
