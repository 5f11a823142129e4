"""The trained model is in the catalogue, and is missed alone where its weights are."""

import hashlib
from pathlib import Path

import pytest

from model_server.__main__ import main
from model_server.catalogue import choose, load_catalogue
from model_server.errors import OperatorError
from research import bench

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


def test_the_catalogue_names_the_weights_of_the_package() -> None:
    entry = load_catalogue(ROOT / "config" / "models.toml")[NAME]
    assert entry.weights == ROOT / "model_server" / "weights" / NAME
    assert entry.text_encoder is not None
    assert entry.text_encoder.name == ENCODER


def test_missing_weights_affect_only_their_own_model(
    tmp_path: Path, text_encoder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEMPERA_CACHE", str(tmp_path / "cache"))
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
