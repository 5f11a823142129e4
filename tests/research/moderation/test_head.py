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
KNOWN = [True, True, True]


def test_words_alone_are_learnt_and_recognised_in_other_forms(tmp_path: Path) -> None:
    nothing = torch.zeros(len(EXAMPLES), 3)
    head.save(tmp_path, nothing, EXAMPLES)
    trained_head = Head(tmp_path / HEAD_FILE)
    assert trained_head.categories == ("fine", "hate", "violence")
    scores = trained_head.scores(["a lovely thing", "vilest", "punching"], np.zeros((3, 3), dtype=np.float32), KNOWN)
    assert scores.argmax(axis=1).tolist() == [0, 1, 2]
    assert np.allclose(scores.sum(axis=1), 1)


def test_vectors_alone_are_learnt(tmp_path: Path) -> None:
    same = [Example("thing", example.category) for example in EXAMPLES]
    vectors = torch.eye(3).repeat_interleave(2, dim=0)
    head.save(tmp_path, vectors, same)
    trained_head = Head(tmp_path / HEAD_FILE)
    vectors_seen = np.eye(3, dtype=np.float32)
    assert trained_head.scores(["thing"] * 3, vectors_seen, KNOWN).argmax(axis=1).tolist() == [0, 1, 2]
    # In a language that the encoder does not know, its vector accuses nobody of what no word says.
    accused = trained_head.scores(["thing"] * 3, vectors_seen, [False] * 3)
    assert np.allclose(accused[1:, 0], 1 / 3, atol=0.01)


def test_both_regressions_have_to_agree_where_the_language_is_unknown(tmp_path: Path) -> None:
    vectors = torch.eye(3).repeat_interleave(2, dim=0)
    head.save(tmp_path, vectors, EXAMPLES)
    trained_head = Head(tmp_path / HEAD_FILE)
    hateful = np.eye(3, dtype=np.float32)[[1, 1]]
    assert trained_head.scores(["a lovely day"] * 2, hateful, [True, False]).argmax(axis=1).tolist() == [1, 0]
    assert trained_head.scores(["a vile deed"] * 2, hateful, [True, False]).argmax(axis=1).tolist() == [1, 1]


def test_a_text_without_words_is_judged_by_its_vector(tmp_path: Path) -> None:
    head.save(tmp_path, torch.zeros(len(EXAMPLES), 3), EXAMPLES)
    assert Head(tmp_path / HEAD_FILE).scores(["…"], np.zeros((1, 3), dtype=np.float32), [True]).shape == (1, 3)
