"""The error of a failed safety check, and the sentences that users read, by reason."""

from __future__ import annotations

from bot.core.errors import RequestRefused
from bot.core.i18n import Sentence

SENTENCES = {
    "blocked_word": Sentence(
        "Your message has a word in it that is blocked on this server. Please say it differently."
    ),
    "blocked_pattern": Sentence("Your message is like something that is blocked here. Please say it differently."),
    "profanity": Sentence("Please ask without swear words; then I will answer gladly."),
    "harassment": Sentence(
        "I do not help with making fun of somebody or hurting them. Ask me for something kind instead."
    ),
    "hate": Sentence(
        "I do not help with putting people down for what they are. Please ask in a way that respects them."
    ),
    "sexual": Sentence("Sexual content has no place here. Please ask about something else."),
    "violence": Sentence(
        "I do not help with hurting or threatening anybody. If somebody is in danger, tell an adult you trust, or call "
        "the emergency number."
    ),
    "illicit": Sentence("I do not help with weapons, drugs or anything illegal. Please ask about something else."),
    "real_person": Sentence(
        "I do not draw real people, so that nobody is shown doing what they never did. Describe somebody made up."
    ),
    "unchecked": Sentence(
        "The check that every message passes here cannot be reached at the moment. Please try again in a minute."
    ),
}
"""The refusals that users read, by code."""
REASONS = {
    "blocked_word": Sentence("a blocked word"),
    "blocked_pattern": Sentence("something that is blocked here"),
    "profanity": Sentence("swear words"),
    "harassment": Sentence("insults, bullying or pestering"),
    "hate": Sentence("hatred against people for what they are"),
    "sexual": Sentence("sexual content"),
    "violence": Sentence("violence or threats"),
    "illicit": Sentence("something dangerous or against the law"),
    "real_person": Sentence("a picture of a real person"),
    "unchecked": Sentence("a check that could not be made"),
}
"""The names of the codes for users. Moderators read the codes themselves in the audit."""
HELP = Sentence(
    "It sounds as if you are going through something very hard. You are not alone, and it is good that you said it. "
    "Please talk to somebody you trust today: a friend, your parents, a teacher, the counsellor of your school, or a "
    "helpline near you. If you are in danger right now, call the emergency number: 112 in Europe, 911 in America."
)
WITHHELD = Sentence("The rest of this answer is held back: it did not pass the safety check of this server.")
PERSONAL_DATA_WARNING = Sentence(
    "Your message seems to have {what} in it, so this answer is shown to you alone. Better keep such data to yourself."
)
KINDS_OF_PERSONAL_DATA = {
    "a mail address": Sentence("a mail address"),
    "a phone number": Sentence("a phone number"),
    "a street address": Sentence("a street address"),
    "a bank card number": Sentence("a bank card number"),
    "a bank account number": Sentence("a bank account number"),
    "a password": Sentence("a password"),
    "a date of birth": Sentence("a date of birth"),
    "a user name": Sentence("a user name"),
    "an identity number": Sentence("an identity number"),
}
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
