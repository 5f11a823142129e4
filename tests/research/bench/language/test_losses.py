"""The divergence of a runner from a reference, with numbers that are known beforehand."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from model_server.engines.language.runners.runner import Chunk
from research.bench.language.losses import measure, read_peer

V = 11


def logits_after(ids: Sequence[int]) -> torch.Tensor:
    """Return random logits that depend on these tokens alone."""
    generator = torch.Generator().manual_seed(hash(tuple(ids)) % 2**31)
    return torch.randn(V, generator=generator)


def reference(input_ids: torch.Tensor) -> SimpleNamespace:
    ids = input_ids[0].tolist()
    return SimpleNamespace(logits=torch.stack([logits_after(ids[: end + 1]) for end in range(len(ids))])[None])


class Echo:
    """A runner with the logits of the reference, but `shift` added to that of the first token."""

    context = 100
    description = "echo"

    def __init__(self, slots: int = 2, shift: float = 0.0) -> None:
        self.slots = slots
        self._shift = shift
        self._held: dict[int, list[int]] = {}

    def forward(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        rows = []
        for chunk in chunks:
            held = self._held.setdefault(chunk.slot, [])
            held[chunk.start :] = chunk.tokens
            rows.append(logits_after(held) + self._shift * torch.eye(V)[0])
        return torch.stack(rows)

    def copy(self, source: int, target: int, length: int) -> None:
        raise NotImplementedError


TOKENS = [(1, 2, 3), (4,), (5, 6), (7, 8, 9, 10), (1, 2)]


@pytest.mark.parametrize("slots", [1, 2, 8])
def test_a_runner_equal_to_the_reference_has_no_divergence(slots: int) -> None:
    found = measure(Echo(slots), reference, TOKENS)
    assert found == {"kl": pytest.approx(0, abs=1e-6), "top1": 1.0, "positions": 12}


def test_the_divergence_is_measured_from_the_reference() -> None:
    expected = 0.0
    for ids in TOKENS:
        for end in range(len(ids)):
            exact = logits_after(ids[: end + 1]).log_softmax(-1)
            own = (logits_after(ids[: end + 1]) + 2 * torch.eye(V)[0]).log_softmax(-1)
            expected += float((exact.exp() * (exact - own)).sum()) / 12
    found = measure(Echo(shift=2.0), reference, TOKENS)
    assert found["kl"] == pytest.approx(expected, rel=1e-4)
    assert found["top1"] < 1


def test_another_program_is_judged_by_the_same_reference(tmp_path: Path) -> None:
    (tmp_path / "tokens.json").write_text(json.dumps(TOKENS), "utf-8")
    for number, ids in enumerate(TOKENS):
        rows = [logits_after(ids[: end + 1]) + 2 * torch.eye(V)[0] for end in range(len(ids))]
        np.save(tmp_path / f"logits-{number}.npy", torch.stack(rows).numpy())
    found = measure(Echo(), reference, TOKENS, read_peer(tmp_path, TOKENS))
    shifted = measure(Echo(shift=2.0), reference, TOKENS)
    assert found["kl"] == pytest.approx(0, abs=1e-6)
    assert (found["peer_kl"], found["peer_top1"]) == (pytest.approx(shifted["kl"], rel=1e-4), shifted["top1"])
    assert read_peer(tmp_path, [(1, 2), *TOKENS[1:]]) == []
