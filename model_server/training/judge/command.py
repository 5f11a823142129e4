"""`tempera-models judge`: how well what was trained draws, in figures and pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from model_server.assembly import assemble, is_trained
from model_server.catalogue import StoreError, load_catalogue
from model_server.engines.contract import EngineSpec
from model_server.engines.factory import create
from model_server.files.cache import ModelCache, short
from model_server.files.progress import on_stderr
from model_server.training import stages
from model_server.training.command import CATALOGUE, TEXT_ENCODER, count, tell
from model_server.training.images.emoji import read_by_any_name, read_emoji, read_pictures
from model_server.training.images.things import read_things, read_unseen
from model_server.training.judge import classifier, evaluation
from model_server.training.judge.charts import guidance_chart, sheet
from model_server.training.judge.vision import VisionNetwork, open_vision
from model_server.training.packages import JUDGE_SET, JUDGE_SETS, SETS, WORDS, fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.engines.contract import Engine
    from model_server.training.images.things import Thing
    from model_server.training.judge.evaluation import GuidanceScore, Recognised, UnseenResult

SEED = 7
FEW = 5
DRAWS = 5
"""How many pictures of each prompt are judged: of a single one each, chance moves the figures by several points."""
DESCRIPTION = """\
Trains a small classifier on the emoji sets, tests it on a set that nothing was trained on (EmojiOne 2.3, CC-BY 4.0),
and lets it judge what the model draws: 200 common things, a knob at several values, and 54 prompts that are in no set.
It sees with a network that was taught by photographs, too (EfficientNet-Lite2, Apache-2.0), which pip fetches.
Training it takes some ten minutes of one core.
"""


def main(arguments: Sequence[str]) -> int:
    """Judge, and write the figures and pictures. Raises StoreError with a sentence."""
    options = _parser().parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    store = ModelCache()
    folder = store.cache / "training" / options.model
    things = read_things()
    if options.only_judge:
        learn(folder / "packages", things, _vision(store))
        return 0
    engine = create(_spec(store, folder, options.model, options.start))
    engine.load()
    out: Path = options.out or folder / "judged"
    out.mkdir(parents=True, exist_ok=True)
    judging = learn(folder / "packages", things, _vision(store))
    examine(judging, things, engine, folder, out)
    return 0


def learn(packages: Path, things: Sequence[Thing], vision: VisionNetwork) -> classifier.PictureClassifier:
    """The judge, trained on the sets in `packages`; tells how it does on the one that nobody learnt from."""
    fetch([*(one.package for one in (*SETS, *JUDGE_SETS, JUDGE_SET)), *WORDS], packages, tell)
    emoji = read_emoji(packages)
    classes = classifier.classes_of(emoji, things)
    tell("reading the emoji sets")
    sets = [read_pictures(one, emoji, packages) for one in SETS]
    sets += [read_by_any_name(one, emoji, packages) for one in JUDGE_SETS]
    pictures, numbers = classifier.gather(sets, classes)
    tell(f"training the judge on {len(pictures):,} pictures, each disturbed in {classifier.ROUNDS} ways")
    learnt = classifier.PictureClassifier(pictures, numbers, len(things), SEED, vision.features)
    foreign = read_pictures(JUDGE_SET, emoji, packages)
    codes = {number: code for code, number in classes.items()}
    shown = np.stack([classifier.on_white(foreign[codes[number]]) for number in range(len(things))])
    places = classifier.ranks(learnt.scores(shown), range(len(things)))
    tell(
        f"as {JUDGE_SET.name} draws them, of which nothing was learnt, the judge names {np.mean(places == 0):.1%} of "
        f"{len(things)} things first and {np.mean(places < FEW):.1%} among its first five"
    )
    return learnt


def examine(
    judging: classifier.PictureClassifier, things: Sequence[Thing], engine: Engine, folder: Path, out: Path
) -> None:
    """All figures, told and written to `out` with the pictures."""
    tell(f"drawing {len(things)} things, {DRAWS} pictures of each")
    prompts = [(thing.prompt, number) for number, thing in enumerate(things)]
    seen = evaluation.recognise(judging, engine, prompts * DRAWS)
    sheet(seen.pictures[: len(things)]).save(out / "things.png")
    tell("drawing at several values of guidance")
    knobs = evaluation.turn_guidance(judging, things, engine)
    (out / "guidance.svg").write_text(guidance_chart(knobs), "utf-8")
    collection = stages.gather(folder, SEED, tell)
    learnt = np.stack(collection.pictures)
    collection.pictures.clear()
    unseen = read_unseen()
    tell(f"drawing {len(unseen)} prompts that are in no set, {DRAWS} pictures of each")
    novel = evaluation.imagine_unseen(judging, things, engine, unseen * DRAWS, learnt)
    first = slice(len(unseen))
    sheet(novel.recognised.pictures[first], learnt[novel.nearest[first]], columns=18).save(out / "unseen.png")
    copies = evaluation.nearest(seen.pictures, learnt)[1]
    captions = [thing.paraphrase for thing in things] + [one.prompt for one in unseen]
    known = [caption for caption in captions if caption in collection.texts]
    text = report(things, seen, knobs, novel, copies, known)
    (out / "report.md").write_text(text, "utf-8")
    tell(f"\n{text}\nThis and the pictures are in {short(out.absolute())}.")


def report(
    things: Sequence[Thing],
    seen: Recognised,
    knobs: Sequence[GuidanceScore],
    novel: UnseenResult,
    copies: np.ndarray,
    known: Sequence[str],
) -> str:
    """The figures beside their goals, in Markdown, for any number of draws of all things and of all unseen prompts.

    `copies` are the distances of the things' pictures to the nearest learnt ones; `known` are prompts that should be no
    captions and are.
    """
    told = np.asarray([bool(thing.paraphrase) for thing in things])
    draws = seen.places.reshape(-1, len(things))
    others = novel.recognised.places.reshape(len(draws), -1)
    each = zip((draws < 1).mean(1), (draws < FEW).mean(1), (others < 1).mean(1), strict=True)
    apart = "; ".join(f"{first:.1%}, {few:.1%}, {strange:.1%}" for first, few, strange in each)
    least, most = knobs[0], knobs[-1]
    opposite = most.score > least.score and most.diversity < least.diversity
    guided = ", ".join(f"{knob.guidance:g}: {knob.score:.2f} and {knob.diversity:.3f}" for knob in knobs)
    near, far = np.median(copies), np.median(novel.distances)
    seldom = (draws >= FEW).mean(0) > 0.5
    missed = ", ".join(thing.name for thing, is_missed in zip(things, seldom, strict=True) if is_missed)
    return "\n".join(
        [
            "| what | figure | goal | met |",
            "|---|---:|---:|---|",
            _row("things recognised first", seen.share(1), 0.6),
            _row("things among the first five", seen.share(FEW), 0.85),
            _row("named things first", float((draws[:, ~told] < 1).mean())),
            _row("paraphrased things first", float((draws[:, told] < 1).mean())),
            _row("unseen prompts: the thing first", novel.recognised.share(1), 0.5),
            _row("unseen prompts: the colour rules", float(np.mean(novel.coloured)), 0.7),
            "",
            f"- Things first, among the first five, and unseen things first, in each draw: {apart}.",
            f"- The judge’s score and the diversity at each guidance: {guided}.",
            f"- From the least to the most guidance the score rises and the diversity falls: {_yes(opposite)}.",
            f"- Distance to the nearest learnt picture, median: {near:.3f}, of the unseen prompts {far:.3f}.",
            f"- Not among the first five in most draws: {missed or 'none'}.",
            f"- Prompts that should be no captions and are: {', '.join(known) or 'none'}.",
            "",
        ]
    )


def _row(what: str, figure: float, goal: float | None = None) -> str:
    if goal is None:
        return f"| {what} | {figure:.1%} | | |"
    return f"| {what} | {figure:.1%} | ≥ {goal:.0%} | {_yes(figure >= goal)} |"


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _spec(store: ModelCache, folder: Path, name: str, start: Path | None) -> EngineSpec:
    """The catalogue's model, or with its options one of the weights in `start`."""
    catalogue = load_catalogue(CATALOGUE)
    pipeline = folder / "pipeline"
    with on_stderr() as progress:
        if start is None:
            pipeline = store.ensure(catalogue[name], progress)
        elif is_trained(start):
            assemble(start, store.ensure(catalogue[TEXT_ENCODER], progress), pipeline)
        else:
            raise StoreError(f"{start} should hold weights of this model: the folders unet, vae and scheduler.")
    return EngineSpec(name=name, engine="diffusion", folder=pipeline, options=catalogue[name].options)


def _vision(store: ModelCache) -> VisionNetwork:
    with on_stderr() as progress:
        return open_vision(store, progress)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tempera-models judge", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=["emoji-diffusion"], help="what is judged")
    parser.add_argument(
        "--from",
        type=Path,
        dest="start",
        metavar="FOLDER",
        help="judge these weights, as train writes them with --export, instead of the catalogue's",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where figures and pictures go (default: beside the training)"
    )
    parser.add_argument("--threads", type=count, help="of the CPU; fewer are faster where other work needs the cores")
    parser.add_argument("--only-judge", action="store_true", help="train and test the judge, and draw nothing")
    return parser
