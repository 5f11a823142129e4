"""The committed weights of emoji-diffusion work without this package."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.engines.plain_diffusers import drawn_elsewhere

from model_server.engines.contract import EngineSpec


@pytest.mark.weights
def test_plain_diffusers_draws_with_the_weights(weights: Callable[[str], EngineSpec], tmp_path: Path) -> None:
    drawn = drawn_elsewhere(weights("emoji-diffusion").folder, tmp_path)
    assert drawn.shape == (128, 128, 3)
    assert drawn.std() > 5, "it is of one colour"
