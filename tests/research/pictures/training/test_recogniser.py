"""The recogniser names things in latents and in estimates of the UNet."""

from types import SimpleNamespace

import pytest
import torch

from research.pictures.training.dataset import NO_THING, TrainingSet
from research.pictures.training.networks import Sizes, make_scheduler, make_unet
from research.pictures.training.recogniser import (
    MAX_SHIFT,
    RecogniserTask,
    cross_entropy,
    estimate_clean_latents,
    make_recogniser,
)

NARROW = (8, 8)


def test_the_estimate_from_the_true_velocity_is_the_latent() -> None:
    random = torch.Generator().manual_seed(1)
    scheduler, steps = make_scheduler(), torch.tensor([0, 400, 999])
    latents, noise = torch.randn(2, 3, 4, 2, 2, generator=random)
    velocity = scheduler.get_velocity(latents, noise, steps)
    predicted = estimate_clean_latents(
        scheduler.add_noise(latents, noise, steps), velocity, scheduler.alphas_cumprod[steps]
    )
    assert torch.allclose(predicted, latents, atol=1e-5)


def test_the_recogniser_learns_to_tell_things_apart(training_set: TrainingSet, sizes: Sizes) -> None:
    module = make_recogniser(3, seed=1, widths=NARROW)
    task = RecogniserTask(module, training_set, make_unet(sizes, 1))
    task.batch = 24
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-3)
    for step in range(60):
        task.loss(torch.Generator().manual_seed(step)).backward()
        optimizer.step()
        optimizer.zero_grad()
    has_thing = training_set.things != NO_THING
    assert 0 < has_thing.sum() < len(has_thing)
    predicted = module.eval()(training_set.latents[has_thing].float()).argmax(1)
    assert (predicted == training_set.things[has_thing]).float().mean() > 0.8


class RecordingRecogniser(torch.nn.Module):
    """Takes every latent for the first thing, and records its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.certainty = torch.nn.Parameter(torch.tensor(5.0))
        self.inputs = torch.zeros(0)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        self.inputs = latents
        return self.certainty * torch.nn.functional.one_hot(torch.zeros(len(latents), dtype=torch.long), 3)


def test_half_of_a_batch_are_estimates(training_set: TrainingSet) -> None:
    def one_for_all(noisy: torch.Tensor, steps: torch.Tensor, states: torch.Tensor) -> SimpleNamespace:
        alphas = make_scheduler().alphas_cumprod[steps].view(-1, 1, 1, 1)
        return SimpleNamespace(sample=(alphas.sqrt() * noisy - 100) / (1 - alphas).sqrt())

    module = RecordingRecogniser()
    task = RecogniserTask(module, training_set, one_for_all)  # type: ignore[arg-type]
    task.loss(torch.Generator().manual_seed(1))
    means = module.inputs.mean(dim=(1, 2, 3))
    assert len(means) == task.batch
    assert means[:64].abs().max() < 10
    assert means[64:].tolist() == pytest.approx([100] * 64, abs=1)


def test_wrong_things_have_a_higher_cross_entropy_and_latents_are_shifted() -> None:
    module, random = RecordingRecogniser(), torch.Generator().manual_seed(3)
    spot = torch.zeros(400, 4, 16, 16)
    spot[:, :, 8, 8] = 100
    right, wrong = cross_entropy(module, spot[:2], torch.tensor([0, 2]), random).tolist()
    assert right < 1 < wrong
    positions = set()
    for _ in range(40):
        cross_entropy(module, spot[:1], torch.tensor([0]), random)
        positions.add(divmod(int(module.inputs[0, 0].argmax()), 16))
    assert (
        {down for down, _ in positions}
        == {across for _, across in positions}
        == set(range(8 - MAX_SHIFT, 9 + MAX_SHIFT))
    )
