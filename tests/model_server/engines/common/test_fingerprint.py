"""The fingerprint of a model changes with its weights alone."""

from pathlib import Path

import pytest

from model_server.engines.common.fingerprint import PART_BYTES, compute_fingerprint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "weights.safetensors").write_bytes(bytes(3 * PART_BYTES))
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def test_equal_weights_have_the_same_fingerprint(folder: Path) -> None:
    before = compute_fingerprint(folder)
    assert len(before) == 8
    (folder / "config.json").write_text("{ }")
    assert compute_fingerprint(folder) == before


@pytest.mark.parametrize("place", [0, -1])
def test_other_weights_have_another_one(folder: Path, place: int) -> None:
    before = compute_fingerprint(folder)
    content = bytearray(3 * PART_BYTES)
    content[place] = 1
    (folder / "unet" / "weights.safetensors").write_bytes(content)
    assert compute_fingerprint(folder) != before


def test_a_folder_without_weights_has_none(tmp_path: Path) -> None:
    assert compute_fingerprint(tmp_path) == ""
