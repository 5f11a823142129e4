"""Measures the loss of the served weights: `python -m research.bench.language.losses SPEC GGUF [FOLDER]`.

SPEC is an EngineSpec as JSON. The reference are the weights of the file GGUF, unpacked to float32. FOLDER has the
logits of another program for the same texts: `logits-N.npy`, float32 [tokens, V], and the token ids in `tokens.json`.

The last line on stdout is a JSON object: `kl`, the mean Kullback-Leibler divergence of the served distribution of the
next token from that of float32, in nats; `top1`, the share of positions at which both have the same most probable
token; `positions`, their number; `served`, a description of the runner; `bytes_per_token`, what the runner says that
it reads from memory for a token, if it does; `peer_kl` and `peer_top1` of the other program, if it reads texts as the
same tokens.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from model_server.engines.contract import EngineSpec
from model_server.engines.language.loading import load_model, unpack_gguf
from model_server.engines.language.runners.runner import Chunk
from research.bench.language.quality_texts import read_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.engines.language.runners.runner import Runner


@dataclass(slots=True)
class Loss:
    """The divergence from the reference, summed over `positions`, at `agreed` of which the first guess is the same."""

    divergence: float = 0.0
    agreed: int = 0
    positions: int = 0

    def add(self, exact: torch.Tensor, rows: torch.Tensor) -> None:
        """Add the positions of a text: log-probabilities of the reference, and logits of another one, [tokens, V]."""
        logits = rows.log_softmax(-1)
        self.divergence += float((exact.exp() * (exact - logits)).nansum())
        self.agreed += int((exact.argmax(-1) == logits.argmax(-1)).sum())
        self.positions += len(rows)

    @property
    def kl(self) -> float:
        """The mean divergence in nats."""
        return self.divergence / self.positions

    @property
    def top1(self) -> float:
        """The share of positions with the same most probable token."""
        return self.agreed / self.positions


def measure(
    runner: Runner, reference: Any, texts: Sequence[tuple[int, ...]], peer: Sequence[torch.Tensor] = ()
) -> dict[str, float]:
    """Return `kl`, `top1` and `positions` of a runner over token ids. `reference`: transformers' model in float32.

    `peer`: logits of another program for each text, which add `peer_kl` and `peer_top1`.
    """
    own, other = Loss(), Loss()
    with torch.inference_mode():
        for begin in range(0, len(texts), runner.slots):
            group = texts[begin : begin + runner.slots]
            served = _compute_logits(runner, group)
            for number, (ids, rows) in enumerate(zip(group, served, strict=True), begin):
                exact = reference(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
                own.add(exact, rows)
                if peer:
                    other.add(exact, peer[number])
    found = {"kl": own.kl, "top1": own.top1, "positions": own.positions}
    return found | ({"peer_kl": other.kl, "peer_top1": other.top1} if peer else {})


def read_peer(folder: Path, texts: Sequence[tuple[int, ...]]) -> list[torch.Tensor]:
    """Return the logits of another program for each text, or none if it has split the texts into other tokens."""
    if [tuple(ids) for ids in json.loads((folder / "tokens.json").read_text("utf-8"))] != list(texts):
        return []
    return [torch.from_numpy(np.load(folder / f"logits-{number}.npy")) for number in range(len(texts))]


def _compute_logits(runner: Runner, texts: Sequence[tuple[int, ...]]) -> list[torch.Tensor]:
    """Return the logits after every token of each text, [tokens, V], computed token by token as in decoding."""
    rows: list[list[torch.Tensor]] = [[] for _ in texts]
    for position in range(max(map(len, texts))):
        chunks = [Chunk(slot, position, (ids[position],)) for slot, ids in enumerate(texts) if position < len(ids)]
        for chunk, logits in zip(chunks, runner.forward(chunks), strict=True):
            rows[chunk.slot].append(logits.to("cpu", torch.float32))
    return [torch.stack(logits) for logits in rows]


def main() -> None:
    """Measure the model of the first argument against the file of the second."""
    spec, gguf = EngineSpec.from_json(sys.argv[1]), Path(sys.argv[2])
    served = load_model(spec)
    texts = [tuple(served.tokenizer(text).input_ids) for text in read_texts()]
    peer = read_peer(Path(sys.argv[3]), texts) if sys.argv[3:] else []
    found: dict[str, Any] = dict(measure(served.runner, unpack_gguf(gguf, torch.float32).eval(), texts, peer))
    found["served"] = served.runner_description
    if (traffic := getattr(served.runner, "bytes_per_token", None)) is not None:
        found["bytes_per_token"] = traffic
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
