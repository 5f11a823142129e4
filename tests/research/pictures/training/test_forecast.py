"""The forecast of a training is computed from the time of a few steps, which change nothing."""

import copy
import time
from pathlib import Path

import pytest
import torch

from research.pictures.training import forecast
from research.pictures.training.denoiser import DenoiserTask
from research.pictures.training.networks import Sizes, make_autoencoder, make_unet
from research.pictures.training.text_encoder import TextEncoder


def test_pictures_with_descriptions_are_measured_separately(
    sizes: Sizes, text_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps with a teacher, that is with descriptions, take four times as long here."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    loss = DenoiserTask.loss

    def slow(task: DenoiserTask, random: torch.Generator) -> torch.Tensor:
        now[0] += 1.28 if task.teacher is None else 5.12
        return loss(task, random)

    monkeypatch.setattr(DenoiserTask, "loss", slow)
    unet, autoencoder = make_unet(sizes, 1), make_autoencoder(sizes, 1)
    before = copy.deepcopy(unet.state_dict())
    encoder = TextEncoder(text_encoder, "cpu")
    line, seconds = forecast.forecast_unet(unet, autoencoder, encoder, (60_000, 30_000), tmp_path)
    assert line == (
        "the UNet 60,000 pictures with names at 40.0 ms and 30,000 pictures with descriptions, too, at 160.0 ms, "
        "2 h 00 min"
    )
    assert seconds == pytest.approx(7200)
    assert all(torch.equal(before[name], value) for name, value in unet.state_dict().items())
    assert all(value.grad is None for value in unet.parameters())
    assert list(tmp_path.iterdir()) == []


def test_the_autoencoder_is_measured_and_does_not_change(sizes: Sizes, tmp_path: Path) -> None:
    autoencoder = make_autoencoder(sizes, 1)
    before = copy.deepcopy(autoencoder.state_dict())
    line, seconds = forecast.forecast_autoencoder(autoencoder, 1_000_000, tmp_path)
    assert line.startswith("the autoencoder 1,000,000 pictures at ")
    assert seconds > 0
    assert all(torch.equal(before[name], value) for name, value in autoencoder.state_dict().items())
