"""The sentences of the safety checks that users read, by the code of their reason."""

from __future__ import annotations

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
