"""The forecast measures a few steps and changes nothing."""

import re
from pathlib import Path

import torch

from research.pictures.training import forecast
from research.pictures.training.networks import Sizes, make_autoencoder, make_unet, widen


def test_the_forecast_names_pictures_and_changes_no_weights(sizes: Sizes, tmp_path: Path) -> None:
    unet, autoencoder = widen(make_unet(sizes, 1)), make_autoencoder(sizes, 1)
    before = [value.clone() for value in (*unet.state_dict().values(), *autoencoder.state_dict().values())]
    lines = [
        forecast.forecast_unet(unet, autoencoder, 1_000, tmp_path),
        forecast.forecast_autoencoder(autoencoder, 2_000, tmp_path),
    ]
    assert re.match(r"the UNet 1,000 pictures at [0-9.]+ ms, ", lines[0][0])
    assert re.match(r"the autoencoder 2,000 pictures at [0-9.]+ ms, ", lines[1][0])
    assert all(seconds > 0 for _, seconds in lines)
    after = (*unet.state_dict().values(), *autoencoder.state_dict().values())
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
