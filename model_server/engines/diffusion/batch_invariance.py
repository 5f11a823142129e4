"""Makes the rows of a network independent of how many of them are computed at once.

A library of matrix products may sum the same numbers in another order when there are more rows. In float32 nobody sees
that; with the 8 bits of bfloat16 a picture drawn in company would show it. The layers that do so are few, differ from
one processor to the next, and are cheap when they are computed row by row: so they are found by trying.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

LAYERS = (nn.Linear, nn.Conv2d, nn.GroupNorm, nn.LayerNorm)


def make_steady(network: nn.Module, run: Callable[[int], torch.Tensor], most: int) -> bool:
    """Whether rows of `network` are now the same alone and in company, bit by bit.

    `run(n)` gives what it makes of the first n of `most` fixed rows. Layers that are not steady by themselves compute
    row by row from now on.
    """
    verdicts: dict[Hashable, bool] = {}
    unsteady: set[nn.Module] = set()
    layers = [module for module in network.modules() if isinstance(module, LAYERS)]
    hooks = [layer.register_forward_hook(partial(_try, verdicts, unsteady, most)) for layer in layers]
    whole = run(most)
    for hook in hooks:
        hook.remove()
    for layer in unsteady:
        layer.forward = partial(_by_row, layer.forward)
    if unsteady:
        whole = run(most)
    return all(torch.equal(run(count), whole[:count]) for count in (1, 2, most // 2 + 1))


def _try(
    verdicts: dict[Hashable, bool],
    unsteady: set[nn.Module],
    most: int,
    layer: nn.Module,
    inputs: tuple[torch.Tensor],
    output: torch.Tensor,
) -> None:
    """A forward hook: note `layer` when its rows differ in company. Others of its shape are like it."""
    rows = inputs[0]
    if len(rows) != most:
        return
    shape = (type(layer), layer.extra_repr(), rows.shape[1:])
    if shape not in verdicts:
        verdicts[shape] = _is_steady(layer.forward, rows, output)
    if not verdicts[shape]:
        unsteady.add(layer)


def _is_steady(forward: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor, output: torch.Tensor) -> bool:
    alone = _by_row(forward, rows)
    return torch.equal(output, alone) and all(
        torch.equal(forward(rows[:count]), alone[:count]) for count in _companies(len(rows))
    )


def _companies(most: int) -> list[int]:
    """Numbers of rows between one and `most` at which a library may change its mind."""
    powers = [1 << place for place in range(1, most.bit_length())]
    return [count for count in sorted({*powers, *(3 * power // 2 for power in powers)}) if count < most]


def _by_row(forward: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    return torch.cat([forward(row) for row in torch.split(rows, 1)])
