"""`tempera-models train`: makes the weights that the repository holds again, or goes on from them."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from filelock import FileLock, Timeout

from model_server.catalogue import StoreError, load_catalogue
from model_server.engines.common.device import pick_device
from model_server.files.cache import ModelCache, short
from model_server.files.progress import on_stderr
from model_server.training import stages
from model_server.training.images.denoiser import DenoiserTask
from model_server.training.images.networks import Sizes, make_autoencoder, make_unet
from model_server.training.images.text_encoder import TextEncoder
from model_server.training.loop import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

CATALOGUE = Path(__file__).resolve().parents[2] / "config" / "models.toml"
TEXT_ENCODER = "all-minilm-l6-v2"
RATE_FROM_WEIGHTS = 2e-4
"""The learning rate where weights are continued: the usual one would first undo what their last, slow steps learnt."""
DESCRIPTION = """\
Trains emoji-diffusion from nothing: fetches the emoji sets through npm, trains the autoencoder and then the UNet.
Every five minutes all is saved under ~/.cache/tempera/training (or TEMPERA_CACHE); the same command goes on from there,
with the very weights that it would have had without the break (on as many threads). Samples and losses lie there, too.
"""


def main(arguments: Sequence[str]) -> int:
    """Train, or export what was trained. Raises StoreError with a sentence."""
    options = _parser().parse_args(arguments)
    store = ModelCache()
    folder = store.cache / "training" / options.model
    name = _run_name(options.start)
    if options.export:
        _export(folder, name, options.start, options.export)
        return 0
    try:
        device = str(pick_device(options.device))
    except ValueError as error:
        raise StoreError(str(error)) from error
    if options.threads:
        torch.set_num_threads(options.threads)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "training.lock", timeout=0):
            _train(store, folder, name, options, device)
    except Timeout:
        raise StoreError(
            f"{options.model} is being trained by another process, which this one would disturb."
        ) from None
    return 0


def _train(store: ModelCache, folder: Path, name: str, options: argparse.Namespace, device: str) -> None:
    plan = Plan(-(-options.pictures // DenoiserTask.batch), options.seed, folder, name)
    # Names come first: nobody can teach by them what descriptions mean, or see things in blots, before they are known.
    known = 0 if options.start else plan.steps * 2 // 3
    with on_stderr() as progress:
        encoder = TextEncoder(store.ensure(load_catalogue(CATALOGUE)[TEXT_ENCODER], progress), device)
    if options.start:
        autoencoder = stages.load_part(AutoencoderKL, options.start / "vae").to(device)
        unet = stages.load_part(UNet2DConditionModel, options.start / "unet").to(device)
    else:
        autoencoder = make_autoencoder(Sizes(), options.seed).to(device)
        unet = make_unet(Sizes(), options.seed).to(device)
    stages.foresee(plan, known, autoencoder, encoder, unet, tell)
    collection = stages.gather(folder, options.seed, tell)
    if not options.start:
        autoencoder = stages.learn_latents(folder, options.seed, collection, autoencoder, tell)
    lesson = stages.prepare(folder, collection, autoencoder, encoder, tell)
    run = stages.denoising(folder, plan, lesson, autoencoder, encoder, unet)
    if options.start:
        run.task.rate = RATE_FROM_WEIGHTS
    stages.learn(run, lesson, known, tell)
    tell(f"Done: {run.step:,} steps. Samples are in {short(folder / 'samples')}; --export FOLDER writes the weights.")


def _export(folder: Path, name: str, start: Path | None, target: Path) -> None:
    unet = stages.learnt_unet(folder, name, start)
    stages.export(unet, stages.load_part(AutoencoderKL, (start or folder) / "vae"), target)
    tell(f"The weights are in {short(target.absolute())}.")


def _run_name(start: Path | None) -> str:
    """Runs from different weights keep their states apart."""
    if start is None:
        return "unet"
    try:
        weights = (start / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    except OSError as error:
        raise StoreError(f"{start} should hold weights of this model: the folders unet and vae.") from error
    return f"unet-from-{hashlib.sha256(weights).hexdigest()[:8]}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tempera-models train", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=["emoji-diffusion"], help="what is trained")
    parser.add_argument(
        "--pictures", type=count, default=2_000_000, help="how many the UNet is shown in all (default: 2000000)"
    )
    parser.add_argument("--seed", type=int, default=7, help="what all that is random follows from (default: 7)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--threads", type=count, help="of the CPU; fewer are faster where other work needs the cores")
    parser.add_argument(
        "--from",
        type=Path,
        dest="start",
        metavar="FOLDER",
        help="start from these weights, as the repository holds them",
    )
    parser.add_argument(
        "--export",
        type=Path,
        metavar="FOLDER",
        help="train nothing; write what was saved last there, ready to be committed",
    )
    return parser


def count(text: str) -> int:
    """A number of the command line, from 1 up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number, at least 1")
    return int(text)


def tell(line: str) -> None:
    """Say a line on stdout at once, also where that is a file."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
