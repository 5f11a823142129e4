"""Layers whose rows depend on how many there are are found, and computed row by row from then on."""

import pytest
import torch
from torch import nn

from model_server.engines.diffusion.batch_invariance import make_steady

MOST = 12
ROWS = torch.randn(MOST, 4, generator=torch.Generator().manual_seed(1))


class Moody(nn.Linear):
    """Computes otherwise for `crowd` rows and more, and counts how often it is asked."""

    def __init__(self, crowd: int) -> None:
        super().__init__(4, 4)
        self.crowd = crowd
        self.calls = 0

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(rows) + (0.001 if len(rows) >= self.crowd else 0.0)


class Sociable(nn.Module):
    """What no layer could be blamed for."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows + rows.mean(0)


@pytest.mark.parametrize("crowd", [2, 3, 8, MOST])
@torch.inference_mode()
def test_layers_that_mind_their_company_are_computed_row_by_row(crowd: int) -> None:
    network = nn.Sequential(nn.Linear(4, 4), Moody(crowd), nn.Linear(4, 4))
    alone = torch.cat([network(row) for row in ROWS.split(1)])
    assert not torch.equal(network(ROWS), alone)
    assert make_steady(network, lambda count: network(ROWS[:count]), MOST)
    for count in range(1, MOST + 1):
        assert torch.equal(network(ROWS[:count]), alone[:count])


@torch.inference_mode()
def test_layers_of_one_shape_are_tried_once_and_treated_alike() -> None:
    first, second = Moody(2), Moody(2)
    network = nn.Sequential(first, second)
    alone = torch.cat([network(row) for row in ROWS.split(1)])
    tried = first.calls
    assert make_steady(network, lambda count: network(ROWS[:count]), MOST)
    assert first.calls > second.calls >= tried
    assert torch.equal(network(ROWS), alone)


@torch.inference_mode()
def test_layers_that_do_not_mind_stay_as_they_are() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    for parameter in network.parameters():
        nn.init.ones_(parameter)
    whole_numbers = ROWS.round()
    before = [layer.forward for layer in network]
    assert make_steady(network, lambda count: network(whole_numbers[:count]), MOST)
    assert [layer.forward for layer in network] == before
    assert not any(layer._forward_hooks for layer in network)


@torch.inference_mode()
def test_what_cannot_be_helped_is_said() -> None:
    network = nn.Sequential(nn.Linear(4, 4), Sociable())
    assert not make_steady(network, lambda count: network(ROWS[:count]), MOST)
