"""The stages of the training, in their order. Each saves its result in the training folder and is not repeated."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from model_server.errors import OperatorError
from research.loop import Plan, TrainingRun, check_seed, save_atomically
from research.packages import DRAWING_PACKAGES, EMOJI_SETS, GOOGLE, OTHER_NAMED_SETS, WORD_PACKAGES, fetch
from research.pictures.data.choice import is_drawable
from research.pictures.data.collection import add_prompt_names, collect, count_by_kind
from research.pictures.data.drawings import read_drawings
from research.pictures.data.emoji import SIZE, read_emoji, read_pictures, read_pictures_by_any_name
from research.pictures.training.autoencoder import AutoencoderTask, encode, measure_psnr
from research.pictures.training.bank import list_things, write_bank
from research.pictures.training.dataset import TrainingSet
from research.pictures.training.enlargement import EnlargementRun, EnlargementTask, add_level, shrink_pixels
from research.pictures.training.networks import Sizes, make_scheduler, make_unet, normalise_latents, widen
from research.pictures.training.references import References
from research.pictures.training.text_encoder import TextEncoder, TextStates

if TYPE_CHECKING:
    from pathlib import Path

    from research.console import Log
    from research.packages import EmojiSet
    from research.pictures.data.collection import Collection
    from research.pictures.data.drawings import Drawing
    from research.pictures.data.emoji import Emoji, Rgba

AUTOENCODER_STEPS = 8000
ENLARGEMENT_STEPS = 3000
ORIGINAL_COUNT = 9000
"""The number of pictures from which the decoder learns edges."""
MEASURED_EVERY = 10
"""Every tenth picture is enough to measure the latents, and every fiftieth to measure the autoencoder's quality."""


def read_sets(folder: Path, log: Log) -> tuple[list[Emoji], dict[EmojiSet, dict[str, Rgba]], list[Drawing]]:
    """Return the emoji that are drawn, the sets and the further drawings. Packages are fetched if they are missing."""
    packages = folder / "packages"
    fetch([GOOGLE, *(one.package for one in EMOJI_SETS), *DRAWING_PACKAGES.values(), *WORD_PACKAGES], packages, log)
    log("reading the drawings")
    known = read_emoji(packages)
    emoji = [one for one in known if is_drawable(one)]
    sets = {
        one: (read_pictures_by_any_name if one in OTHER_NAMED_SETS else read_pictures)(one, emoji, packages)
        for one in EMOJI_SETS
    }
    # Some drawings show what only a symbol's name stands for, such as an atom.
    return emoji, sets, read_drawings([*known, *add_prompt_names(emoji)], packages)


def build_collection(folder: Path, seed: int, log: Log) -> Collection:
    """Return the collection of pictures."""
    emoji, sets, further = read_sets(folder, log)
    styles = {one.name: one.style for one in EMOJI_SETS if one.style}
    pictures = {one.name: pictures for one, pictures in sets.items()}
    collection = collect(emoji, pictures, seed, styles=styles, further=further)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in count_by_kind(collection).items())
    log(f"{len(collection.pictures):,} pictures ({counts}) with {len(collection.texts):,} captions")
    return collection


def train_autoencoder(
    folder: Path, seed: int, collection: Collection, autoencoder: AutoencoderKL, log: Log
) -> AutoencoderKL:
    """Train and return `autoencoder`, or return the trained one in `folder`.

    Raises OperatorError if that was trained with another seed.
    """
    if (folder / "vae").is_dir():
        check_seed(folder / "autoencoder.pt", seed)
        return load_network(AutoencoderKL, folder / "vae").to(autoencoder.device)
    pictures = shrink_pixels(collection.pictures)
    task = AutoencoderTask(autoencoder, pictures, collection.probabilities(), folder / "samples")
    run = TrainingRun(task, Plan(AUTOENCODER_STEPS, seed, folder, "autoencoder", show_steps=500))
    run.resume()
    run.train(log)
    trained: AutoencoderKL = run.averaged
    latents = encode(trained, pictures[::MEASURED_EVERY]).float()
    normalise_latents(
        trained, latents.mean(dim=(0, 2, 3)).to(trained.device), latents.std(dim=(0, 2, 3)).to(trained.device)
    )
    log(f"autoencoder: decoded pictures have a PSNR of {measure_psnr(trained, pictures[:: 5 * MEASURED_EVERY]):.1f} dB")
    save_network(trained, folder / "vae")
    return trained


