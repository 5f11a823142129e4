"""How far the served weights are from full precision: `python -m model_server.engines.language.quality SPEC`.

SPEC is an EngineSpec as JSON. The last line on stdout is a JSON object: `kl`, the mean Kullback-Leibler divergence of
the served distribution of the next token from that of fp32, in nats; `top1`, in which part of the positions both have
the same most probable token; `positions`, how many there were; `served`, which numbers are computed with.
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
"""Prose, a recipe, code, a dialogue, German, a table, queries; parted by lines of their own."""
PARTING = "\n%%\n"


def measure(runner: Runner, reference: Any, texts: Sequence[tuple[int, ...]]) -> dict[str, float]:
    """`kl`, `top1` and `positions` of a runner over token ids; `reference` is transformers' model in fp32."""
    divergence, agreed, positions = 0.0, 0, 0
    with torch.inference_mode():
        for begin in range(0, len(texts), runner.slots):
            group = texts[begin : begin + runner.slots]
            served = _by_position(runner, group)
            for ids, rows in zip(group, served, strict=True):
                exact = reference(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
                own = rows.log_softmax(-1)
                divergence += float((exact.exp() * (exact - own)).nansum())
                agreed += int((exact.argmax(-1) == own.argmax(-1)).sum())
                positions += len(ids)
    return {"kl": divergence / positions, "top1": agreed / positions, "positions": positions}


def _by_position(runner: Runner, texts: Sequence[tuple[int, ...]]) -> list[torch.Tensor]:
    """The logits after every token of each text, [tokens, V]: read one token at a time, as answers are written."""
    rows: list[list[torch.Tensor]] = [[] for _ in texts]
    for position in range(max(map(len, texts))):
        chunks = [Chunk(slot, position, (ids[position],)) for slot, ids in enumerate(texts) if position < len(ids)]
        for chunk, logits in zip(chunks, runner.forward(chunks), strict=True):
            rows[chunk.slot].append(logits.to("cpu", torch.float32))
    return [torch.stack(own) for own in rows]


def main() -> None:
    """Measure what the first argument describes."""
    described = json.loads(sys.argv[1])
    spec = EngineSpec(**described | {"folder": Path(described["folder"])})
    served = load_model(spec)
    texts = [tuple(served.tokenizer(text).input_ids) for text in TEXTS.read_text("utf-8").split(PARTING)]
    reference: Any = AutoModelForCausalLM.from_pretrained(str(spec.folder), dtype=torch.float32, local_files_only=True)
    found = measure(served.runner, reference.eval(), texts)
    sys.stdout.write(json.dumps(found | {"served": served.choice}) + "\n")


if __name__ == "__main__":
    main()
