"""The head: softmax regression on what the engine reads of a text, and on its words."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from model_server.engines.moderation.engine import FINE, HEAD_FILE
from model_server.engines.moderation.grams import COLUMNS, columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_server.training.moderation.texts import Example

DECAY = 1e-5
"""Of all weights; of the values tried in cross-validation the one that caught most at few false alarms."""
STEPS = 100


@dataclass(frozen=True, slots=True)
class HeadWeights:
    """What was learnt: weight (categories, features), grams (columns, categories) and bias (categories)."""

    weight: torch.Tensor
    grams: torch.Tensor
    bias: torch.Tensor


def categories_of(examples: Sequence[Example]) -> tuple[str, ...]:
    """The categories, "fine" first and then in the order of their first example."""
    return tuple(dict.fromkeys([FINE, *(example.category for example in examples)]))


def fit(features: torch.Tensor, examples: Sequence[Example]) -> HeadWeights:
    """Fit the head to `features` (examples, features) and the words of the examples, by L-BFGS."""
    names = categories_of(examples)
    wanted = torch.tensor([names.index(example.category) for example in examples])
    words = _words([example.text for example in examples])
    weight = torch.zeros(len(names), features.shape[1], requires_grad=True)
    grams = torch.zeros(COLUMNS, len(names), requires_grad=True)
    bias = torch.zeros(len(names), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, grams, bias], max_iter=STEPS, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        odds = features @ weight.T + torch.sparse.mm(words, grams) + bias
        error = torch.nn.functional.cross_entropy(odds, wanted)
        total = error + DECAY * (weight.square().sum() + grams.square().sum()) / 2
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return HeadWeights(weight.detach(), grams.detach(), bias.detach())


def _words(texts: Sequence[str]) -> torch.Tensor:
    """Shape (texts, columns), sparse: each row has the length 1."""
    found = [columns(text) for text in texts]
    rows = [row for row, those in enumerate(found) for _ in those]
    values = [1 / math.sqrt(len(those)) for those in found for _ in those]
    places = torch.tensor([rows, [column for those in found for column in those]])
    return torch.sparse_coo_tensor(
        places, torch.tensor(values), (len(texts), COLUMNS), check_invariants=True
    ).coalesce()


def save(folder: Path, weights: HeadWeights, names: Sequence[str]) -> None:
    """Write the head as the engine reads it."""
    tensors = {"weight": weights.weight, "grams": weights.grams.half(), "bias": weights.bias}
    save_file(tensors, folder / HEAD_FILE, metadata={"categories": json.dumps(list(names))})
