"""The choice of files of a repository that make up a model."""

import json
import socket
from pathlib import Path

import pytest
from fakes.registries.hub import fake_hub
from huggingface_hub import constants

from model_server.catalogue import CatalogueEntry
from model_server.files.cache import ModelCache
from model_server.files.hub import is_on_hub

PIPELINE = {
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.safetensors": b"plain",
    "unet/diffusion_pytorch_model.fp16.safetensors": b"half",
    "text_encoder/config.json": b"{}",
    "text_encoder/model.safetensors.index.json": b"{}",
    "text_encoder/model-00001-of-00002.safetensors": b"1",
    "text_encoder/model-00002-of-00002.safetensors": b"2",
    "text_encoder/model.fp16-00001-of-00001.safetensors": b"1",
    "text_encoder/model.safetensors.index.fp16.json": b"{}",
    "vae/config.json": b"{}",
    "vae/diffusion_pytorch_model.safetensors": b"plain",
    "tokenizer/vocab.json": b"{}",
    "tokenizer/merges.txt": b"",
}


def pipeline(options: dict[str, bool | int | float | str]) -> CatalogueEntry:
    return CatalogueEntry(
        name="tiny",
        engine="diffusion",
        description="Draws",
        licence="MIT",
        repository="some/model",
        options=options,
    )


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_of_a_pipeline_only_its_parts_are_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str | None
) -> None:
    model_cache = ModelCache(tmp_path)
    names = ("unet", "text_encoder", "vae", "tokenizer")
    index = {name: ["diffusers", "X"] for name in names} | {"_class_name": "P", "safety_checker": [None, None]}
    more = {
        "model_index.json": json.dumps(index).encode(),
        "whole.safetensors": b"",
        "unet/model.onnx": b"",
        "unet/model.bin": b"",
        "safety_checker/model.safetensors": b"",
        "vae_old/diffusion_pytorch_model.safetensors": b"",
    }
    entry = pipeline({"variant": variant} if variant else {})
    with fake_hub(PIPELINE | more) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        folder = model_cache.ensure(entry)
    brought = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    half = {name for name in PIPELINE if "fp16" in name}
    plain = {name for name in PIPELINE if ".safetensors" in name} - half
    chosen = half | {"vae/diffusion_pytorch_model.safetensors"} if variant else plain
    others = {name for name in PIPELINE if ".safetensors" not in name}
    assert brought == others | chosen | {"model_index.json", ".origin.json"}
    assert model_cache.find_ready_folder(pipeline({"variant": "bf16"})) is None


@pytest.mark.parametrize(("status", "offline", "found"), [(200, False, True), (403, False, False), (200, True, False)])
def test_a_repository_is_found_unless_something_else_answers_for_the_hub(
    monkeypatch: pytest.MonkeyPatch, status: int, offline: bool, found: bool
) -> None:
    """A school's filter answers as well, and nothing can be fetched behind it."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    with fake_hub({}, status=status) as url:
        monkeypatch.setattr(constants, "ENDPOINT", url)
        assert is_on_hub("some/model") is found


def test_a_hub_that_takes_connections_and_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert not is_on_hub("some/model", timeout_seconds=0.2)
    assert not is_on_hub("some/model")
