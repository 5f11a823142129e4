"""The vision network gives the same features as one that is built from torch's layers."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

from research.pictures.judge import vision

CHANNELS = (4, 4, 6, 6, 8, 10, 12, 14, 16)
"""The channels of the stem and the blocks: seven stages, of which the second has two blocks."""
KERNELS = (3, 3, 3, 5, 3, 5, 5, 3)
STEPS = (1, 2, 1, 2, 2, 1, 2, 1)


class Norm(nn.BatchNorm2d):
    """A batch norm with random statistics and the epsilon of these weights."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-3)
        self.running_mean.uniform_(-0.1, 0.1)
        self.running_var.uniform_(0.02, 0.1)
        self.weight.data.uniform_(0.5, 1.5)
        self.bias.data.uniform_(0, 1)


class Block(nn.Module):
    """An inverted residual block: expansion, depthwise convolution and projection."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, *, first: bool) -> None:
        super().__init__()
        expanded = in_channels if first else 3 * in_channels
        if not first:
            self._expand_conv, self._bn0 = nn.Conv2d(in_channels, expanded, 1, bias=False), Norm(expanded)
        self._depthwise_conv, self._bn1 = (
            nn.Conv2d(expanded, expanded, kernel, stride, groups=expanded, bias=False),
            Norm(expanded),
        )
        self._project_conv, self._bn2 = nn.Conv2d(expanded, out_channels, 1, bias=False), Norm(out_channels)
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        expanded = functional.relu6(self._bn0(self._expand_conv(features))) if hasattr(self, "_bn0") else features
        depthwise = functional.relu6(self._bn1(self._depthwise_conv(padded(expanded, self._depthwise_conv))))
        projected: torch.Tensor = self._bn2(self._project_conv(depthwise))
        return projected + features if self.adds else projected


class Network(nn.Module):
    """The network, with the parameter names of the weights."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = nn.Conv2d(3, CHANNELS[0], 3, 2, bias=False), Norm(CHANNELS[0])
        blocks = enumerate(zip(pairwise(CHANNELS), KERNELS, STEPS, strict=True))
        self._blocks = nn.ModuleList(
            Block(*ends, kernel, stride, first=not place) for place, (ends, kernel, stride) in blocks
        )
        self._conv_head, self._bn1 = nn.Conv2d(CHANNELS[-1], 20, 1, bias=False), Norm(20)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        features = functional.relu6(self._bn0(self._conv_stem(padded(pictures, self._conv_stem))))
        after = []
        for block in self._blocks:
            features = block(features)
            after.append(features)
        fifth, sixth = (functional.avg_pool2d(after[place], 2).flatten(1) for place in (5, 6))
        return torch.cat([fifth, sixth, functional.relu6(self._bn1(self._conv_head(features))).mean(dim=(2, 3))], dim=1)


def padded(features: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    """Pad as TensorFlow does; of an odd number of pixels, the right and the bottom get one more."""
    both = {(1, 3): (1, 1), (1, 5): (2, 2), (2, 3): (0, 1), (2, 5): (1, 2)}[layer.stride[0], layer.kernel_size[0]]
    return functional.pad(features, both * 2)


@pytest.fixture
def network() -> Network:
    torch.manual_seed(3)
    return Network().eval()


@torch.no_grad()
def test_features_equal_those_of_torch_layers(network: Network) -> None:
    pictures = functional.interpolate(torch.rand(3, 3, 4, 4), size=(64, 64))
    large = functional.interpolate(pictures, size=(128, 128), mode="bicubic", align_corners=False).clamp(0, 1)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = network((large - mean[:, None, None]) / deviation[:, None, None])
    features = vision.VisionNetwork(network.state_dict()).features(pictures)
    assert features.shape == (3, 12 * 16 + 14 * 4 + 20)
    assert (features[0] - features[1]).abs().max() > 0.1
    assert torch.allclose(features, expected, atol=2e-3)
