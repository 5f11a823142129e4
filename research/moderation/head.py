"""Trains the head: a softmax regression on the engine's features of a text and its n-grams, and one on these alone."""

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

    from research.moderation.texts import Example

WEIGHT_DECAY = 1e-5
"""The value that caught most attacks with few false alarms in cross-validation."""
STEPS = 100


@dataclass(frozen=True, slots=True)
class HeadWeights:
    """The trained weights: weight (categories, features), grams (columns, categories) and bias (categories)."""

    weight: torch.Tensor
    grams: torch.Tensor
    bias: torch.Tensor


def _fit(features: torch.Tensor, gram_matrix: torch.Tensor, targets: torch.Tensor, count: int) -> HeadWeights:
    """Fit one regression to `features` (examples, features) and n-grams, by L-BFGS.

    `targets` is the number of each example's category, of which there are `count`.
    """
    weight = torch.zeros(count, features.shape[1], requires_grad=True)
    grams = torch.zeros(COLUMNS, count, requires_grad=True)
    bias = torch.zeros(count, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, grams, bias], max_iter=STEPS, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = features @ weight.T + torch.sparse.mm(gram_matrix, grams) + bias
        error = torch.nn.functional.cross_entropy(logits, targets)
        total = error + WEIGHT_DECAY * (weight.square().sum() + grams.square().sum()) / 2
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return HeadWeights(weight.detach(), grams.detach(), bias.detach())


def _gram_matrix(texts: Sequence[str]) -> torch.Tensor:
    """Return the hashed n-grams of texts as a sparse matrix (texts, columns) with rows of length 1."""
    columns_of_texts = [columns(text) for text in texts]
    rows = [row for row, of_text in enumerate(columns_of_texts) for _ in of_text]
    values = [1 / math.sqrt(len(of_text)) for of_text in columns_of_texts for _ in of_text]
    indices = torch.tensor([rows, [column for of_text in columns_of_texts for column in of_text]])
    return torch.sparse_coo_tensor(
        indices, torch.tensor(values), (len(texts), COLUMNS), check_invariants=True
    ).coalesce()


def save(folder: Path, features: torch.Tensor, examples: Sequence[Example]) -> None:
    """Fit both regressions, and write them in the format that the engine reads."""
    # “Fine” comes first, and then the others in the order of their first example.
    names = list(dict.fromkeys([FINE, *(example.category for example in examples)]))
    targets = torch.tensor([names.index(example.category) for example in examples])
    gram_matrix = _gram_matrix([example.text for example in examples])
    weights = _fit(features, gram_matrix, targets, len(names))
    words = _fit(torch.zeros(len(examples), 1), gram_matrix, targets, len(names))
    tensors = {"weight": weights.weight, "grams": weights.grams.half(), "bias": weights.bias}
    tensors |= {"word_grams": words.grams.half(), "word_bias": words.bias}
    save_file(tensors, folder / HEAD_FILE, metadata={"categories": json.dumps(names)})
