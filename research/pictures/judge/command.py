"""`python -m research.judge`: evaluates the trained image model, in figures and pictures."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
import torch

from model_server.assembly import assemble, is_trained
from model_server.catalogue import load_catalogue
from model_server.engines.contract import EngineSpec
from model_server.engines.factory import create
from model_server.errors import OperatorError
from model_server.files.cache import ModelCache, shorten
from model_server.files.progress import progress_on_stderr
from research.console import add_judging_options, print_line
from research.packages import JUDGE_TEST_SET, JUDGE_TRAINING_SETS, PIXEL_SETS, WORD_PACKAGES, fetch
from research.pictures.command import CATALOGUE, TEXT_ENCODER
from research.pictures.data.emoji import SMALL_SIZE, read_emoji, read_pictures, read_pictures_by_any_name
from research.pictures.data.scenes import centre
from research.pictures.data.things import read_things, read_unseen_prompts
from research.pictures.judge import classifier, copies, evaluation
from research.pictures.judge.charts import make_guidance_chart, make_sheet
from research.pictures.judge.vision import VisionNetwork, open_vision
from research.pictures.training import stages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from model_server.engines.contract import Engine
    from research.pictures.data.things import Thing
    from research.pictures.judge.evaluation import GuidanceScore, RecognitionResult, UnseenResult, Variety

SEED = 7
TOP_FIVE = 5
PICTURES_PER_PROMPT = 5
"""With a single picture of each prompt, chance moves the figures by several points."""
DESCRIPTION = """\
Trains a small classifier, the judge, on the emoji sets, and tests it on a set that nothing was trained on (EmojiOne
2.3, CC-BY 4.0). Then the judge evaluates the pictures of the model: of 200 common things, at several values of
guidance, and of 54 prompts that are in no emoji set. The judge also uses a network that was trained on photographs
(EfficientNet-Lite2, Apache-2.0), which pip fetches. Training the judge takes about ten minutes on one core.
"""


def main(arguments: Sequence[str]) -> int:
    """Evaluate a model, and write the figures and pictures. Raises OperatorError with a sentence for the user."""
    options = _parser().parse_args(arguments)
    if options.model == "duel":
        raise OperatorError("Write duel before its options: python -m research.judge duel --threads 2.")
    if options.threads:
        torch.set_num_threads(options.threads)
    store = ModelCache()
    folder = store.folder / "training" / options.model
    things = read_things()
    if options.only_judge:
        train_judge(folder / "packages", things, _open_vision(store))
        return 0
    engine = create(_engine_spec(store, folder, options.model, options.weights))
    engine.load()
    out: Path = options.out or folder / "judged"
    out.mkdir(parents=True, exist_ok=True)
    judge, drawings = train_judge(folder / "packages", things, _open_vision(store))
    evaluate(judge, drawings, things, engine, folder, out)
    return 0


def train_judge(
    packages: Path, things: Sequence[Thing], vision: VisionNetwork
) -> tuple[classifier.PictureClassifier, dict[int, list[np.ndarray]]]:
    """Return the judge, trained on the sets in `packages`, and print its results on the test set.

    Also return the drawings of the sets that it shares with the generator on white, by the number of the thing.
    """
    sets = (*PIXEL_SETS, *JUDGE_TRAINING_SETS, JUDGE_TEST_SET)
    fetch([*(one.package for one in sets), *WORD_PACKAGES], packages, print_line)
    emoji = read_emoji(packages)
    classes = classifier.map_classes(emoji, things)
    print_line("reading the emoji sets")
    training = [read_pictures(one, emoji, packages, SMALL_SIZE) for one in PIXEL_SETS]
    training += [read_pictures_by_any_name(one, emoji, packages, SMALL_SIZE) for one in JUDGE_TRAINING_SETS]
    pictures, numbers = classifier.stack_pictures(training, classes)
    print_line(f"training the judge on {len(pictures):,} pictures, each augmented in {classifier.AUGMENTATIONS} ways")
    judge = classifier.PictureClassifier(pictures, numbers, len(things), SEED, vision.features)
    test = read_pictures(JUDGE_TEST_SET, emoji, packages, SMALL_SIZE)
    codes = {number: code for code, number in classes.items()}
    test_pictures = np.stack([centre(test[codes[number]]) for number in range(len(things))])
    ranks = classifier.rank_right_things(judge.scores(test_pictures), range(len(things)))
    first, among_five = np.mean(ranks == 0), np.mean(ranks < TOP_FIVE)
    print_line(
        f"as {JUDGE_TEST_SET.name} draws them, which nothing was trained on, the judge names {first:.1%} of "
        f"{len(things)} things first and {among_five:.1%} among its first five"
    )
    drawings: dict[int, list[np.ndarray]] = {}
    for one in training[: len(PIXEL_SETS)]:
        for number, code in codes.items():
            if code in one:
                drawings.setdefault(number, []).append(centre(one[code]))
    return judge, drawings


def evaluate(
    judge: classifier.PictureClassifier,
    drawings: Mapping[int, Sequence[np.ndarray]],
    things: Sequence[Thing],
    engine: Engine,
    folder: Path,
    out: Path,
) -> None:
    """Run all evaluations, print the report, and write it to `out` with the pictures."""
    print_line(f"drawing {len(things)} things, {PICTURES_PER_PROMPT} pictures of each")
    prompts = [(thing.prompt, number) for number, thing in enumerate(things)]
    recognised = evaluation.evaluate_recognition(judge, engine, prompts, draws=PICTURES_PER_PROMPT)
    make_sheet(recognised.pictures[: len(things)]).save(out / "things.png")
    print_line("measuring how different the pictures of one prompt are")
    variety = evaluation.evaluate_variety(judge, engine, things, drawings)
    print_line("drawing at several values of guidance")
    guidance_scores = evaluation.evaluate_guidance(judge, things, engine)
    (out / "guidance.svg").write_text(make_guidance_chart(guidance_scores), "utf-8")
    collection = stages.build_collection(folder, SEED, print_line)
    training_pictures = evaluation.shrink(collection.pictures)
    collection.pictures.clear()
    unseen_prompts = read_unseen_prompts()
    print_line(f"drawing {len(unseen_prompts)} prompts that are in no set, {PICTURES_PER_PROMPT} pictures of each")
    unseen = evaluation.evaluate_unseen(
        judge, things, engine, unseen_prompts, training_pictures, draws=PICTURES_PER_PROMPT
    )
    first_draw = slice(len(unseen_prompts))
    scale = recognised.pictures.shape[1] // training_pictures.shape[1]
    nearest = training_pictures[unseen.nearest].repeat(scale, axis=1).repeat(scale, axis=2)
    make_sheet(unseen.recognised.pictures[first_draw], nearest, columns=18).save(out / "unseen.png")
    print_line("measuring how near the pictures are to drawings")
    small = evaluation.shrink(recognised.pictures)
    distances = copies.Distances(
        copies.find_nearest(small[: len(things)], training_pictures)[1],
        unseen.nearest_distances,
        copies.measure_looked_at(small, recognised.references),
    )
    test_prompts = [thing.paraphrase for thing in things] + [prompt.prompt for prompt in unseen_prompts]
    leaked = [prompt for prompt in test_prompts if prompt in collection.texts]
    text = format_report(things, recognised, variety, guidance_scores, unseen, distances, leaked)
    (out / "report.md").write_text(text, "utf-8")
    print_line(f"\n{text}\nThe report and the pictures are in {shorten(out.absolute())}.")


def format_report(
    things: Sequence[Thing],
    recognised: RecognitionResult,
    variety: Variety,
    guidance_scores: Sequence[GuidanceScore],
    unseen: UnseenResult,
    distances: copies.Distances,
    leaked: Sequence[str],
) -> str:
    """Return the figures and their goals in Markdown, for any number of pictures per prompt.

    `leaked` are test prompts that are also captions.
    """
    has_paraphrase = np.asarray([bool(thing.paraphrase) for thing in things])
    ranks = recognised.ranks.reshape(-1, len(things))
    unseen_ranks = unseen.recognised.ranks.reshape(len(ranks), -1)
    shares = zip((ranks < 1).mean(1), (ranks < TOP_FIVE).mean(1), (unseen_ranks < 1).mean(1), strict=True)
    by_draw = "; ".join(f"{first:.1%}, {five:.1%}, {unseen_first:.1%}" for first, five, unseen_first in shares)
    lowest, highest = guidance_scores[0], guidance_scores[-1]
    trades = highest.score > lowest.score and highest.diversity < lowest.diversity
    by_guidance = ", ".join(f"{one.guidance:g}: {one.score:.2f} and {one.diversity:.3f}" for one in guidance_scores)
    is_missed = (ranks >= TOP_FIVE).mean(0) > 0.5
    missed = ", ".join(thing.name for thing, missing in zip(things, is_missed, strict=True) if missing)
    return "\n".join(
        [
            "| what | figure | goal | met |",
            "|---|---:|---:|---|",
            _format_row("things recognised first", recognised.top_share(1), 0.6),
            _format_row("things among the first five", recognised.top_share(TOP_FIVE), 0.85),
            _format_row("named things first", float((ranks[:, ~has_paraphrase] < 1).mean())),
            _format_row("paraphrased things first", float((ranks[:, has_paraphrase] < 1).mean())),
            _format_row("unseen prompts: the thing first", unseen.recognised.top_share(1), 0.5),
            _format_row("unseen prompts: the right main colour", float(np.mean(unseen.colour_is_right)), 0.7),
            _format_row(
                "judge’s features: distance of four pictures, of that of the sets’ drawings", variety.share, 0.6
            ),
            "",
            f"- Distance of four pictures of one thing: {variety.mean:.3f} on average, {variety.least:.3f} at least.",
            f"- Things first, among the first five, and unseen things first, in each draw: {by_draw}.",
            f"- The judge’s score and the diversity at each guidance: {by_guidance}.",
            f"- From the least to the most guidance the score rises and the diversity falls: {_yes_or_no(trades)}.",
            f"- Median distance to the nearest training picture: {_format_distances(distances.learnt)}.",
            f"- The same for unseen prompts: {_format_distances(distances.unseen)}.",
            f"- To the nearest drawing that a picture looked at: {_format_distances(distances.looked_at)}.",
            "- Each distance is the least over mirroring, shifts and recolouring.",
            f"- Not among the first five in most draws: {missed or 'none'}.",
            f"- Test prompts that are also captions: {', '.join(leaked) or 'none'}.",
            "",
        ]
    )


def _format_distances(distances: np.ndarray) -> str:
    if not len(distances):
        return "none"
    return f"{np.median(distances):.3f} ({(distances < copies.COPY_DISTANCE).mean():.1%} below {copies.COPY_DISTANCE})"


def _format_row(name: str, figure: float, goal: float | None = None) -> str:
    if goal is None:
        return f"| {name} | {figure:.1%} | | |"
    return f"| {name} | {figure:.1%} | ≥ {goal:.0%} | {_yes_or_no(figure >= goal)} |"


def _yes_or_no(answer: bool) -> str:
    return "yes" if answer else "no"


def _engine_spec(store: ModelCache, folder: Path, name: str, weights: Path | None) -> EngineSpec:
    """Return the engine for the catalogue's model, or for the folder `weights` with the catalogue's options."""
    catalogue = load_catalogue(CATALOGUE)
    pipeline = folder / "pipeline"
    with progress_on_stderr() as progress:
        if weights is None:
            pipeline = store.ensure(catalogue[name], progress)
        elif is_trained(weights):
            assemble(weights, store.ensure(catalogue[TEXT_ENCODER], progress), pipeline)
        else:
            raise OperatorError(f"{weights} should hold weights of this model: the folders unet, vae and scheduler.")
    return EngineSpec(name=name, engine="diffusion", folder=pipeline, options=catalogue[name].options)


def _open_vision(store: ModelCache) -> VisionNetwork:
    with progress_on_stderr() as progress:
        return open_vision(store, progress)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m research.judge", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "model", choices=["emoji-diffusion", "duel"], help="what to evaluate; duel has options of its own"
    )
    add_judging_options(parser, "these weights, as train")
    parser.add_argument("--only-judge", action="store_true", help="only train and test the judge, and draw nothing")
    return parser
