"""Measures the loss of the served weights against float32: `python -m model_server.engines.language.quality SPEC`.

SPEC is an EngineSpec as JSON. The last line on stdout is a JSON object: `kl`, the mean Kullback-Leibler divergence of
the served distribution of the next token from that of float32, in nats; `top1`, the share of positions at which both
have the same most probable token; `positions`, their number; `served`, a description of the runner.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM

from model_server.engines.contract import EngineSpec
from model_server.engines.language.loading import load_model
from model_server.engines.language.runners.runner import Chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.engines.language.runners.runner import Runner

TEXTS = Path(__file__).with_name("quality.txt")
"""Prose, a recipe, code, a dialogue, German, a table and queries."""
SEPARATOR = "\n%%\n"


def measure(runner: Runner, reference: Any, texts: Sequence[tuple[int, ...]]) -> dict[str, float]:
    """Return `kl`, `top1` and `positions` of a runner over token ids. `reference`: transformers' model in float32."""
    divergence, agreed, positions = 0.0, 0, 0
    with torch.inference_mode():
        for begin in range(0, len(texts), runner.slots):
            group = texts[begin : begin + runner.slots]
            served = _compute_logits(runner, group)
            for ids, rows in zip(group, served, strict=True):
                exact = reference(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
                logits = rows.log_softmax(-1)
                divergence += float((exact.exp() * (exact - logits)).nansum())
                agreed += int((exact.argmax(-1) == logits.argmax(-1)).sum())
                positions += len(ids)
    return {"kl": divergence / positions, "top1": agreed / positions, "positions": positions}


def _compute_logits(runner: Runner, texts: Sequence[tuple[int, ...]]) -> list[torch.Tensor]:
    """Return the logits after every token of each text, [tokens, V], computed token by token as in decoding."""
    rows: list[list[torch.Tensor]] = [[] for _ in texts]
    for position in range(max(map(len, texts))):
        chunks = [Chunk(slot, position, (ids[position],)) for slot, ids in enumerate(texts) if position < len(ids)]
        for chunk, logits in zip(chunks, runner.forward(chunks), strict=True):
            rows[chunk.slot].append(logits.to("cpu", torch.float32))
    return [torch.stack(logits) for logits in rows]


def main() -> None:
    """Measure the model of the first argument."""
    spec = EngineSpec.from_json(sys.argv[1])
    served = load_model(spec)
    texts = [tuple(served.tokenizer(text).input_ids) for text in TEXTS.read_text("utf-8").split(SEPARATOR)]
    reference: Any = AutoModelForCausalLM.from_pretrained(str(spec.folder), dtype=torch.float32, local_files_only=True)
    found = measure(served.runner, reference.eval(), texts)
    sys.stdout.write(json.dumps(found | {"served": served.runner_description}) + "\n")


if __name__ == "__main__":
    main()
