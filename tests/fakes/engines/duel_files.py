"""The files of a tiny GAN of faces, with random weights."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from model_server.engines.duel.networks import Discriminator, Generator, Sizes
from model_server.engines.duel.weights import LossPoint, Run, Snapshot, Stage, save_run

TINY = Sizes(latent=6, generator=(4, 4, 4, 4, 4), discriminator=(2, 4, 4, 4))
REAL_COUNT = 7
SLOPE = 3000.0


def make_run(snapshots: int, seed: int) -> Run:
    """Return a run whose networks differ from snapshot to snapshot."""
    torch.manual_seed(seed)
    made = []
    for number in range(snapshots):
        generator, discriminator = Generator(TINY).eval(), Discriminator(TINY).eval()
        with torch.no_grad():
            middle = float(discriminator(generator(torch.randn(16, TINY.latent))).mean())
        # Random networks score all faces nearly alike.
        made.append(Snapshot(Stage(160 * number, SLOPE, -SLOPE * middle), generator, discriminator))
    return Run(made, [LossPoint(160, 0.5, 1.5), LossPoint(320, 0.75, 1.25)])


def write_duel(folder: Path) -> Path:
    """Write three snapshots of a good run, two of a broken one, and real pictures of one colour each."""
    folder.mkdir(parents=True, exist_ok=True)
    save_run(folder / "duel.safetensors", TINY, make_run(3, 1))
    save_run(folder / "broken.safetensors", TINY, make_run(2, 2))
    colours = np.array([(40 * number + 10, 250 - 30 * number, 90) for number in range(REAL_COUNT)], np.uint8)
    sheet = np.zeros((2 * 64, 4 * 64, 3), np.uint8)
    for number, colour in enumerate(colours):
        row, column = divmod(number, 4)
        sheet[64 * row : 64 * row + 64, 64 * column : 64 * column + 64] = colour
    Image.fromarray(sheet).save(folder / "real.png")
    return folder
