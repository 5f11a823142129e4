"""Draws the sample sheet by which people judge the progress of the training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from PIL import Image

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

PROMPTS = (
    "a smiling face", "a sad face", "an angry face", "a face with sunglasses",
    "red apple", "banana", "pizza", "a slice of cake",
    "a cat", "a dog", "an elephant", "a penguin",
    "a fish", "a butterfly", "a snake", "a horse",
    "a red car", "a bicycle", "an airplane", "a rocket",
    "a house", "a castle", "a tree", "a sunflower",
    "the sun", "a rainbow", "a snowman", "fire",
    "a heart", "a star", "a key", "a book",
    "a guitar", "a football", "a trophy", "a present",
    "a clock", "a telephone", "a computer", "a light bulb",
    "a crown", "a pair of glasses", "a shoe", "a t-shirt",
    "a cup of coffee", "a hamburger", "ice cream", "a carrot",
    "purple apple", "a blue cat", "a green car", "a pink elephant",
    "a black rose", "an orange fish", "a yellow house", "a blue banana",
    "a cat wearing sunglasses in the snow", "a dog wearing a crown", "a tree at night", "a car in the rain",
    "a cat and a dog", "an apple next to a banana", "a rabbit on the grass", "a whale under water",
)  # fmt: skip
COLUMNS = 8
STEPS = 25
GUIDANCE, GUIDANCE_RESCALE = 5.0, 0.4
BATCH = 16


def draw_sheet(pipeline: StableDiffusionPipeline, prompts: tuple[str, ...] = PROMPTS, seed: int = 0) -> Image.Image:
    """Draw one picture for each prompt, each from its own seed, in rows of eight."""
    pipeline.set_progress_bar_config(disable=True)
    pictures: list[Image.Image] = []
    for start in range(0, len(prompts), BATCH):
        part = list(prompts[start : start + BATCH])
        noise = [torch.Generator().manual_seed(seed + start + number) for number in range(len(part))]
        pictures += pipeline(
            part,
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            guidance_rescale=GUIDANCE_RESCALE,
            generator=noise,
        ).images
    width, height = pictures[0].size
    sheet = Image.new("RGB", (COLUMNS * width, -(-len(pictures) // COLUMNS) * height), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (number % COLUMNS * width, number // COLUMNS * height))
    return sheet
