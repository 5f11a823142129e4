"""Models that are whole folders: a local one, or a repository of the hub."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from fakes.engines.stored_models import put, refusal
from fakes.registries.hub import fake_hub

from model_server.catalogue import CatalogueEntry

if TYPE_CHECKING:
    from pathlib import Path

    from model_server.files.cache import ModelCache


def other(**origin: object) -> CatalogueEntry:
    return CatalogueEntry.model_validate(
        {"name": "tiny", "engine": "language", "description": "", "licence": "MIT"} | origin, strict=False
    )


def test_a_folder_with_safetensors_is_used_as_it_is(model_cache: ModelCache, tmp_path: Path) -> None:
    entry = other(folder=tmp_path / "model")
    assert "should be a folder with config.json and safetensors" in refusal(model_cache, entry)
    put(tmp_path / "model" / "config.json", b"{}")
    put(tmp_path / "model" / "model.safetensors", b"")
    assert model_cache.ensure(entry) == model_cache.find_ready_folder(entry) == tmp_path / "model"


def test_a_folder_with_a_pipeline_is_used_as_it_is(model_cache: ModelCache, tmp_path: Path) -> None:
    entry = other(engine="diffusion", folder=tmp_path / "model")
    assert "should be a folder with model_index.json and safetensors" in refusal(model_cache, entry)
    put(tmp_path / "model" / "model_index.json", b"{}")
    put(tmp_path / "model" / "unet" / "model.safetensors", b"")
    assert model_cache.ensure(entry) == tmp_path / "model"


def test_a_gguf_whose_target_was_deleted_is_fetched_again(model_cache: ModelCache, tmp_path: Path) -> None:
    file = {"name": "tiny.gguf", "size": 4, "sha256": hashlib.sha256(b"GGUF").hexdigest()}
    entry = other(files=[file], sources=[str(tmp_path)])
    converted = model_cache.folder / "converted" / file["sha256"]
    put(converted / "tensors.json", b"{}")
    # As on a disk without hard links, where the operator deleted the folder under “models”.
    (converted / "model.gguf").symlink_to(model_cache.folder / "models/tiny/tiny.gguf")
    assert model_cache.find_ready_folder(entry) is None
    put(model_cache.folder / "models/tiny/tiny.gguf", b"GGUF")
    assert model_cache.find_ready_folder(entry) == converted


def test_a_repository_is_downloaded_without_other_formats(
    model_cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.model": b"t"}
    more = {"README.md": b"", "onnx/model.safetensors": b"", "pytorch_model.bin": b"pickle", ".gitattributes": b""}
    entry = other(repository="some/model")
    with fake_hub(files | more) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        folder = model_cache.ensure(entry)
    assert {path.name for path in folder.iterdir()} == set(files) | {".origin.json"}
    assert model_cache.ensure(entry) == folder
    assert model_cache.find_ready_folder(other(repository="some/model", revision="v2")) is None


class BreaksOff(dict[str, bytes]):
    """The files of a repository whose last listed file cannot be downloaded."""

    def get(self, name: str, default: Any = None) -> Any:
        return default if name == list(self)[-1] else super().get(name, default)


@pytest.mark.parametrize(
    ("origin", "kept"),
    [
        ({"repository": "some/model"}, True),
        ({"repository": "other/model"}, False),
        ({"repository": "some/model", "revision": "v2"}, False),
    ],
    ids=["the same", "another repository", "another revision"],
)
def test_a_partial_repository_is_only_resumed_for_the_same_origin(
    model_cache: ModelCache, monkeypatch: pytest.MonkeyPatch, origin: dict[str, str], kept: bool
) -> None:
    first = BreaksOff({"config.json": b"{}", "first.safetensors": b"first", "missing.safetensors": b""})
    with fake_hub(first) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        refusal(model_cache, other(repository="some/model"))
    with fake_hub({"config.json": b"[]", "second.safetensors": b"second"}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        folder = model_cache.ensure(other(**origin))
    assert (folder / "config.json").read_bytes() == (b"{}" if kept else b"[]")
    assert (folder / "first.safetensors").exists() == kept
    assert (folder / "second.safetensors").exists()


@pytest.mark.parametrize(
    ("files", "status", "code", "reason"),
    [
        ({"pytorch_model.bin": b""}, 200, "", "it has no safetensors"),
        ({}, 404, "RepoNotFound", "there is no such repository, or it is private"),
        ({}, 401, "", "the hub does not accept HF_TOKEN"),
        ({}, 403, "GatedRepo", "its licence has to be accepted"),
        ({}, 404, "RevisionNotFound", "the repository has no such revision"),
        ({}, 500, "", "the hub answered with status 500"),
    ],
)
def test_the_reason_why_a_repository_cannot_be_fetched(
    model_cache: ModelCache,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, bytes],
    status: int,
    code: str,
    reason: str,
) -> None:
    with fake_hub(files, status=status, code=code) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        assert reason in refusal(model_cache, other(repository="some/model"))
    assert not (model_cache.folder / "models/tiny").exists()
