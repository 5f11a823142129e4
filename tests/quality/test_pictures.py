"""Whether copies of pictures are found again, with the real models."""

from collections.abc import Callable
from pathlib import Path

import pytest
from quality.pictures import COPIES, Drawer, measure_copies

from bot.inference.client import ModelClient


@pytest.mark.weights
@pytest.mark.quality
async def test_copies_are_found_and_other_pictures_are_not(real_server: Callable[..., str], tmp_path: Path) -> None:
    async with ModelClient(real_server("emoji-diffusion", "digiface-dcgan")) as models:
        shares = await measure_copies(tmp_path, Drawer(models, None))
    found = {name: shares.pop(name) for name in COPIES}
    # No goal is set for a picture that was cropped.
    del found["cropped by 10 %"]
    assert min(found.values()) >= 0.95, found
    assert max(shares.values()) <= 0.01, shares
