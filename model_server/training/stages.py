"""The stages from nothing to weights. Each leaves its result in the folder of the training, and is not done twice."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from model_server.catalogue import StoreError
from model_server.training import forecast
from model_server.training.images.autoencoder import AutoencoderTask, encode, fidelity
from model_server.training.images.clarity import clarity
from model_server.training.images.collection import by_kind, collect
from model_server.training.images.dataset import NOTHING, ThingWords, TrainingSet
from model_server.training.images.denoiser import DenoiserTask
from model_server.training.images.emoji import read_emoji, read_pictures
from model_server.training.images.networks import Sizes, make_scheduler, make_unet, normalise
from model_server.training.images.recogniser import RecogniserTask, make_recogniser
from model_server.training.images.text_encoder import TextEncoder, encode_all
from model_server.training.loop import Plan, TrainingRun, check_seed, clock, save
from model_server.training.packages import SETS, WORDS, fetch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_server.training.images.collection import Collection

    Tell = Callable[[str], None]

AUTOENCODER_STEPS = 8000
RECOGNISER_STEPS = 1800
MEASURED = 10
"""Every tenth picture is enough to measure latents, and every fiftieth to measure how true the autoencoder is."""


def gather(folder: Path, seed: int, tell: Tell) -> Collection:
    """The collection, from packages that are fetched where they are missing."""
    packages = folder / "packages"
    fetch([*(one.package for one in SETS), *WORDS], packages, tell)
    tell("reading the emoji sets")
    emoji = read_emoji(packages)
    sets = {one.name: read_pictures(one, emoji, packages) for one in SETS}
    collection = collect(emoji, sets, seed, weights={one.name: one.weight for one in SETS})
    counts = ", ".join(f"{count:,} {kind}" for kind, count in by_kind(collection).items())
    tell(f"{len(collection.pictures):,} pictures ({counts}) with {len(collection.texts):,} captions")
    return collection


def foresee(
    plan: Plan,
    known: int,
    autoencoder: AutoencoderKL,
    encoder: TextEncoder,
    unet: UNet2DConditionModel,
    tell: Tell,
) -> None:
    """Tell how long all takes that is still to be learnt, unless the run of `plan` has begun, which tells it itself.

    At the step `known` names are known. `autoencoder` and `unet` stay as they are.
    """
    if (plan.folder / f"{plan.name}.pt").is_file():
        return
    tell("measuring how long a picture takes")
    lines, total = [], 0.0
    if plan.name == "unet" and not (plan.folder / "vae").is_dir():
        line, seconds = forecast.of_autoencoder(autoencoder, AUTOENCODER_STEPS * AutoencoderTask.batch, plan.folder)
        lines, total = [line], seconds
    pictures = (known * DenoiserTask.batch, (plan.steps - known) * DenoiserTask.batch)
    line, seconds = forecast.of_unet(unet, autoencoder, encoder, pictures, plan.folder)
    tell(f"the plan: {'; '.join([*lines, line])}; about {clock(total + seconds)} in all")


def learn_latents(
    folder: Path, seed: int, collection: Collection, autoencoder: AutoencoderKL, tell: Tell
) -> AutoencoderKL:
    """`autoencoder`, trained, or the one that `folder` has. Raises StoreError where that is of another seed."""
    if (folder / "vae").is_dir():
        check_seed(folder / "autoencoder.pt", seed)
        return load_part(AutoencoderKL, folder / "vae").to(autoencoder.device)
    pictures = np.stack(collection.pictures)
    task = AutoencoderTask(autoencoder, pictures, collection.probabilities(), folder / "samples")
    run = TrainingRun(task, Plan(AUTOENCODER_STEPS, seed, folder, "autoencoder", show_steps=500))
    run.resume()
    run.train(tell)
    trained: AutoencoderKL = run.averaged
    latents = encode(trained, pictures[::MEASURED]).float()
    normalise(trained, latents.mean(dim=(0, 2, 3)).to(trained.device), latents.std(dim=(0, 2, 3)).to(trained.device))
    tell(f"autoencoder: pictures come back with {fidelity(trained, pictures[:: 5 * MEASURED]):.1f} dB")
    save_part(trained, folder / "vae")
    return trained


def prepare(
    folder: Path, collection: Collection, autoencoder: AutoencoderKL, encoder: TextEncoder, tell: Tell
) -> TrainingSet:
    """What the UNet learns from: latents and states of captions, from their files where they were made before."""
    pictures = np.stack(collection.pictures)
    collection.pictures.clear()
    weights = [value.detach().cpu().numpy() for value in autoencoder.state_dict().values()]
    latents = folder / f"latents-{_digest(pictures, *weights)}.pt"
    if not latents.is_file():
        tell("encoding the pictures")
        save(encode(autoencoder, pictures), latents)
    texts = ["", *collection.texts]
    states = folder / f"texts-{_digest(np.frombuffer(chr(10).join(texts).encode(), np.uint8))}.npy"
    for other in set(folder.glob("texts-*.npy")) - {states}:
        # Each holds gigabytes, and other captions than these are not learnt again.
        other.unlink()
    encoded = encode_all(encoder, texts, states, tell)
    counts = torch.tensor([0, *map(len, collection.captions)])
    return TrainingSet(
        latents=torch.load(latents, weights_only=True),
        probabilities=torch.from_numpy(collection.probabilities()),
        captions=torch.tensor([number + 1 for numbers in collection.captions for number in numbers]),
        starts=counts.cumsum(0),
        states=encoded,
        empty=0,
        things=_numbered(collection.shown),
        wordings=_wordings(collection, encoded),
    )


def _wordings(collection: Collection, states: np.ndarray) -> list[ThingWords]:
    """The things with descriptions, by rows of `states`, in which the empty caption is the first."""
    described = {name + 1: (np.array(one.descriptions) + 1, one) for name, one in collection.described.items()}
    often = clarity(states, [rows for rows, _ in described.values()]) if described else []
    return [
        ThingWords(name, torch.from_numpy(rows), torch.tensor(one.pictures), torch.from_numpy(share))
        for (name, (rows, one)), share in zip(described.items(), often, strict=True)
    ]


def denoising(
    folder: Path,
    plan: Plan,
    lesson: TrainingSet,
    autoencoder: AutoencoderKL,
    encoder: TextEncoder,
    unet: UNet2DConditionModel,
) -> TrainingRun[DenoiserTask]:
    """The UNet's run, taken up where it was left."""
    run = TrainingRun(DenoiserTask(unet, lesson, autoencoder, encoder, folder / "samples"), plan)
    run.resume()
    return run


