"""The stages of the training, in their order. Each saves its result in the training folder and is not repeated."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from model_server.engines.diffusion.request import append_style
from model_server.errors import OperatorError
from research.console import format_duration
from research.loop import Plan, TrainingRun, check_seed, save_atomically
from research.packages import DRAWN_SETS, EMOJI_SETS, GOOGLE, WORD_PACKAGES, fetch
from research.pictures.data.collection import collect, count_by_kind
from research.pictures.data.emoji import read_emoji, read_pictures
from research.pictures.data.originals import ORIGINAL_SIZE, make_originals
from research.pictures.data.things import read_descriptions, strip_selector
from research.pictures.training import forecast
from research.pictures.training.autoencoder import AutoencoderTask, encode, measure_psnr
from research.pictures.training.clarity import rate_descriptions
from research.pictures.training.dataset import NO_THING, ThingWords, TrainingSet
from research.pictures.training.denoiser import DenoiserTask
from research.pictures.training.enlargement import EnlargementRun, EnlargementTask, add_level
from research.pictures.training.networks import Sizes, make_scheduler, make_unet, normalise_latents
from research.pictures.training.recogniser import RecogniserTask, make_recogniser
from research.pictures.training.text_encoder import TextEncoder, TextStates

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from research.console import Log
    from research.pictures.data.collection import Collection

AUTOENCODER_STEPS = 8000
ENLARGEMENT_STEPS = 3000
ORIGINAL_COUNT = 9000
RECOGNISER_STEPS = 1800
MEASURED_EVERY = 10
"""Every tenth picture is enough to measure the latents, and every fiftieth to measure the autoencoder's quality."""


def build_collection(folder: Path, seed: int, log: Log) -> Collection:
    """Return the collection of pictures, from packages that are fetched if they are missing."""
    packages = folder / "packages"
    fetch([*(one.package for one in EMOJI_SETS), *WORD_PACKAGES], packages, log)
    log("reading the emoji sets")
    emoji = read_emoji(packages)
    sets = {one.name: read_pictures(one, emoji, packages) for one in EMOJI_SETS}
    collection = collect(emoji, sets, seed, styles={one.name: one.style for one in EMOJI_SETS})
    counts = ", ".join(f"{count:,} {kind}" for kind, count in count_by_kind(collection).items())
    log(f"{len(collection.pictures):,} pictures ({counts}) with {len(collection.texts):,} captions")
    return collection


def log_forecast(
    plan: Plan,
    description_step: int,
    autoencoder: AutoencoderKL,
    encoder: TextEncoder,
    unet: UNet2DConditionModel,
    log: Log,
) -> None:
    """Log how long the training will take, unless the run of `plan` has begun: it logs that itself.

    From `description_step` on, descriptions are learnt, too. `autoencoder` and `unet` stay as they are.
    """
    if (plan.folder / f"{plan.name}.pt").is_file():
        return
    log("measuring how long a picture takes")
    lines, total = [], 0.0
    if plan.name == "unet" and not (plan.folder / "vae").is_dir():
        line, seconds = forecast.forecast_autoencoder(
            autoencoder, AUTOENCODER_STEPS * AutoencoderTask.batch, plan.folder
        )
        lines, total = [line], seconds
    pictures = (description_step * DenoiserTask.batch, (plan.steps - description_step) * DenoiserTask.batch)
    line, seconds = forecast.forecast_unet(unet, autoencoder, encoder, pictures, plan.folder)
    log(f"the plan: {'; '.join([*lines, line])}; about {format_duration(total + seconds)} in all")


def train_autoencoder(
    folder: Path, seed: int, collection: Collection, autoencoder: AutoencoderKL, log: Log
) -> AutoencoderKL:
    """Train and return `autoencoder`, or return the trained one in `folder`.

    Raises OperatorError if that was trained with another seed.
    """
    if (folder / "vae").is_dir():
        check_seed(folder / "autoencoder.pt", seed)
        return load_network(AutoencoderKL, folder / "vae").to(autoencoder.device)
    pictures = np.stack(collection.pictures)
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


def enlarge_autoencoder(folder: Path, plan: Plan, small: AutoencoderKL, log: Log) -> AutoencoderKL:
    """Return an autoencoder that decodes the latents of `small` to pictures of twice the side.

    If `small` is already that large, it is returned itself, and if one was trained before by `plan`, that one.
    """
    target = folder / plan.name
    if small.config.sample_size >= ORIGINAL_SIZE:
        return small
    if target.is_dir():
        return load_network(AutoencoderKL, target).to(small.device)
    log("drawing the originals")
    originals = build_originals(folder / "packages", plan.seed, log)
    task = EnlargementTask(add_level(small, originals).to(small.device), small, originals, folder / "samples")
    run = EnlargementRun(task, plan)
    run.resume()
    run.train(log)
    save_network(run.averaged, target)
    large: AutoencoderKL = run.averaged
    return large


def build_originals(packages: Path, seed: int, log: Log) -> np.ndarray:
    """Return the originals of full size, from packages that are fetched if they are missing."""
    fetch([*(one.package for one in DRAWN_SETS), GOOGLE, *WORD_PACKAGES], packages, log)
    common = read_descriptions()
    emoji = [one for one in read_emoji(packages) if not one.tone and one.group != "Flags"]
    # The common things, and a third of the others, so that the drawings fit the memory and take minutes.
    emoji = [one for number, one in enumerate(emoji) if strip_selector(one.code) in common or number % 3 == 0]
    drawings = [
        picture for one in DRAWN_SETS for picture in read_pictures(one, emoji, packages, ORIGINAL_SIZE).values()
    ]
    return make_originals(drawings, ORIGINAL_COUNT, seed)


