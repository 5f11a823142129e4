"""Images from the output of a network."""

from __future__ import annotations

import torch
from PIL import Image


def to_images(values: torch.Tensor) -> list[Image.Image]:
    """Convert N × 3 × H × W float32 values in [-1, 1], on any device, to RGB images; values outside are clipped."""
    pixels = ((values + 1) * 127.5).round().clamp(0, 255).to("cpu", torch.uint8)
    return [Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()) for picture in pixels]
