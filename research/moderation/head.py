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


def categories_of(examples: Sequence[Example]) -> tuple[str, ...]:
    """Return the categories, "fine" first and then in the order of their first example."""
    return tuple(dict.fromkeys([FINE, *(example.category for example in examples)]))


def fit(features: torch.Tensor, examples: Sequence[Example]) -> HeadWeights:
    """Fit the head to `features` (examples, features) and the n-grams of the examples, by L-BFGS."""
    names = categories_of(examples)
    targets = torch.tensor([names.index(example.category) for example in examples])
    gram_matrix = _gram_matrix([example.text for example in examples])
    weight = torch.zeros(len(names), features.shape[1], requires_grad=True)
    grams = torch.zeros(COLUMNS, len(names), requires_grad=True)
    bias = torch.zeros(len(names), requires_grad=True)
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
    names = categories_of(examples)
    weights, words = fit(features, examples), fit(torch.zeros(len(examples), 1), examples)
    tensors = {"weight": weights.weight, "grams": weights.grams.half(), "bias": weights.bias}
    tensors |= {"word_grams": words.grams.half(), "word_bias": words.bias}
    save_file(tensors, folder / HEAD_FILE, metadata={"categories": json.dumps(names)})
