"""The text encoder gives the states of captions, and they are kept."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model_server.assembly import MAX_TOKENS
from research.pictures.training import text_encoder as text_encoder_module
from research.pictures.training.networks import TEXT_WIDTH
from research.pictures.training.text_encoder import TextEncoder, TextStates


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


def test_each_text_is_encoded_once(encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    encode = encoder.encode
    monkeypatch.setattr(encoder, "encode", lambda texts: asked.extend(texts) or encode(texts))
    texts = ["", "a cat", "a red apple", "blue"]
    states = TextStates(encoder, texts)
    first = states[np.array([2, 0, 2])]
    assert first.dtype == np.float16
    assert np.allclose(first, encode(["a red apple", "", "a red apple"]).numpy(), atol=0.03)
    assert asked == ["a red apple", ""]
    assert np.array_equal(states[np.array([1, 2])][1], first[0])
    assert asked == ["a red apple", "", "a cat"]


def test_states_are_forgotten_when_there_are_too_many(encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_encoder_module, "MAX_KNOWN", 2)
    texts = ["", "a cat", "a red apple", "blue"]
    states = TextStates(encoder, texts)
    before = [states[np.array(rows)] for rows in ([0, 1], [1, 2], [3, 2, 1, 0])]
    for rows, found in zip(([0, 1], [1, 2], [3, 2, 1, 0]), before, strict=True):
        assert np.allclose(found, encoder.encode([texts[row] for row in rows]).numpy(), atol=0.03)
