"""The head learns from vectors and from words, and the engine reads its weights."""

from pathlib import Path

import numpy as np
import torch

from model_server.engines.moderation.engine import HEAD_FILE, Head
from research.moderation import head
from research.moderation.texts import Example

EXAMPLES = [
    Example("a nice day", "fine"),
    Example("a lovely day", "fine"),
    Example("a vile deed", "hate"),
    Example("vile words", "hate"),
    Example("a punch", "violence"),
    Example("punched again", "violence"),
]


def test_words_alone_are_learnt_and_recognised_in_other_forms(tmp_path: Path) -> None:
    nothing = torch.zeros(len(EXAMPLES), 3)
    head.save(tmp_path, head.fit(nothing, EXAMPLES), head.categories_of(EXAMPLES))
    trained_head = Head(tmp_path / HEAD_FILE)
    assert trained_head.categories == ("fine", "hate", "violence")
    scores = trained_head.scores(["a lovely thing", "vilest", "punching"], np.zeros((3, 3), dtype=np.float32))
    assert scores.argmax(axis=1).tolist() == [0, 1, 2]
    assert np.allclose(scores.sum(axis=1), 1)


def test_vectors_alone_are_learnt(tmp_path: Path) -> None:
    same = [Example("thing", example.category) for example in EXAMPLES]
    vectors = torch.eye(3).repeat_interleave(2, dim=0)
    head.save(tmp_path, head.fit(vectors, same), head.categories_of(same))
    scores = Head(tmp_path / HEAD_FILE).scores(["thing"] * 3, np.eye(3, dtype=np.float32))
    assert scores.argmax(axis=1).tolist() == [0, 1, 2]


def test_a_text_without_words_is_judged_by_its_vector(tmp_path: Path) -> None:
    head.save(tmp_path, head.fit(torch.zeros(len(EXAMPLES), 3), EXAMPLES), head.categories_of(EXAMPLES))
    assert Head(tmp_path / HEAD_FILE).scores(["…"], np.zeros((1, 3), dtype=np.float32)).shape == (1, 3)
