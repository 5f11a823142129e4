"""The temperature dial: what a page needs to show the next token's distribution at any temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from model_server.job import Dial, TokenLogit

if TYPE_CHECKING:
    from model_server.engines.text import Vocabulary

TEMPERATURES = tuple(step / 20 for step in range(1, 41))
TOKENS = 50


def dial(job_id: str, logits: torch.Tensor, vocabulary: Vocabulary) -> Dial:
    """The dial for one row of raw logits (V float32, -inf for what the model can never say)."""
    best = logits.topk(min(TOKENS, len(logits)))
    tokens = [
        TokenLogit((data := vocabulary.bytes(token)).decode(errors="replace"), data, token, logit)
        for token, logit in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        if logit > float("-inf")
    ]
    heights = logits[logits > float("-inf")].to(torch.float64)
    top = float(heights.max())
    heights -= top
    sums, entropies = [], []
    for temperature in TEMPERATURES:
        scaled = heights / temperature
        weights = scaled.exp()
        total = weights.sum()
        log_total = float(total.log())
        sums.append(log_total + top / temperature)
        entropies.append(log_total - float(weights.dot(scaled) / total))
    return Dial(job_id, tuple(tokens), TEMPERATURES, tuple(sums), tuple(entropies))
