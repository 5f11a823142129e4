"""The error of a failed safety check, and the codes of its reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.errors import RequestRefused
from bot.safety.sentences import REASONS, SENTENCES

if TYPE_CHECKING:
    from bot.core.i18n import Sentence

SELF_HARM = "self_harm"
ANSWER_PREFIX = "answer_"
"""The prefix of the codes of answers."""


SENSITIVE_CODES = {
    f"{prefix}{code}": f"{prefix}unsafe"
    for prefix in ("", ANSWER_PREFIX)
    for code in (SELF_HARM, "sexual", "violence", "illicit")
}
"""Codes that may tell of somebody's health, sexual life or offences, and the ones that take their places with time."""


class Unsafe(RequestRefused):
    """A failed safety check. `text` is what was refused, for moderators who decide on an appeal, or ""."""

    def __init__(self, sentence: Sentence, *, code: str, text: str = "") -> None:
        super().__init__(sentence.text, code=code)
        self.text = text

    @property
    def reason(self) -> Sentence:
        """The code in words; answers have the same reasons as messages."""
        return REASONS[self.code.removeprefix(ANSWER_PREFIX)]

    @property
    def is_withheld(self) -> bool:
        """True if an answer was refused, and not a message."""
        return self.code.startswith(ANSWER_PREFIX)

    @property
    def is_help(self) -> bool:
        """True if it offers help instead of refusing, so that it needs no reason and no appeal."""
        return self.code == SELF_HARM


def make_refusal(code: str, text: str) -> Unsafe:
    """Return the refusal of a message, by the `code` of its reason."""
    return Unsafe(SENTENCES[code], code=code, text=text)
