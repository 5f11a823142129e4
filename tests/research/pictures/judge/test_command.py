"""`python -m research.judge` works with tiny networks and drawings of two shapes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model_server.engines.contract import Misconfigured
from research.judge import main as run_judge
from research.packages import JUDGE_TEST_SET, EmojiSet
from research.pictures.data.collection import Collection
from research.pictures.data.emoji import Emoji
from research.pictures.data.things import Thing, read_things, read_unseen_prompts
from research.pictures.judge import classifier, evaluation
from research.pictures.judge import command as judge_command
from research.pictures.judge.copies import Distances
from research.pictures.judge.evaluation import GuidanceScore, RecognitionResult, UnseenResult, Variety
from research.pictures.training import stages
from research.pictures.training.networks import Sizes, make_autoencoder, make_unet

MODEL = "emoji-diffusion"
UNSEEN_CODES = {prompt.code for prompt in read_unseen_prompts()}
FEWER_THINGS = [thing for thing in read_things() if thing.code in UNSEEN_CODES]
"""A quarter of the things, for speed."""


class CoarseVision:
    """A stand-in for the vision network: coarse colours by position."""

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(pictures, 16).flatten(1)


def draw_bar(number: int) -> np.ndarray:
    """A bar whose direction and colour depend on the number of the thing."""
    picture = np.zeros((64, 64, 4), np.uint8)
    rows, columns = (slice(6, 58), slice(22, 42)) if number % 2 else (slice(22, 42), slice(6, 58))
    picture[rows, columns] = (220, 30, 30, 255) if number % 4 < 2 else (30, 60, 220, 255)
    return picture


@pytest.fixture
def training_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, squares: np.ndarray) -> Path:
    """The training folder with made-up emoji sets; the file `fetched` lists the packages that were asked for."""
    folder = tmp_path / "cache" / "training" / MODEL
    all_emoji = [Emoji(thing.code, thing.name, (), (), "Objects") for thing in read_things()]

    def fetch(packages: list[object], target: Path, tell: object) -> None:
        target.mkdir(parents=True, exist_ok=True)
        (target / "fetched").write_text("\n".join(package.name for package in packages), "utf-8")

    def pictures(one: EmojiSet, emoji: list[Emoji], target: Path, size: int = 64) -> dict[str, np.ndarray]:
        return {each.code: draw_bar(number) for number, each in enumerate(emoji)}

    def build_collection(target: Path, seed: int, tell: object) -> Collection:
        collection = Collection()
        for picture in squares:
            collection.add("plain", picture, 1.0, ["a cat in the snow", "a blue apple"])
        return collection

    monkeypatch.setenv("TEMPERA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(judge_command, "fetch", fetch)
    monkeypatch.setattr(judge_command, "read_emoji", lambda target: all_emoji)
    monkeypatch.setattr(judge_command, "read_pictures", pictures)
    monkeypatch.setattr(judge_command, "read_pictures_by_any_name", pictures)
    monkeypatch.setattr(judge_command, "read_things", lambda: FEWER_THINGS)
    monkeypatch.setattr(judge_command, "open_vision", lambda store, progress: CoarseVision())
    monkeypatch.setattr(stages, "build_collection", build_collection)
    monkeypatch.setattr(classifier, "AUGMENTATIONS", 1)
    monkeypatch.setattr(classifier, "RANDOM_FEATURES", 16)
    monkeypatch.setattr(classifier, "VIEWS", ((1.0, 0.0, 0.0),))
    monkeypatch.setattr(evaluation, "STEPS", 1)
    monkeypatch.setattr(evaluation, "THING_STRIDE", 100)
    monkeypatch.setattr(evaluation, "VARIETY_STRIDE", 100)
    monkeypatch.setattr(judge_command, "PICTURES_PER_PROMPT", 2)
    return folder


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text_encoder: Path) -> Path:
    """A catalogue to whose end options of the model can be appended."""
    path = tmp_path / "models.toml"
    path.write_text(
        f'[models.{judge_command.TEXT_ENCODER}]\nengine = "embedding"\ndescription = "Reads"\nlicence = "MIT"\n'
        f'folder = "{text_encoder}"\n'
        f'[models.{MODEL}]\nengine = "diffusion"\ndescription = "Draws"\nlicence = "MIT"\nfolder = "{tmp_path}"\n'
    )
    monkeypatch.setattr(judge_command, "CATALOGUE", path)
    return path


@pytest.mark.usefixtures("training_folder")
def test_the_options_of_the_catalogue_are_used(catalogue: Path, tmp_path: Path, sizes: Sizes) -> None:
    catalogue.write_text(catalogue.read_text("utf-8") + "options = { guidance_rescale = 2.0 }\n", "utf-8")
    stages.export_weights(make_unet(sizes, 1), make_autoencoder(sizes, 1), tmp_path / "weights")
    with pytest.raises(Misconfigured, match=r"The guidance_rescale is 2; it must be from 0 to 1\."):
        run_judge([MODEL, "--from", str(tmp_path / "weights"), "--threads", "1"])


@pytest.mark.usefixtures("catalogue")
def test_weights_are_evaluated_and_the_report_and_pictures_written(
    training_folder: Path, tmp_path: Path, sizes: Sizes, capsys: pytest.CaptureFixture[str]
) -> None:
    stages.export_weights(make_unet(sizes, 1), make_autoencoder(sizes, 1), tmp_path / "weights")
    command = [MODEL, "--from", str(tmp_path / "weights"), "--out", str(tmp_path / "out"), "--threads", "1"]
    assert run_judge(command) == 0
    output = capsys.readouterr().out
    report = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert report in output
    assert "as emojione draws them, which nothing was trained on, the judge names " in output
    assert JUDGE_TEST_SET.package.name in (training_folder / "packages" / "fetched").read_text("utf-8").splitlines()
    assert "| things recognised first |" in report
    [by_draw] = [line for line in report.splitlines() if "in each draw" in line]
    assert by_draw.count(";") == 1
    assert "- Test prompts that are also captions: a blue apple." in report
    assert Image.open(tmp_path / "out" / "things.png").size == (20 * 64, 3 * 68)
    assert Image.open(tmp_path / "out" / "unseen.png").size == (18 * 64, 3 * 132)
    assert (tmp_path / "out" / "guidance.svg").read_text("utf-8").startswith("<svg")


def test_only_judge_draws_nothing(training_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_judge([MODEL, "--only-judge", "--threads", "1"]) == 0
    output = capsys.readouterr().out
    assert f"training the judge on {8 * len(FEWER_THINGS)} pictures, each augmented in 1 ways" in output
    assert f"of {len(FEWER_THINGS)} things first" in output
    assert [path.name for path in training_folder.iterdir()] == ["packages"]


def test_a_folder_without_weights_is_refused_before_training(
    training_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_judge([MODEL, "--from", str(tmp_path / "nowhere")]) == 1
    assert "nowhere should hold weights of this model: the folders unet, vae and scheduler." in capsys.readouterr().err
    assert not training_folder.exists()


THINGS = [Thing("a", "apple"), Thing("b", "bee", "it hums"), Thing("c", "cat")]
NO_PICTURES = np.zeros((0, 64, 64, 3), np.uint8)


def make_report(ranks: list[int], **changes: object) -> str:
    recognised = RecognitionResult(NO_PICTURES, np.asarray(ranks), np.zeros(len(ranks)))
    unseen_ranks = np.asarray(changes.pop("unseen_ranks", [0, 1]))
    unseen_result = UnseenResult(
        RecognitionResult(NO_PICTURES, unseen_ranks, np.zeros(2)),
        [True, False],
    )
    guidance_scores = changes.pop("guidance_scores", [GuidanceScore(1, 0.2, 0.3), GuidanceScore(7, 0.5, 0.1)])
    return judge_command.format_report(
        THINGS,
        recognised,
        Variety(0.2, 0.125, 0.5),
        guidance_scores,
        replace(unseen_result, **changes),
        Distances(np.asarray([0.05, 0.2, 0.3]), np.asarray([0.25, 0.25]), np.asarray([])),
        [],
    )


def test_the_report_has_figures_and_goals() -> None:
    lines = make_report([0, 0, 7]).splitlines()
    assert "| things recognised first | 66.7% | ≥ 60% | yes |" in lines
    assert "| things among the first five | 66.7% | ≥ 85% | no |" in lines
    assert "| named things first | 50.0% | | |" in lines
    assert "| paraphrased things first | 100.0% | | |" in lines
    assert "| unseen prompts: the thing first | 50.0% | ≥ 50% | yes |" in lines
    assert "| unseen prompts: the right main colour | 50.0% | ≥ 70% | no |" in lines
    assert any(line.startswith("| judge’s features") and line.endswith("| 50.0% | ≥ 60% | no |") for line in lines)
    assert "- Distance of four pictures of one thing: 0.200 on average, 0.125 at least." in lines
    assert "- Not among the first five in most draws: cat." in lines
    assert "- Things first, among the first five, and unseen things first, in each draw: 66.7%, 66.7%, 50.0%." in lines
    assert "- Test prompts that are also captions: none." in lines
    assert "- Median distance to the nearest training picture: 0.200 (33.3% below 0.08)." in lines
    assert "- The same for unseen prompts: 0.250 (0.0% below 0.08)." in lines
    assert "- To the nearest drawing that a picture looked at: none." in lines


def test_all_draws_count_and_one_bad_picture_does_not_make_a_thing_missed() -> None:
    lines = make_report([0, 0, 7, 0, 9, 7, 0, 0, 0], unseen_ranks=[0, 1] * 3).splitlines()
    assert "| things recognised first | 66.7% | ≥ 60% | yes |" in lines
    assert "| named things first | 66.7% | | |" in lines
    assert "| paraphrased things first | 66.7% | | |" in lines
    assert "- Not among the first five in most draws: cat." in lines
    [by_draw] = [line for line in lines if "in each draw" in line]
    assert by_draw.endswith("66.7%, 66.7%, 50.0%; 33.3%, 33.3%, 50.0%; 100.0%, 100.0%, 50.0%.")


@pytest.mark.parametrize(
    ("last", "word"),
    [(GuidanceScore(7, 0.5, 0.1), "yes"), (GuidanceScore(7, 0.1, 0.1), "no"), (GuidanceScore(7, 0.5, 0.4), "no")],
)
def test_guidance_should_raise_the_score_and_lower_the_diversity(last: GuidanceScore, word: str) -> None:
    assert f"the score rises and the diversity falls: {word}." in make_report(
        [0, 0, 0], guidance_scores=[GuidanceScore(1, 0.2, 0.3), last]
    )
