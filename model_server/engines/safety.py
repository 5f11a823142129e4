"""Where prompts and pictures are looked at before anybody sees them. Nothing is held back yet.

Engines pass every prompt and every picture through here, previews and steps included, so that a check needs no other
place. It may raise Refused, and it may give another picture back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


def check_prompt(prompt: str) -> str:
    """The prompt as it may be drawn. Raises Refused when it may not be."""
    return prompt


def check_picture(picture: Image.Image) -> Image.Image:
    """The picture as it may be shown. Raises Refused when it may not be."""
    return picture
