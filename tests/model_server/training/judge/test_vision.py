"""The network that photographs taught, beside the same one built of torch's own layers."""

import hashlib
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from model_server.catalogue import ModelFile
from model_server.files.cache import ModelCache
from model_server.training.judge import vision

CHANNELS = (4, 4, 6, 6, 8, 10, 12, 14, 16)
"""Of the stem and the blocks after it: seven stages, the second of two blocks."""
KERNELS = (3, 3, 3, 5, 3, 5, 5, 3)
STEPS = (1, 2, 1, 2, 2, 1, 2, 1)


class Norm(nn.BatchNorm2d):
    """That has seen something, with the epsilon of these weights."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-3)
        self.running_mean.uniform_(-0.1, 0.1)
        self.running_var.uniform_(0.02, 0.1)
        self.weight.data.uniform_(0.5, 1.5)
        self.bias.data.uniform_(0, 1)


class Block(nn.Module):
    """Widens, looks around in each channel, and narrows."""

    def __init__(self, given: int, made: int, kernel: int, stride: int, *, first: bool) -> None:
        super().__init__()
        wide = given if first else 3 * given
        if not first:
            self._expand_conv, self._bn0 = nn.Conv2d(given, wide, 1, bias=False), Norm(wide)
        self._depthwise_conv, self._bn1 = nn.Conv2d(wide, wide, kernel, stride, groups=wide, bias=False), Norm(wide)
        self._project_conv, self._bn2 = nn.Conv2d(wide, made, 1, bias=False), Norm(made)
        self.adds = stride == 1 and given == made

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        wide = functional.relu6(self._bn0(self._expand_conv(seen))) if hasattr(self, "_bn0") else seen
        looked = functional.relu6(self._bn1(self._depthwise_conv(padded(wide, self._depthwise_conv))))
        made: torch.Tensor = self._bn2(self._project_conv(looked))
        return made + seen if self.adds else made


class Network(nn.Module):
    """As the weights' names have it."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = nn.Conv2d(3, CHANNELS[0], 3, 2, bias=False), Norm(CHANNELS[0])
        blocks = enumerate(zip(pairwise(CHANNELS), KERNELS, STEPS, strict=True))
        self._blocks = nn.ModuleList(
            Block(*ends, kernel, stride, first=not place) for place, (ends, kernel, stride) in blocks
        )
        self._conv_head, self._bn1 = nn.Conv2d(CHANNELS[-1], 20, 1, bias=False), Norm(20)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        seen = functional.relu6(self._bn0(self._conv_stem(padded(pictures, self._conv_stem))))
        after = []
        for block in self._blocks:
            seen = block(seen)
            after.append(seen)
        fifth, sixth = (functional.avg_pool2d(after[place], 2).flatten(1) for place in (5, 6))
        return torch.cat([fifth, sixth, functional.relu6(self._bn1(self._conv_head(seen))).mean(dim=(2, 3))], dim=1)


def padded(seen: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    """So that half as many come out, or all: on the left and above one less where it cannot be the same."""
    both = {(1, 3): (1, 1), (1, 5): (2, 2), (2, 3): (0, 1), (2, 5): (1, 2)}[layer.stride[0], layer.kernel_size[0]]
    return functional.pad(seen, both * 2)


@pytest.fixture
def network() -> Network:
    torch.manual_seed(3)
    return Network().eval()


@torch.no_grad()
def test_it_sees_what_the_layers_one_by_one_see(network: Network) -> None:
    pictures = functional.interpolate(torch.rand(3, 3, 4, 4), size=(64, 64))
    large = functional.interpolate(pictures, size=(128, 128), mode="bicubic", align_corners=False).clamp(0, 1)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    wanted = network((large - mean[:, None, None]) / deviation[:, None, None])
    seen = vision.VisionNetwork(network.state_dict()).features(pictures)
    assert seen.shape == (3, 12 * 16 + 14 * 4 + 20)
    assert (seen[0] - seen[1]).abs().max() > 0.1
    assert torch.allclose(seen, wanted, atol=2e-3)


def test_its_weights_are_fetched_once(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = tmp_path / "served" / vision.WEIGHTS.files[0].name
    served.parent.mkdir()
    torch.save(network.state_dict(), served)
    file = ModelFile(
        name=served.name, size=served.stat().st_size, sha256=hashlib.sha256(served.read_bytes()).hexdigest()
    )
    weights = vision.WEIGHTS.model_copy(update={"files": (file,), "sources": (str(served.parent),)})
    monkeypatch.setattr(vision, "WEIGHTS", weights)
    model_cache = ModelCache(tmp_path / "cache")
    pictures = torch.rand(1, 3, 64, 64)
    wanted = vision.VisionNetwork(network.state_dict()).features(pictures)
    assert torch.equal(vision.open_vision(model_cache).features(pictures), wanted)
    served.unlink()
    assert torch.equal(vision.open_vision(model_cache).features(pictures), wanted)
