"""Assembles weights of this project and a text encoder in the cache."""

import hashlib
import json
from pathlib import Path

import pytest

from model_server.assembly import DUEL_FILES, MAX_TOKENS, PIPELINE_PARTS
from model_server.catalogue import CatalogueEntry, load_catalogue
from model_server.errors import OperatorError
from model_server.files.cache import ModelCache

ENCODER = {
    "config.json": json.dumps({"hidden_size": 8}).encode(),
    "model.safetensors": b"encoder",
    "tokenizer.json": b"{}",
    "tokenizer_config.json": json.dumps({"model_max_length": 512}).encode(),
    "special_tokens_map.json": b"{}",
}


def put(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """A catalogue with a model of trained weights whose text encoder is another model."""
    put(tmp_path / "encoder", ENCODER)
    for part in PIPELINE_PARTS:
        put(tmp_path / "weights" / part, {"config.json": b"{}", ".hidden": b""})
    for part in ("unet", "vae"):
        put(tmp_path / "weights" / part, {"diffusion_pytorch_model.safetensors": part.encode()})
    files = ", ".join(
        f'{{ name = "{name}", size = {len(content)}, sha256 = "{hashlib.sha256(content).hexdigest()}" }}'
        for name, content in ENCODER.items()
    )
    path = tmp_path / "models.toml"
    path.write_text(
        '[models.drawer]\nengine = "diffusion"\ndescription = "Draws"\nlicence = "MIT"\n'
        'weights = "weights"\ntext_encoder = "encoder"\n'
        f'[models.encoder]\nengine = "embedding"\ndescription = "Reads"\nlicence = "MIT"\nfiles = [{files}]\n'
        'sources = ["encoder"]\n'
    )
    return path


def drawer(catalogue: Path) -> CatalogueEntry:
    return load_catalogue(catalogue)["drawer"]


def test_the_assembled_folder_is_a_whole_pipeline(model_cache: ModelCache, catalogue: Path) -> None:
    entry = drawer(catalogue)
    assert model_cache.find_ready_folder(entry) is None
    folder = model_cache.ensure(entry)
    assert folder == model_cache.find_ready_folder(entry) == model_cache.folder / "models" / "drawer"
    assert (folder / "unet" / "diffusion_pytorch_model.safetensors").read_bytes() == b"unet"
    assert (folder / "text_encoder" / "model.safetensors").read_bytes() == b"encoder"
    assert json.loads((folder / "text_encoder" / "config.json").read_text())["use_attention_mask"] is True
    assert json.loads((folder / "tokenizer" / "tokenizer_config.json").read_text())["model_max_length"] == MAX_TOKENS
    index = json.loads((folder / "model_index.json").read_text())
    assert {part for part in index if (folder / part).is_dir()} == {*PIPELINE_PARTS, "text_encoder", "tokenizer"}
    assert not list(folder.rglob(".hidden"))
    assert not model_cache.has_partial(entry)


def test_a_model_is_assembled_once_and_again_when_its_weights_change(model_cache: ModelCache, catalogue: Path) -> None:
    entry = drawer(catalogue)
    made = model_cache.ensure(entry).stat().st_ino
    assert ModelCache(model_cache.folder).ensure(entry).stat().st_ino == made
    better = catalogue.parent / "better"
    better.write_bytes(b"better")
    better.replace(catalogue.parent / "weights" / "unet" / "diffusion_pytorch_model.safetensors")
    assert model_cache.find_ready_folder(entry) is None
    folder = model_cache.ensure(entry)
    assert (folder / "unet" / "diffusion_pytorch_model.safetensors").read_bytes() == b"better"


def test_missing_weights_are_named(model_cache: ModelCache, catalogue: Path, tmp_path: Path) -> None:
    (tmp_path / "weights" / "vae").rename(tmp_path / "elsewhere")
    with pytest.raises(OperatorError, match=r"no weights: .*weights should hold the folders unet, vae and scheduler"):
        model_cache.ensure(drawer(catalogue))
    (tmp_path / "elsewhere").rename(tmp_path / "weights" / "vae")
    (tmp_path / "encoder" / "model.safetensors").unlink()
    with pytest.raises(OperatorError, match=r"model.safetensors of encoder could not be fetched"):
        model_cache.ensure(drawer(catalogue))


def test_a_gan_of_faces_is_opened_where_its_weights_are(model_cache: ModelCache, tmp_path: Path) -> None:
    written = tmp_path / "models.toml"
    written.write_text('[models.faces]\nengine = "duel"\ndescription = "Faces"\nlicence = "MIT"\nweights = "faces"\n')
    entry = load_catalogue(written)["faces"]
    with pytest.raises(
        OperatorError, match="should hold duel.safetensors, broken.safetensors, real.png, as python -m research.train"
    ):
        model_cache.ensure(entry)
    (tmp_path / "faces").mkdir()
    for file in DUEL_FILES:
        (tmp_path / "faces" / file).touch()
    assert model_cache.ensure(entry) == tmp_path / "faces"
