"""`python -m research.train duel`: trains the GAN of emoji faces, and a run that is made to lose its balance."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import torch

from model_server.engines.duel.networks import Sizes
from model_server.errors import OperatorError
from model_server.files.cache import ModelCache, shorten
from research.console import add_training_options, print_line, training_lock
from research.faces.export import export
from research.faces.faces import VARIANTS, FaceCollection, place_faces, read_faces
from research.faces.run import (
    BROKEN_SHARES,
    SNAPSHOT_SHARES,
    DuelRun,
    DuelTask,
    make_discriminator,
    make_generator,
)
from research.loop import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MODEL = "emoji-faces"
PICTURES = 300_000
BROKEN_STEPS = 1500
BRANCH = 8
"""The snapshot with which the broken run begins."""
DESCRIPTION = """\
Trains emoji-faces from the start: fetches the emoji sets through npm, and trains a generator, the forger, against a
discriminator, the detective. Then it trains the forger on against a detective that learns nothing more, until its
faces are all alike. The state is saved every five minutes under ~/.cache/tempera/training (or TEMPERA_CACHE), with
samples and losses. The same command resumes from there, with the same result as without the interruption (on the same
number of threads).
"""


def main(arguments: Sequence[str]) -> int:
    """Train, or with --export write the trained networks. Raises OperatorError with a sentence for the user."""
    options = _parser().parse_args(arguments)
    folder = ModelCache().folder / "training" / MODEL
    if options.threads:
        torch.set_num_threads(options.threads)
    with training_lock(folder, MODEL):
        _train(folder, options.pictures, options.seed, options.export)
    return 0


def _train(folder: Path, pictures: int, seed: int, target: Path | None) -> None:
    faces = read_faces(folder / "packages", print_line)
    good, broken = open_runs(folder, pictures, seed, faces)
    good.resume()
    if target is None:
        if good.step < good.plan.steps:
            good.train(print_line)
        if not broken.resume():
            broken.start_from(good, BRANCH)
        elif broken.first_step != good.snapshot_steps[BRANCH]:
            raise OperatorError(
                f"The broken run began after {broken.first_step:,} steps of another training. Move its files, which "
                f"begin with “broken”, away from {shorten(folder)}; then it is trained again."
            )
        broken.train(print_line)
        samples = shorten(folder / "samples")
        print_line(f"Done: {good.step:,} steps. Samples are in {samples}; --export FOLDER writes the networks.")
        return
    if not broken.resume() or broken.step < broken.plan.steps:
        raise OperatorError("The training is not complete: run python -m research.train duel first.")
    export((good, broken), Sizes(), faces, target)
    print_line(f"The networks are in {shorten(target.absolute())}.")


def open_runs(folder: Path, pictures: int, seed: int, faces: FaceCollection) -> tuple[DuelRun, DuelRun]:
    """Return the run in balance and the broken one, which learn from the same pictures. Neither is resumed yet."""
    placed, sizes = place_faces(faces.learnt, VARIANTS, seed), Sizes()

    def open_run(name: str, steps: int, shares: Sequence[float], *, is_frozen: bool) -> DuelRun:
        task = DuelTask(
            make_generator(sizes, seed),
            make_discriminator(sizes, seed + 1),
            placed,
            folder / "samples" / name,
            is_frozen=is_frozen,
        )
        return DuelRun(task, Plan(steps, seed, folder, name, show_steps=500), shares)

    steps = -(-pictures // DuelTask.batch)
    return (
        open_run("duel", steps, SNAPSHOT_SHARES, is_frozen=False),
        open_run("broken", min(BROKEN_STEPS, steps), BROKEN_SHARES, is_frozen=True),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m research.train duel",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_training_options(
        parser,
        PICTURES,
        "the number of real pictures that are shown",
        "the networks to this folder, ready to be committed",
    )
    return parser
