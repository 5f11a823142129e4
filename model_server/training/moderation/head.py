"""The head: softmax regression on what the engine reads of a text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from model_server.engines.moderation import FINE, HEAD

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_server.training.moderation.texts import Example

DECAY = 3e-5
"""Of the weights; of the values tried in cross-validation the one that caught most at few false alarms."""
STEPS = 300


def categories_of(examples: Sequence[Example]) -> tuple[str, ...]:
    """The categories, "fine" first and then in the order of their first example."""
    return tuple(dict.fromkeys([FINE, *(example.category for example in examples)]))


def fit(features: torch.Tensor, examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (categories, features) and bias (categories) for `features` (examples, features), by L-BFGS."""
    names = categories_of(examples)
    wanted = torch.tensor([names.index(example.category) for example in examples])
    weight = torch.zeros(len(names), features.shape[1], requires_grad=True)
    bias = torch.zeros(len(names), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        error = torch.nn.functional.cross_entropy(features @ weight.T + bias, wanted)
        total = error + DECAY * weight.square().sum() / 2
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def save(folder: Path, weight: torch.Tensor, bias: torch.Tensor, names: Sequence[str]) -> None:
    """Write the head as the engine reads it."""
    save_file({"weight": weight, "bias": bias}, folder / HEAD, metadata={"categories": json.dumps(list(names))})
