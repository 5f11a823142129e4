"""The temperature dial: what is needed to show the next token's distribution at any temperature, and one draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from model_server.engines.common.seeding import seeded
from model_server.engines.language.sampling import distribution
from model_server.jobs import Dial, PromptToken, TokenLogit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.engines.language.detokenize import TokenBytes
    from model_server.jobs import Sampling

TEMPERATURES = tuple(step / 20 for step in range(1, 41))
TOKENS = 50


def dial(job_id: str, logits: torch.Tensor, vocabulary: TokenBytes, sampling: Sampling, prompt: Sequence[int]) -> Dial:
    """The dial for one row of raw logits (V float32, -inf for what the model can never say) after `prompt`."""
    best = logits.topk(min(TOKENS, len(logits)))
    likely = distribution(logits.clone(), sampling)
    shown = torch.cat([best.indices[best.values > float("-inf")], torch.tensor([likely.draw(seeded(sampling.seed))])])
    *tokens, drawn = [
        TokenLogit(data.decode(errors="replace"), data, token, logit, after, token in vocabulary.special)
        for token, logit, after in zip(shown.tolist(), logits[shown].tolist(), likely.probabilities(shown), strict=True)
        for data in (vocabulary.bytes(token),)
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
    read = tuple(PromptToken(vocabulary.bytes(token), token, token in vocabulary.special) for token in prompt)
    return Dial(job_id, tuple(tokens), TEMPERATURES, tuple(sums), tuple(entropies), drawn, read)
