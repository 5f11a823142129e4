"""The sample sheet has one picture for each prompt."""

from pathlib import Path

import numpy as np
import pytest
from diffusers import StableDiffusionPipeline

from research.pictures.training.networks import Sizes, make_autoencoder, make_scheduler, make_unet
from research.pictures.training.samples import COLUMNS, PROMPTS, draw_sheet
from research.pictures.training.text_encoder import TextEncoder


@pytest.fixture(scope="module")
def pipeline(sizes: Sizes, text_encoder: Path) -> StableDiffusionPipeline:
    encoder = TextEncoder(text_encoder, "cpu")
    return StableDiffusionPipeline(
        vae=make_autoencoder(sizes, 1),
        text_encoder=encoder.model,
        tokenizer=encoder.tokenizer,
        unet=make_unet(sizes, 1),
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def cell(sheet: object, number: int) -> np.ndarray:
    row, column = divmod(number, COLUMNS)
    return np.asarray(sheet)[64 * row : 64 * row + 64, 64 * column : 64 * column + 64].astype(int)


def test_each_prompt_has_its_own_cell_and_noise(pipeline: StableDiffusionPipeline) -> None:
    sheet = draw_sheet(pipeline, ("a cat",) * 9)
    assert sheet.size == (64 * COLUMNS, 128)
    assert np.abs(cell(sheet, 0) - cell(sheet, 1)).max() > 20
    last = draw_sheet(pipeline, ("a cat",), seed=8)
    assert np.abs(cell(sheet, 8) - cell(last, 0)).max() <= 2
    assert (cell(sheet, 9) == 255).all()


def test_the_sheet_is_full_and_has_no_prompt_twice() -> None:
    assert len(PROMPTS) == len(set(PROMPTS)) == 64
