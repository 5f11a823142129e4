"""The sample sheet has each picture of a batch, above the one that is meant."""

import numpy as np
import torch

from research.pictures.training import samples
from research.pictures.training.dataset import TrainingSet
from research.pictures.training.networks import Sizes, make_autoencoder, make_unet, widen


def test_each_picture_is_above_the_one_that_is_meant(training_set: TrainingSet, sizes: Sizes) -> None:
    batch = training_set.draw(16, torch.Generator().manual_seed(1))
    autoencoder = make_autoencoder(sizes, 1)
    sheet = np.asarray(samples.draw_sheet(widen(make_unet(sizes, 1)), autoencoder, batch))
    assert sheet.shape == (4 * 64, samples.COLUMNS * 64, 3)
    with torch.no_grad():
        meant = samples.to_pixels(autoencoder.decode(batch.latents[9:10]).sample)[0]
    assert np.abs(sheet[192:256, 64:128].astype(int) - meant).max() <= 2
    assert np.abs(sheet[128:192, 64:128].astype(int) - meant).max() > 20
