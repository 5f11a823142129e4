"""The temperature dial: the numbers that show the next token's distribution at any temperature, and one draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from http_server.wire import TEMPERATURES
from model_server.engines.common.seeding import make_generator
from model_server.engines.language.sampling import distribution
from model_server.jobs import Dial, PromptToken, TokenLogit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.engines.language.detokenize import TokenBytes
    from model_server.jobs import Sampling

SHOWN_TOKENS = 50


def make_dial(
    job_id: str, logits: torch.Tensor, vocabulary: TokenBytes, sampling: Sampling, prompt: Sequence[int]
) -> Dial:
    """Make the dial from one row of raw logits (V float32, -inf for unused ids) after `prompt`."""
    best = logits.topk(min(SHOWN_TOKENS, len(logits)))
    drawable = distribution(logits.clone(), sampling)
    shown = torch.cat(
        [best.indices[best.values > float("-inf")], torch.tensor([drawable.draw(make_generator(sampling.seed))])]
    )
    *tokens, drawn = [
        TokenLogit(data.decode(errors="replace"), data, token, logit, after, token in vocabulary.special)
        for token, logit, after in zip(
            shown.tolist(), logits[shown].tolist(), drawable.probabilities(shown), strict=True
        )
        for data in (vocabulary.bytes(token),)
    ]
    shifted = logits[logits > float("-inf")].to(torch.float64)
    top = float(shifted.max())
    shifted -= top
    sums, entropies = [], []
    for temperature in TEMPERATURES:
        scaled = shifted / temperature
        weights = scaled.exp()
        total = weights.sum()
        log_total = float(total.log())
        sums.append(log_total + top / temperature)
        entropies.append(log_total - float(weights.dot(scaled) / total))
    prompt_tokens = tuple(PromptToken(vocabulary.bytes(token), token, token in vocabulary.special) for token in prompt)
    return Dial(job_id, tuple(tokens), TEMPERATURES, tuple(sums), tuple(entropies), drawn, prompt_tokens)
