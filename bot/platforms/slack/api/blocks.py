"""Block Kit objects that messages, modals and the App Home share."""

from __future__ import annotations

from typing import Any

from bot.core.text import cut

Json = dict[str, Any]

MAX_HEADER, MAX_SECTION, MAX_BUTTON_LABEL = 150, 3000, 75


def plain_text(text: str, *, emoji: bool = False) -> Json:
    """Return a text object that Slack shows as it is."""
    return {"type": "plain_text", "text": text, "emoji": emoji}


def header(text: str) -> Json:
    """Return a block with a heading."""
    return {"type": "header", "text": plain_text(cut(text, MAX_HEADER))}


def section(text: str) -> Json:
    """Return a block with plain text."""
    return {"type": "section", "text": plain_text(cut(text, MAX_SECTION))}


def button(label: str, action_id: str, *, emoji: bool = False) -> Json:
    """Return a button."""
    return {"type": "button", "text": plain_text(cut(label, MAX_BUTTON_LABEL), emoji=emoji), "action_id": action_id}
