"""What an English prompt denies: text encoders hardly read “no” and “without”, so a model draws what follows them."""

from __future__ import annotations

import re

NAMES = ("face without mouth", "teacup without handle")
"""Pictures that are called so; a model that learnt the names of emoji knows them."""
THING = (
    r"\s+(?:(?:an?|any|the)\s+)?(?P<thing>(?!(?:in|on|at)\b)[^\s,;.!?][^,;.!?\n]*?)"
    r"(?=\s*(?:[,;.!?\n]|$)|\s+(?:and|but|with|in|on|at|under|over|behind|between|next to)\s)"
)
WITHOUT = re.compile(rf"(?:^|\s*[,;]\s*|\s+)(?:(?:and|but)\s+)?without{THING}", re.IGNORECASE)
NOT = re.compile(
    rf"(?:^|\s*[,;.!\n]\s*|\s+(?=(?:and|but|with)\s))(?:(?:and|but|with|there (?:is|are))\s+){{0,2}}(?:no|not){THING}",
    re.IGNORECASE,
)
"""Elsewhere, “no” may be part of a name or of a text, as in “a sign that says no entry”."""


def leave_out_denied(prompt: str) -> tuple[str, tuple[str, ...]]:
    """Return a prompt without what it denies, "" if nothing is left, and the things that it denies."""
    if any(name in prompt.casefold() for name in NAMES):
        return prompt, ()
    things: list[str] = []

    def cut(found: re.Match[str]) -> str:
        things.append(found["thing"])
        return ""

    kept = NOT.sub(cut, WITHOUT.sub(cut, prompt))
    return (kept.strip(" ,;.!?\n"), tuple(things)) if things else (prompt, ())
