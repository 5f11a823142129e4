"""Layers whose rows depend on the batch are found, and computed row by row."""

import pytest
import torch
from torch import nn

from model_server.engines.diffusion.batch_invariance import make_batch_invariant

MAX_ROWS = 12
ROWS = torch.randn(MAX_ROWS, 4, generator=torch.Generator().manual_seed(1))


class BatchDependentLinear(nn.Linear):
    """A layer with other results from `threshold` rows on, which counts its calls."""

    def __init__(self, threshold: int) -> None:
        super().__init__(4, 4)
        self.threshold = threshold
        self.calls = 0

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(rows) + (0.001 if len(rows) >= self.threshold else 0.0)


class RowMixer(nn.Module):
    """Mixes rows outside of any layer that is checked."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows + rows.mean(0)


@pytest.mark.parametrize("threshold", [2, 3, 8, MAX_ROWS])
@torch.inference_mode()
def test_layers_whose_rows_depend_on_the_batch_are_computed_row_by_row(threshold: int) -> None:
    network = nn.Sequential(nn.Linear(4, 4), BatchDependentLinear(threshold), nn.Linear(4, 4))
    alone = torch.cat([network(row) for row in ROWS.split(1)])
    assert not torch.equal(network(ROWS), alone)
    assert make_batch_invariant(network, lambda count: network(ROWS[:count]), MAX_ROWS)
    for count in range(1, MAX_ROWS + 1):
        assert torch.equal(network(ROWS[:count]), alone[:count])


@torch.inference_mode()
def test_layers_of_one_shape_are_checked_once_and_treated_alike() -> None:
    first, second = BatchDependentLinear(2), BatchDependentLinear(2)
    network = nn.Sequential(first, second)
    alone = torch.cat([network(row) for row in ROWS.split(1)])
    tried = first.calls
    assert make_batch_invariant(network, lambda count: network(ROWS[:count]), MAX_ROWS)
    assert first.calls > second.calls >= tried
    assert torch.equal(network(ROWS), alone)


@torch.inference_mode()
def test_batch_invariant_layers_are_not_changed() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    for parameter in network.parameters():
        nn.init.ones_(parameter)
    whole_numbers = ROWS.round()
    before = [layer.forward for layer in network]
    assert make_batch_invariant(network, lambda count: network(whole_numbers[:count]), MAX_ROWS)
    assert [layer.forward for layer in network] == before
    assert not any(layer._forward_hooks for layer in network)


@torch.inference_mode()
def test_a_network_that_mixes_rows_elsewhere_is_reported() -> None:
    network = nn.Sequential(nn.Linear(4, 4), RowMixer())
    assert not make_batch_invariant(network, lambda count: network(ROWS[:count]), MAX_ROWS)
