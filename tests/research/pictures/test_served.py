"""The trained model is in the catalogue, is assembled, and opened by diffusers."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes.engines.diffusion import make_job, open_image
from fakes.engines.plain_diffusers import drawn_elsewhere

from model_server.__main__ import main
from model_server.catalogue import choose, load_catalogue
from model_server.engines.contract import EngineSpec
from model_server.engines.diffusion import open_engine
from model_server.errors import OperatorError
from model_server.jobs import Finished, Picture
from research import bench
from research.pictures.training import stages
from research.pictures.training.networks import Sizes, make_autoencoder, make_unet

ROOT = Path(__file__).parents[3]
NAME, ENCODER = "emoji-diffusion", "all-minilm-l6-v2"


def overlay(folder: Path, weights: Path, text_encoder: Path) -> str:
    """A catalogue that changes only the weights of the built-in entry, and has a tiny text encoder."""
    files = ", ".join(
        f'{{ name = "{path.name}", size = {path.stat().st_size}, '
        f'sha256 = "{hashlib.sha256(path.read_bytes()).hexdigest()}" }}'
        for path in text_encoder.iterdir()
    )
    path = folder / "tiny.toml"
    path.write_text(
        f'[models.{NAME}]\nweights = "{weights}"\n[models.{ENCODER}]\nfiles = [{files}]\nsources = ["{text_encoder}"]\n'
    )
    return str(path)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory, sizes: Sizes, text_encoder: Path) -> str:
    folder = tmp_path_factory.mktemp("catalogue")
    stages.export_weights(make_unet(sizes, 1), make_autoencoder(sizes, 1), folder / "weights")
    return overlay(folder, folder / "weights", text_encoder)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("TEMPERA_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def whole(catalogue: str, cache: Path) -> Path:
    """The folder of the assembled model."""
    assert main(["pull", NAME, "--catalogue", catalogue]) == 0
    return cache / "models" / NAME


def test_the_catalogue_names_the_weights_of_the_package() -> None:
    entry = load_catalogue(ROOT / "config" / "models.toml")[NAME]
    assert entry.weights == ROOT / "model_server" / "weights" / NAME
    assert entry.text_encoder is not None
    assert entry.text_encoder.name == ENCODER


@pytest.mark.processes
def test_plain_diffusers_draws_the_same_picture(whole: Path, tmp_path: Path) -> None:
    from_diffusers = drawn_elsewhere(whole, tmp_path)
    engine = open_engine(EngineSpec(name=NAME, engine="diffusion", folder=whole, device="cpu", dtype="float32"))
    engine.load()
    engine.add(make_job(prompt="a red apple", seed=7, steps=5, guidance=4.0))
    events = list(engine.step())
    while not isinstance(events[-1], Finished):
        events += engine.step()
    [from_engine] = [event.data for event in events if isinstance(event, Picture)]
    assert from_diffusers.std() > 5
    assert np.abs(np.asarray(open_image(from_engine).convert("RGB")) - from_diffusers).max() <= 1.5


def test_missing_weights_affect_only_their_own_model(
    tmp_path: Path, text_encoder: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "weights"
    empty.mkdir()
    (empty / "README.md").write_text("To come.", "utf-8")
    catalogue = overlay(tmp_path, empty, text_encoder)
    entries = load_catalogue(ROOT / "config" / "models.toml", Path(catalogue))
    assert [entry.name for entry in choose(entries, [])] == [
        name for name, entry in entries.items() if name != NAME and entry.serve and not entry.instead_of
    ]
    for command in (["pull", NAME], ["path", NAME], ["serve", "--model", NAME]):
        assert main([*command, "--catalogue", catalogue]) == 1
        error = capsys.readouterr().err
        assert f"{NAME} has no weights: " in error
        assert "should hold the folders unet, vae and scheduler, as python -m research.train writes them" in error
    with pytest.raises(OperatorError, match=f"{NAME} has no weights: "):
        bench.main(["diffusion", "--catalogue", catalogue])
    assert main(["list", "--catalogue", catalogue]) == 0
    assert "without weights" in capsys.readouterr().out