def _numbered(codes: list[str]) -> torch.Tensor:
    """A number for each code, the same for the same, NOTHING for ""."""
    numbers = {code: number for number, code in enumerate(sorted({*codes} - {""}))}
    return torch.tensor([numbers.get(code, NOTHING) for code in codes])


def learn(run: TrainingRun[DenoiserTask], lesson: TrainingSet, known: int, tell: Tell) -> None:
    """Go to the end of `run`, at whose step `known` names are known.

    From there on descriptions are learnt from names, and things are to be recognised in what is guessed.
    """
    if run.step < known:
        run.train(tell, until=known)
    if lesson.wordings:
        run.task.teacher = run.averaged
    if bool((lesson.things != NOTHING).any()) and run.step < run.plan.steps:
        run.task.recogniser = learn_to_recognise(run, lesson, tell)
    run.train(tell)


def learn_to_recognise(run: TrainingRun[DenoiserTask], lesson: TrainingSet, tell: Tell) -> torch.nn.Module:
    """What names things in the guesses that `run` has come to; it learns once, and stays as it is from there on."""
    device = next(run.averaged.parameters()).device
    module = make_recogniser(int(lesson.things.max()) + 1, run.plan.seed).to(device)
    plan = Plan(RECOGNISER_STEPS, run.plan.seed, run.plan.folder, f"{run.plan.name}-recogniser")
    learning = TrainingRun(RecogniserTask(module, lesson, run.averaged), plan)
    learning.resume()
    learning.train(tell)
    return learning.averaged.eval()


def export(unet: UNet2DConditionModel, autoencoder: AutoencoderKL, target: Path) -> None:
    """Write unet, vae and scheduler to `target`, in half precision: what the repository holds."""
    target.mkdir(parents=True, exist_ok=True)
    save_part(unet, target / "unet", torch.float16)
    save_part(autoencoder, target / "vae", torch.float16)
    make_scheduler().save_pretrained(target / "scheduler")


def learnt_unet(folder: Path, name: str, start: Path | None) -> UNet2DConditionModel:
    """The averaged weights of the run called `name`, from `start` or from nothing, as far as they were saved.

    Raises StoreError without any.
    """
    state = folder / f"{name}.pt"
    if not state.is_file():
        raise StoreError("Nothing was trained yet: run tempera-models train emoji-diffusion first.")
    # Weights that were continued are of the shape that they had, whatever is made from nothing today.
    unet = load_part(UNet2DConditionModel, start / "unet") if start else make_unet(Sizes(), 0)
    unet.load_state_dict(torch.load(state, map_location="cpu", weights_only=True)["averaged"])
    return unet


def load_part(kind: Any, folder: Path) -> Any:
    """A network from its folder, in single precision. Raises StoreError where it is none."""
    try:
        return kind.from_pretrained(folder, torch_dtype=torch.float32)
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{folder} should hold a diffusers {kind.__name__}: config.json and safetensors.") from error


def save_part(part: torch.nn.Module, target: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a network to its folder, which appears whole or not at all."""
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    # Through a copy, since `part` may still be learning.
    clone = type(part).from_config(part.config)  # type: ignore[attr-defined]
    clone.load_state_dict(part.state_dict())
    clone.to(dtype).save_pretrained(fresh)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
