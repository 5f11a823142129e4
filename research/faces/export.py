"""Writes the trained networks as the engine reads them, with calibrated verdicts, and the held-out real pictures."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from model_server.assembly import DUEL_FILES
from model_server.engines.duel.networks import EDGE, Discriminator, Generator, Sizes
from model_server.engines.duel.weights import LossPoint, Run, Snapshot, Stage, load_packed, pack, save_run
from research.faces.faces import FaceCollection, place_faces
from research.faces.run import DuelTask, draw
from research.pictures.training.autoencoder import to_tensor

if TYPE_CHECKING:
    from pathlib import Path

    from research.faces.run import DuelRun

CALIBRATING_VARIANTS = 8
CALIBRATING_SEED = 1_000_000
"""The seed of the first generated picture for the calibration; those that people name are seldom so large."""
NEWTON_STEPS = 50
REAL_COLUMNS = 16
SHOWN_SEED = 3
"""The seed of the positions in which rounds show the real pictures."""
SCORED_AT_ONCE = 64


def export(runs: tuple[DuelRun, DuelRun], sizes: Sizes, faces: FaceCollection, target: Path) -> None:
    """Write the run in balance, the broken run and the real pictures to `target`."""
    target.mkdir(parents=True, exist_ok=True)
    real = place_faces(faces.calibrating, CALIBRATING_VARIANTS, SHOWN_SEED)
    good_file, broken_file, real_file = DUEL_FILES
    good, broken = (read_run(run, sizes, real) for run in runs)
    save_run(target / good_file, sizes, good)
    start = broken.snapshots[0].stage.pictures
    before = [point for point in good.losses if point.pictures <= start]
    save_run(target / broken_file, sizes, replace(broken, losses=[*before, *broken.losses]))
    write_sheet(place_faces([*faces.measuring, *faces.calibrating], 1, SHOWN_SEED), target / real_file)


def read_run(run: DuelRun, sizes: Sizes, real: np.ndarray) -> Run:
    """Return the snapshots of a run, with verdicts that are calibrated with the real pictures (N × 64 × 64 × 3)."""
    snapshots = []
    for number in range(len(run.snapshot_steps)):
        saved = run.load_snapshot(number)
        generator, discriminator = Generator(sizes), Discriminator(sizes)
        prefix, in_8_bits = "generator.", number < len(run.snapshot_steps) - 1
        averaged = {key.removeprefix(prefix): one for key, one in saved["averaged"].items() if key.startswith(prefix)}
        # Verdicts are calibrated in the precision in which the networks are stored.
        load_packed(generator, pack(averaged, in_8_bits=in_8_bits))
        load_packed(discriminator, pack(saved["discriminator"], in_8_bits=in_8_bits))
        fake = draw(generator, range(CALIBRATING_SEED, CALIBRATING_SEED + len(real)))
        slope, offset = calibrate(score(discriminator, real), score(discriminator, fake))
        stage = Stage((run.first_step + saved["step"]) * DuelTask.batch, slope, offset)
        snapshots.append(Snapshot(stage, generator, discriminator))
    points = [
        LossPoint((run.first_step + one.step) * DuelTask.batch, one.generator, one.discriminator) for one in run.losses
    ]
    return Run(snapshots, points)


@torch.no_grad()
def score(discriminator: torch.nn.Module, pictures: np.ndarray) -> np.ndarray:
    """Return the scores of N × 64 × 64 × 3 pictures, uint8."""
    parts = [pictures[start : start + SCORED_AT_ONCE] for start in range(0, len(pictures), SCORED_AT_ONCE)]
    return torch.cat([discriminator(to_tensor(part)) for part in parts]).double().numpy()


def calibrate(real: np.ndarray, fake: np.ndarray) -> tuple[float, float]:
    """Return slope and offset with which the sigmoid of slope · score + offset is the probability of being real.

    This is Platt scaling with Platt's smoothed targets (1999), fitted by Newton's method. Real and generated pictures
    count the same, as in a round of which half are real. The slope is not negative: a discriminator that is worse than
    chance on these pictures knows nothing, and says about 50 %.
    """
    scores = np.concatenate([real, fake])
    mean, deviation = float(scores.mean()), float(scores.std()) or 1.0
    columns = np.stack([(scores - mean) / deviation, np.ones(len(scores))], axis=1)
    targets = np.concatenate(
        [np.full(len(one), share) for one, share in ((real, _smooth(len(real))), (fake, 1 - _smooth(len(fake))))]
    )
    weights = np.concatenate([np.full(len(one), 0.5 / len(one)) for one in (real, fake)])
    values = np.zeros(2)
    for _ in range(NEWTON_STEPS):
        probabilities = 1 / (1 + np.exp(-columns @ values))
        gradient = columns.T @ (weights * (probabilities - targets))
        curvature = columns.T @ (columns * (weights * probabilities * (1 - probabilities))[:, None])
        values -= np.linalg.solve(curvature + 1e-6 * np.eye(2), gradient)
    slope = max(values[0], 0.0) / deviation
    offset = values[1] - slope * mean if slope else 0.0
    return float(slope), float(offset)


def _smooth(count: int) -> float:
    return (count + 1) / (count + 2)


def write_sheet(pictures: np.ndarray, path: Path) -> None:
    """Write pictures (N × 64 × 64 × 3) side by side in rows, on black where there are none."""
    rows = math.ceil(len(pictures) / REAL_COLUMNS)
    sheet = Image.new("RGB", (REAL_COLUMNS * EDGE, rows * EDGE))
    for number, picture in enumerate(pictures):
        row, column = divmod(number, REAL_COLUMNS)
        sheet.paste(Image.fromarray(picture), (column * EDGE, row * EDGE))
    sheet.save(path, optimize=True)
