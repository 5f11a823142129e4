"""`tempera-models judge` on tiny networks and drawings of two shapes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model_server.__main__ import main
from model_server.engines.contract import Misconfigured
from model_server.training import stages
from model_server.training.images.collection import Collection
from model_server.training.images.emoji import Emoji
from model_server.training.images.networks import Sizes, make_autoencoder, make_unet
from model_server.training.images.things import Thing, read_things, read_unseen_prompts
from model_server.training.judge import classifier, evaluation
from model_server.training.judge import command as judging
from model_server.training.judge.evaluation import GuidanceScore, RecognitionResult, UnseenResult
from model_server.training.packages import JUDGE_TEST_SET, EmojiSet

MODEL = "emoji-diffusion"
ASKED = {prompt.code for prompt in read_unseen_prompts()}
THOSE_ASKED = [thing for thing in read_things() if thing.code in ASKED]
"""A quarter of the things: the judge learns them as it learns all, and sooner."""


class Blurred:
    """Sees colours here and there, and no more."""

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(pictures, 16).flatten(1)


def drawing(number: int) -> np.ndarray:
    """A bar whose direction and colour say which of the things it is."""
    picture = np.zeros((64, 64, 4), np.uint8)
    rows, columns = (slice(6, 58), slice(22, 42)) if number % 2 else (slice(22, 42), slice(6, 58))
    picture[rows, columns] = (220, 30, 30, 255) if number % 4 < 2 else (30, 60, 220, 255)
    return picture


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, squares: np.ndarray) -> Path:
    """The folder of the training, with emoji sets of our own; `fetched` in it says which packages were asked for."""
    folder = tmp_path / "cache" / "training" / MODEL
    listed = [Emoji(thing.code, thing.name, (), (), "Objects") for thing in read_things()]

    def fetch(packages: list[object], target: Path, tell: object) -> None:
        target.mkdir(parents=True, exist_ok=True)
        (target / "fetched").write_text("\n".join(package.name for package in packages), "utf-8")

    def pictures(one: EmojiSet, emoji: list[Emoji], target: Path) -> dict[str, np.ndarray]:
        return {each.code: drawing(number) for number, each in enumerate(emoji)}

    def build_collection(target: Path, seed: int, tell: object) -> Collection:
        made = Collection()
        for picture in squares:
            made.add("plain", picture, 1.0, ["a cat in the snow", "a blue apple"])
        return made

    monkeypatch.setenv("TEMPERA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(judging, "fetch", fetch)
    monkeypatch.setattr(judging, "read_emoji", lambda target: listed)
    monkeypatch.setattr(judging, "read_pictures", pictures)
    monkeypatch.setattr(judging, "read_pictures_by_any_name", pictures)
    monkeypatch.setattr(judging, "read_things", lambda: THOSE_ASKED)
    monkeypatch.setattr(judging, "open_vision", lambda store, progress: Blurred())
    monkeypatch.setattr(stages, "build_collection", build_collection)
    monkeypatch.setattr(classifier, "AUGMENTATIONS", 1)
    monkeypatch.setattr(classifier, "RANDOM_FEATURES", 16)
    monkeypatch.setattr(classifier, "VIEWS", ((1.0, 0.0, 0.0),))
    monkeypatch.setattr(evaluation, "STEPS", 1)
    monkeypatch.setattr(evaluation, "THING_STRIDE", 100)
    monkeypatch.setattr(judging, "PICTURES_PER_PROMPT", 2)
    return folder


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text_encoder: Path) -> Path:
    """One whose last line takes options of the model."""
    path = tmp_path / "models.toml"
    path.write_text(
        f'[models.{judging.TEXT_ENCODER}]\nengine = "embedding"\ndescription = "Reads"\nlicence = "MIT"\n'
        f'folder = "{text_encoder}"\n'
        f'[models.{MODEL}]\nengine = "diffusion"\ndescription = "Draws"\nlicence = "MIT"\nfolder = "{tmp_path}"\n'
    )
    monkeypatch.setattr(judging, "CATALOGUE", path)
    return path


@pytest.mark.usefixtures("home")
def test_it_draws_as_the_catalogue_says(catalogue: Path, tmp_path: Path, sizes: Sizes) -> None:
    catalogue.write_text(catalogue.read_text("utf-8") + "options = { guidance_rescale = 2.0 }\n", "utf-8")
    stages.export_weights(make_unet(sizes, 1), make_autoencoder(sizes, 1), tmp_path / "weights")
    with pytest.raises(Misconfigured, match=r"The guidance_rescale is 2; it must be from 0 to 1\."):
        main(["judge", MODEL, "--from", str(tmp_path / "weights"), "--threads", "1"])


@pytest.mark.usefixtures("catalogue")
def test_weights_are_judged_and_figures_and_pictures_written(
    home: Path, tmp_path: Path, sizes: Sizes, capsys: pytest.CaptureFixture[str]
) -> None:
    stages.export_weights(make_unet(sizes, 1), make_autoencoder(sizes, 1), tmp_path / "weights")
    command = ["judge", MODEL, "--from", str(tmp_path / "weights"), "--out", str(tmp_path / "out"), "--threads", "1"]
    assert main(command) == 0
    told = capsys.readouterr().out
    report = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert report in told
    assert "as emojione draws them, which nothing was trained on, the judge names " in told
    assert JUDGE_TEST_SET.package.name in (home / "packages" / "fetched").read_text("utf-8").splitlines()
    assert "| things recognised first |" in report
    [apart] = [line for line in report.splitlines() if "in each draw" in line]
    assert apart.count(";") == 1
    assert "- Test prompts that are also captions: a blue apple." in report
    assert Image.open(tmp_path / "out" / "things.png").size == (20 * 64, 3 * 68)
    assert Image.open(tmp_path / "out" / "unseen.png").size == (18 * 64, 3 * 132)
    assert (tmp_path / "out" / "guidance.svg").read_text("utf-8").startswith("<svg")


def test_the_judge_alone_draws_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", MODEL, "--only-judge", "--threads", "1"]) == 0
    told = capsys.readouterr().out
    assert f"training the judge on {8 * len(THOSE_ASKED)} pictures, each augmented in 1 ways" in told
    assert f"of {len(THOSE_ASKED)} things first" in told
    assert [path.name for path in home.iterdir()] == ["packages"]


def test_what_is_no_folder_of_weights_is_said_before_anything_is_learnt(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judge", MODEL, "--from", str(tmp_path / "nowhere")]) == 1
    assert "nowhere should hold weights of this model: the folders unet, vae and scheduler." in capsys.readouterr().err
    assert not home.exists()


THINGS = [Thing("a", "apple"), Thing("b", "bee", "it hums"), Thing("c", "cat")]
NONE = np.zeros((0, 64, 64, 3), np.uint8)


def told(places: list[int], **changes: object) -> str:
    seen = RecognitionResult(NONE, np.asarray(places), np.zeros(len(places)))
    unseen = np.asarray(changes.pop("unseen", [0, 1]))
    novel = UnseenResult(
        RecognitionResult(NONE, unseen, np.zeros(2)), [True, False], nearest_distances=np.asarray([0.25, 0.25])
    )
    knobs = changes.pop("knobs", [GuidanceScore(1, 0.2, 0.3), GuidanceScore(7, 0.5, 0.1)])
    return judging.format_report(THINGS, seen, knobs, replace(novel, **changes), np.asarray([0.1, 0.2, 0.3]), [])


def test_figures_stand_beside_their_goals() -> None:
    lines = told([0, 0, 7]).splitlines()
    assert "| things recognised first | 66.7% | ≥ 60% | yes |" in lines
    assert "| things among the first five | 66.7% | ≥ 85% | no |" in lines
    assert "| named things first | 50.0% | | |" in lines
    assert "| paraphrased things first | 100.0% | | |" in lines
    assert "| unseen prompts: the thing first | 50.0% | ≥ 50% | yes |" in lines
    assert "| unseen prompts: the right main colour | 50.0% | ≥ 70% | no |" in lines
    assert "- Not among the first five in most draws: cat." in lines
    assert "- Things first, among the first five, and unseen things first, in each draw: 66.7%, 66.7%, 50.0%." in lines
    assert "- Test prompts that are also captions: none." in lines
    assert any("0.200" in line and "0.250" in line for line in lines)


def test_every_draw_counts_and_one_bad_picture_is_no_thing_missed() -> None:
    lines = told([0, 0, 7, 0, 9, 7, 0, 0, 0], unseen=[0, 1] * 3).splitlines()
    assert "| things recognised first | 66.7% | ≥ 60% | yes |" in lines
    assert "| named things first | 66.7% | | |" in lines
    assert "| paraphrased things first | 66.7% | | |" in lines
    assert "- Not among the first five in most draws: cat." in lines
    [apart] = [line for line in lines if "in each draw" in line]
    assert apart.endswith("66.7%, 66.7%, 50.0%; 33.3%, 33.3%, 50.0%; 100.0%, 100.0%, 50.0%.")


@pytest.mark.parametrize(
    ("last", "word"),
    [(GuidanceScore(7, 0.5, 0.1), "yes"), (GuidanceScore(7, 0.1, 0.1), "no"), (GuidanceScore(7, 0.5, 0.4), "no")],
)
def test_guidance_should_raise_the_score_and_lower_the_diversity(last: GuidanceScore, word: str) -> None:
    assert f"the score rises and the diversity falls: {word}." in told(
        [0, 0, 0], knobs=[GuidanceScore(1, 0.2, 0.3), last]
    )
