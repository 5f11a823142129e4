"""Builds the messages of a chat in OpenAI's format."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bot.core.model_events import Turn


def build_message(turn: Turn) -> dict[str, Any]:
    """Return the message of a turn; its pictures are in it, since no server could fetch them from us."""
    if not turn.images:
        return {"role": turn.role, "content": turn.content}
    pictures = [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{base64.b64encode(image).decode()}"}}
        for image in turn.images
    ]
    return {"role": turn.role, "content": [{"type": "text", "text": turn.content}, *pictures]}
