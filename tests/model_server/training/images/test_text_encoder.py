"""The text encoder gives the states of captions and saves them."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from model_server.assembly import MAX_TOKENS
from model_server.errors import OperatorError
from model_server.training.images.networks import TEXT_WIDTH
from model_server.training.images.text_encoder import TextEncoder, encode_all


@pytest.fixture(scope="module")
def encoder(text_encoder: Path) -> TextEncoder:
    return TextEncoder(text_encoder, "cpu")


def test_the_states_of_a_text_do_not_depend_on_its_batch(encoder: TextEncoder) -> None:
    alone, together = encoder.encode(["a cat"]), encoder.encode(["a cat", "a red apple", ""])
    assert together.shape == (3, MAX_TOKENS, TEXT_WIDTH)
    assert torch.allclose(alone[0], together[0], atol=0.03)
    assert not torch.allclose(together[0], together[1], atol=0.1)


def test_padding_does_not_change_the_states(encoder: TextEncoder) -> None:
    with torch.no_grad():
        short = encoder.model(torch.tensor([[2, 5, 9, 3]]))[0]
    assert torch.allclose(encoder.encode(["a cat"])[:, :4], short, atol=0.05)


def test_texts_that_are_too_long_are_truncated(encoder: TextEncoder) -> None:
    longest = " ".join(["cat"] * (MAX_TOKENS - 2))
    assert torch.equal(encoder.encode([longest]), encoder.encode([f"{longest} red apple"]))


def test_states_are_saved_to_a_file_once(encoder: TextEncoder, tmp_path: Path) -> None:
    texts = ["", *(f"{thing} {number}" for thing in ("cat", "apple") for number in range(150))]
    log: list[str] = []
    states = encode_all(encoder, texts, tmp_path / "texts.npy", log.append)
    assert log == ["reading captions: 0 of 301"]
    assert states.dtype == np.float16
    for place in (0, 1, 300):
        assert np.allclose(states[place], encoder.encode([texts[place]])[0].numpy(), atol=0.03)
    read_again = encode_all(encoder, texts, tmp_path / "texts.npy", log.append)
    assert np.array_equal(states, read_again)
    assert len(log) == 1


def test_captions_that_do_not_fit_on_the_disk_are_not_written(
    encoder: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=20_000))
    with pytest.raises(OperatorError, match=r"the captions take \d+ kB under .*, and 20 kB are free\. Make room"):
        encode_all(encoder, ["a cat"] * 10, tmp_path / "texts.npy", lambda _: None)
    assert not list(tmp_path.iterdir())
    assert len(encode_all(encoder, ["a cat"], tmp_path / "texts.npy", lambda _: None)) == 1
