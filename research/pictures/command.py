"""`python -m research.train`: trains the image model whose weights are in the repository, from the start or further."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from model_server.catalogue import load_catalogue
from model_server.engines.common.device import pick_device
from model_server.errors import OperatorError
from model_server.files.cache import ModelCache, shorten
from model_server.files.progress import progress_on_stderr
from research import ROOT
from research.console import add_training_options, print_line, training_lock
from research.loop import Plan, TrainingRun
from research.pictures.training import stages
from research.pictures.training.denoiser import DenoiserTask
from research.pictures.training.networks import LATENT_CHANNELS, Sizes, make_autoencoder, make_unet, widen
from research.pictures.training.text_encoder import TextEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

CATALOGUE = ROOT / "config" / "models.toml"
TEXT_ENCODER = "all-minilm-l6-v2"
CONTINUED_LEARNING_RATE = 2e-4
"""The learning rate for weights that look at drawings: the usual one would undo what their last, slow steps learnt."""
DESCRIPTION = """\
Trains emoji-diffusion from the start: fetches the emoji sets through npm, trains the autoencoder and then the UNet,
which looks at drawings of the same things from other sets while it draws. The state is saved every five minutes under
~/.cache/tempera/training (or TEMPERA_CACHE), with samples and losses. The same command resumes from there, with the
same result as without the interruption (on the same number of threads).
"""


def main(arguments: Sequence[str]) -> int:
    """Train, or with --export write the trained weights. Raises OperatorError with a sentence for the user."""
    options = _parser().parse_args(arguments)
    if options.model == "duel":
        raise OperatorError("Write duel before its options: python -m research.train duel --threads 2.")
    store = ModelCache()
    folder = store.folder / "training" / options.model
    run_name = _run_name(options.weights)
    if options.export:
        _export(store, folder, run_name, options.weights, options.export)
        return 0
    try:
        device = str(pick_device(options.device))
    except ValueError as error:
        raise OperatorError(str(error)) from error
    if options.threads:
        torch.set_num_threads(options.threads)
    with training_lock(folder, options.model):
        _train(store, folder, run_name, options, device)
    return 0


def _train(store: ModelCache, folder: Path, run_name: str, options: argparse.Namespace, device: str) -> None:
    plan = Plan(-(-options.pictures // DenoiserTask.batch), options.seed, folder, run_name)
    encoder = _open_text_encoder(store, device)
    if options.weights:
        autoencoder = stages.load_network(AutoencoderKL, options.weights / "vae").to(device)
        unet = stages.load_network(UNet2DConditionModel, options.weights / "unet").to(device)
    else:
        autoencoder = make_autoencoder(Sizes(), options.seed).to(device)
        unet = make_unet(Sizes(), options.seed).to(device)
    # Weights that already look at drawings are continued more slowly than those that have to learn it.
    looks = unet.config.in_channels > LATENT_CHANNELS
    unet = widen(unet)
    collection = stages.build_collection(folder, options.seed, print_line)
    if not options.weights:
        autoencoder = stages.train_autoencoder(folder, options.seed, collection, autoencoder, print_line)
    enlargement = Plan(stages.ENLARGEMENT_STEPS, options.seed, folder, f"{run_name}-vae")
    large = stages.enlarge_autoencoder(folder, enlargement, collection, autoencoder, print_line)
    training_set = stages.build_training_set(folder, collection, autoencoder, encoder, print_line)
    run = TrainingRun(DenoiserTask(unet, training_set, large, folder / "samples"), plan)
    run.resume()
    if looks:
        run.task.rate = CONTINUED_LEARNING_RATE
    run.train(print_line)
    samples = shorten(folder / "samples")
    print_line(f"Done: {run.step:,} steps. Samples are in {samples}; --export FOLDER writes the weights.")


def _open_text_encoder(store: ModelCache, device: str) -> TextEncoder:
    with progress_on_stderr() as progress:
        return TextEncoder(store.ensure(load_catalogue(CATALOGUE)[TEXT_ENCODER], progress), device)


def _export(store: ModelCache, folder: Path, run_name: str, initial_weights: Path | None, target: Path) -> None:
    unet = stages.load_trained_unet(folder, run_name, initial_weights)
    enlarged = folder / f"{run_name}-vae"
    vae = enlarged if enlarged.is_dir() or initial_weights is None else initial_weights / "vae"
    autoencoder = stages.load_network(AutoencoderKL, vae)
    stages.export_weights(unet, autoencoder, target)
    stages.export_bank(folder, autoencoder, _open_text_encoder(store, "cpu"), target, print_line)
    print_line(f"The weights are in {shorten(target.absolute())}.")


def _run_name(initial_weights: Path | None) -> str:
    """Return the name of a run's saved state, which is different for different initial weights."""
    if initial_weights is None:
        return "unet"
    try:
        content = (initial_weights / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    except OSError as error:
        sentence = f"{initial_weights} should hold weights of this model: the folders unet and vae."
        raise OperatorError(sentence) from error
    return f"unet-from-{hashlib.sha256(content).hexdigest()[:8]}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m research.train", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=["emoji-diffusion", "duel"], help="what to train; duel has options of its own")
    add_training_options(
        parser,
        2_000_000,
        "the number of pictures that the UNet is trained on",
        "the last saved weights and the drawings to look at to this folder",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument(
        "--from",
        type=Path,
        dest="weights",
        metavar="FOLDER",
        help="continue from these weights, in the layout that the repository holds; they may not look at drawings yet",
    )
    return parser