def build_training_set(
    folder: Path, collection: Collection, autoencoder: AutoencoderKL, encoder: TextEncoder, log: Log
) -> TrainingSet:
    """Return the training set of the UNet. Latents are read from their file if they were saved before.

    The pictures of `collection` are removed, to free their memory.
    """
    pictures = np.stack(collection.pictures)
    collection.pictures.clear()
    weights = [value.detach().cpu().numpy() for value in autoencoder.state_dict().values()]
    latents = folder / f"latents-{_digest(pictures, *weights)}.pt"
    if not latents.is_file():
        log("encoding the pictures")
        save_atomically(encode(autoencoder, pictures), latents)
    captions = ["", *collection.texts]
    caption_counts = torch.tensor([0, *map(len, collection.captions)])
    thing_words = _thing_words(collection, captions, encoder)
    return TrainingSet(
        latents=torch.load(latents, weights_only=True),
        probabilities=torch.from_numpy(collection.probabilities()),
        captions=torch.tensor([number + 1 for numbers in collection.captions for number in numbers]),
        starts=caption_counts.cumsum(0),
        states=TextStates(encoder, captions),
        empty=0,
        things=_number_things(collection.things),
        thing_words=thing_words,
    )


def _thing_words(collection: Collection, captions: list[str], encoder: TextEncoder) -> list[ThingWords]:
    """Return the words of all things with descriptions. Their texts are added to `captions`, and are rows of that."""
    things = list(collection.described.values())
    if not things:
        return []
    styles = list(dict.fromkeys(collection.styles))

    def add(texts: Sequence[str]) -> torch.Tensor:
        captions.extend(texts)
        return torch.arange(len(captions) - len(texts), len(captions))

    plain = [add(thing.descriptions) for thing in things]
    frequencies = rate_descriptions(TextStates(encoder, captions), [rows.numpy() for rows in plain])
    return [
        ThingWords(
            names=add([append_style(thing.name, style) for style in styles]),
            descriptions=torch.stack(
                [add([append_style(text, style) for text in thing.descriptions]) for style in styles]
            ),
            latents=torch.tensor(thing.pictures),
            styles=torch.tensor([styles.index(collection.styles[number]) for number in thing.pictures]),
            frequencies=torch.from_numpy(frequency),
        )
        for thing, frequency in zip(things, frequencies, strict=True)
    ]


def open_unet_run(
    folder: Path,
    plan: Plan,
    training_set: TrainingSet,
    autoencoder: AutoencoderKL,
    encoder: TextEncoder,
    unet: UNet2DConditionModel,
) -> TrainingRun[DenoiserTask]:
    """Return the run of the UNet, resumed if its state was saved."""
    run = TrainingRun(DenoiserTask(unet, training_set, autoencoder, encoder, folder / "samples"), plan)
    run.resume()
    return run


def _number_things(codes: list[str]) -> torch.Tensor:
    """Return a number for each code: equal codes get equal numbers, "" gets NO_THING."""
    numbers = {code: number for number, code in enumerate(sorted({*codes} - {""}))}
    return torch.tensor([numbers.get(code, NO_THING) for code in codes])


def train_unet(run: TrainingRun[DenoiserTask], training_set: TrainingSet, description_step: int, log: Log) -> None:
    """Train to the end of `run`.

    From `description_step` on, descriptions are learnt from names, and the recogniser has to recognise the things.
    """
    if run.step < description_step:
        run.train(log, until=description_step)
    if training_set.thing_words:
        run.task.teacher = run.averaged
    if bool((training_set.things != NO_THING).any()) and run.step < run.plan.steps:
        run.task.recogniser = train_recogniser(run, training_set, log)
    run.train(log)


def train_recogniser(run: TrainingRun[DenoiserTask], training_set: TrainingSet, log: Log) -> torch.nn.Module:
    """Return a recogniser, trained on the estimates of `run`. It is trained once and then stays as it is."""
    device = next(run.averaged.parameters()).device
    recogniser = make_recogniser(int(training_set.things.max()) + 1, run.plan.seed).to(device)
    plan = Plan(RECOGNISER_STEPS, run.plan.seed, run.plan.folder, f"{run.plan.name}-recogniser")
    recogniser_run = TrainingRun(RecogniserTask(recogniser, training_set, run.averaged), plan)
    recogniser_run.resume()
    recogniser_run.train(log)
    return recogniser_run.averaged.eval()


def export_weights(unet: UNet2DConditionModel, autoencoder: AutoencoderKL, target: Path) -> None:
    """Write unet, vae and scheduler to `target` in half precision, as the repository holds them."""
    target.mkdir(parents=True, exist_ok=True)
    save_network(unet, target / "unet", torch.float16)
    save_network(autoencoder, target / "vae", torch.float16)
    make_scheduler().save_pretrained(target / "scheduler")


def load_trained_unet(folder: Path, name: str, initial_weights: Path | None) -> UNet2DConditionModel:
    """Return the UNet with the last saved, averaged weights of the run `name`.

    `initial_weights` has the initial weights of the run, if there were any. Raises OperatorError if nothing was saved.
    """
    state = folder / f"{name}.pt"
    if not state.is_file():
        raise OperatorError("Nothing was trained yet: run python -m research.train emoji-diffusion first.")
    # Continued weights keep the shape of the initial ones, even if new networks are made in another shape today.
    unet = load_network(UNet2DConditionModel, initial_weights / "unet") if initial_weights else make_unet(Sizes(), 0)
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
