"""Batch invariance: makes each row of a network's output independent of the number of rows in the batch.

A library of matrix products may add the same numbers in another order when there are more rows. In float32 the
difference cannot be seen; in bfloat16, which keeps 8 significant bits, a picture drawn in a batch would look different
from the same picture drawn alone. Few layers do this, which ones depends on the processor, and computing them row by
row is cheap. They are therefore found by trying.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

CHECKED_LAYERS = (nn.Linear, nn.Conv2d, nn.GroupNorm, nn.LayerNorm)


def make_batch_invariant(network: nn.Module, run: Callable[[int], torch.Tensor], max_rows: int) -> bool:
    """Make layers whose rows depend on the batch compute row by row; return whether all rows are invariant now.

    `run(n)` returns the output of `network` for the first n of `max_rows` fixed rows. Rows are compared bit by bit.
    """
    verdict_by_shape: dict[Hashable, bool] = {}
    dependent_layers: set[nn.Module] = set()
    layers = [module for module in network.modules() if isinstance(module, CHECKED_LAYERS)]
    hooks = [
        layer.register_forward_hook(partial(_check_layer, verdict_by_shape, dependent_layers, max_rows))
        for layer in layers
    ]
    expected = run(max_rows)
    for hook in hooks:
        hook.remove()
    for layer in dependent_layers:
        layer.forward = partial(_compute_row_by_row, layer.forward)
    if dependent_layers:
        expected = run(max_rows)
    return all(torch.equal(run(count), expected[:count]) for count in (1, 2, max_rows // 2 + 1))


def _check_layer(
    verdict_by_shape: dict[Hashable, bool],
    dependent_layers: set[nn.Module],
    max_rows: int,
    layer: nn.Module,
    inputs: tuple[torch.Tensor],
    output: torch.Tensor,
) -> None:
    """Forward hook: add `layer` to `dependent_layers` if its rows depend on the batch. One of each shape is tried."""
    rows = inputs[0]
    if len(rows) != max_rows:
        return
    shape = (type(layer), layer.extra_repr(), rows.shape[1:])
    if shape not in verdict_by_shape:
        verdict_by_shape[shape] = _is_batch_invariant(layer.forward, rows, output)
    if not verdict_by_shape[shape]:
        dependent_layers.add(layer)


def _is_batch_invariant(
    forward: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor, output: torch.Tensor
) -> bool:
    alone = _compute_row_by_row(forward, rows)
    return torch.equal(output, alone) and all(
        torch.equal(forward(rows[:count]), alone[:count]) for count in _row_counts(len(rows))
    )


def _row_counts(max_rows: int) -> list[int]:
    """Return numbers of rows between 1 and `max_rows` at which a library may switch to another kernel."""
    powers = [1 << place for place in range(1, max_rows.bit_length())]
    return [count for count in sorted({*powers, *(3 * power // 2 for power in powers)}) if count < max_rows]


def _compute_row_by_row(forward: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    return torch.cat([forward(row) for row in torch.split(rows, 1)])