def enlarge_autoencoder(
    folder: Path, plan: Plan, collection: Collection, small: AutoencoderKL, log: Log
) -> AutoencoderKL:
    """Return an autoencoder that decodes the latents of `small` to pictures of twice the side.

    If `small` is already that large, it is returned itself, and if one was trained before by `plan`, that one.
    """
    target = folder / plan.name
    if small.config.sample_size >= SIZE:
        return small
    if target.is_dir():
        return load_network(AutoencoderKL, target).to(small.device)
    learnt = np.flatnonzero(collection.weights)
    numbers = np.random.default_rng(plan.seed).choice(learnt, min(ORIGINAL_COUNT, len(learnt)), False)
    originals = np.stack([collection.pictures[number] for number in numbers])
    task = EnlargementTask(add_level(small, originals).to(small.device), small, originals, folder / "samples")
    run = EnlargementRun(task, plan)
    run.resume()
    run.train(log)
    save_network(run.averaged, target)
    large: AutoencoderKL = run.averaged
    return large


def build_training_set(
    folder: Path, collection: Collection, autoencoder: AutoencoderKL, encoder: TextEncoder, log: Log
) -> TrainingSet:
    """Return the training set of the UNet. Latents are read from their file if they were saved before.

    The pictures of `collection` are removed, to free their memory.
    """
    weights = [value.detach().cpu().numpy() for value in autoencoder.state_dict().values()]
    latents = folder / f"latents-{_digest(*collection.pictures, *weights)}.pt"
    if not latents.is_file():
        log("encoding the pictures")
        save_atomically(encode(autoencoder, collection.pictures), latents)
    collection.pictures.clear()
    caption_counts = torch.tensor([0, *map(len, collection.captions)])
    return TrainingSet(
        latents=torch.load(latents, weights_only=True),
        probabilities=torch.from_numpy(collection.probabilities()),
        captions=torch.tensor([number + 1 for numbers in collection.captions for number in numbers]),
        starts=caption_counts.cumsum(0),
        states=TextStates(encoder, ["", *collection.texts]),
        empty=0,
        references=References(collection),
    )


def export_weights(unet: UNet2DConditionModel, autoencoder: AutoencoderKL, target: Path) -> None:
    """Write unet, vae and scheduler to `target` in half precision, as the repository holds them."""
    target.mkdir(parents=True, exist_ok=True)
    save_network(unet, target / "unet", torch.float16)
    save_network(autoencoder, target / "vae", torch.float16)
    make_scheduler().save_pretrained(target / "scheduler")


def export_bank(folder: Path, autoencoder: AutoencoderKL, encoder: TextEncoder, target: Path, log: Log) -> None:
    """Write the drawings that the UNet looks at, and the texts by which they are found, to `target`."""
    emoji, sets, further = read_sets(folder, log)
    # The further drawings have those of the sets with other names, too, found by hand, which are more.
    named = {one: pictures for one, pictures in sets.items() if one not in OTHER_NAMED_SETS}
    things = list_things(emoji, named, further)
    log(f"encoding {sum(len(one.drawings) for one in things):,} drawings of {len(things):,} things")
    write_bank(things, autoencoder, encoder, target)


def load_trained_unet(folder: Path, name: str, initial_weights: Path | None) -> UNet2DConditionModel:
    """Return the UNet with the last saved, averaged weights of the run `name`.

    `initial_weights` has the initial weights of the run, if there were any. Raises OperatorError if nothing was saved.
    """
    state = folder / f"{name}.pt"
    if not state.is_file():
        raise OperatorError("Nothing was trained yet: run python -m research.train emoji-diffusion first.")
    # Continued weights keep the shape of the initial ones, even if new networks are made in another shape today.
    initial = load_network(UNet2DConditionModel, initial_weights / "unet") if initial_weights else make_unet(Sizes(), 0)
    unet = widen(initial)
    unet.load_state_dict(torch.load(state, map_location="cpu", weights_only=True)["averaged"])
    return unet


def load_network(network_class: Any, folder: Path) -> Any:
    """Load a diffusers network from its folder, in single precision. Raises OperatorError if it cannot be read."""
    try:
        return network_class.from_pretrained(folder, torch_dtype=torch.float32)
    except (OSError, ValueError, KeyError) as error:
        raise OperatorError(
            f"{folder} should hold a diffusers {network_class.__name__}: config.json and safetensors."
        ) from error


def save_network(network: torch.nn.Module, target: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a network to the folder `target`, which appears only once it is complete."""
    temporary = target.with_name(f".{target.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    # A copy is converted, because `network` may still be in training.
    copy = type(network).from_config(network.config)  # type: ignore[attr-defined]
    copy.load_state_dict(network.state_dict())
    copy.to(dtype).save_pretrained(temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
